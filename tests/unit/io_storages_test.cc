// The storages that tests are made of do what they say.
#include "io/memory_file_system.h"
#include "io/memory_storage.h"
#include "support/bytes.h"
#include "support/process.h"
#include "support/storages.h"
#include "support/test.h"

using namespace varve::test;
using varve::Errc;
using varve::MemoryFileSystem;
using varve::MemoryStorage;

TEST_CASE("a recorded history, done again, gives the same storage") {
  auto log = std::make_shared<EventLog>();
  auto memory = std::make_shared<MemoryStorage>("m");
  RecordingStorage storage(memory, log);
  storage.write_at(0, bytes(10000, 1));
  storage.flush();
  storage.resize(9000);
  storage.punch_hole(100, 5000);
  storage.write_at(200, bytes(10, 2));
  storage.flush();
  MemoryStorage copy;
  for (const StorageEvent& event : log->events()) replay(event, copy);
  CHECK(copy.contents() == memory->contents());
  CHECK(log->events()[0].epoch == 0);
  CHECK(log->events()[4].epoch == 1);
  CHECK(log->count(StorageEvent::Kind::flush) == 2);
}

TEST_CASE("a recording file system tells files apart and notes when each is published") {
  MemoryFileSystem below;
  auto log = std::make_shared<EventLog>();
  RecordingFileSystem files(below, log);
  auto a = files.create("a", {});
  auto b = files.create("b", {});
  b->storage()->write_at(0, bytes(5, 1));
  b->publish();
  a->publish();
  files.open("b", {.access = varve::Access::read_write})->write_at(1, bytes(1, 2));
  const auto events = log->events();
  REQUIRE(events.size() == 4);
  CHECK(log->files() == std::vector<std::string>{"a", "b"});
  CHECK(events[0].file == 1);
  CHECK(events[2].kind == StorageEvent::Kind::publish);
  CHECK(events[2].file == 0);
  CHECK(events[3].file == 1);
}

TEST_CASE("a fault strikes the call that it was set for, once or from then on") {
  for (const bool sticky : {false, true}) {
    auto plan = std::make_shared<FaultPlan>(2, FaultKind::io, sticky, Hit::write);
    FaultyStorage storage(std::make_shared<MemoryStorage>(), plan);
    storage.write_at(0, bytes(10, 1));
    storage.write_at(0, bytes(10, 2));
    CHECK_NOTHROW(storage.flush());
    CHECK_FALSE(plan->struck());
    CHECK_ERRC(storage.write_at(0, bytes(10, 3)), Errc::io);
    CHECK(plan->struck());
    CHECK(read(storage, 0, 10) == bytes(10, 2));
    if (sticky) {
      CHECK_ERRC(storage.write_at(0, bytes(10, 4)), Errc::io);
    } else {
      CHECK_NOTHROW(storage.write_at(0, bytes(10, 4)));
    }
    CHECK(plan->calls() == 4);
  }
}

TEST_CASE("each kind of fault does its own harm") {
  const auto faulty = [](FaultKind kind, size_t size = 10) {
    auto memory = std::make_shared<MemoryStorage>("m", bytes(size, 1));
    return FaultyStorage(memory, std::make_shared<FaultPlan>(0, kind));
  };
  auto torn = faulty(FaultKind::torn_write, 2048);
  CHECK_ERRC(torn.write_at(100, bytes(1100, 9)), Errc::io);
  CHECK(read(torn, 0, 100) == bytes(100, 1));
  CHECK(read(torn, 100, 412) == bytes(412, 9));
  CHECK(read(torn, 512, 1536) == bytes(1536, 1));
  auto small = faulty(FaultKind::torn_write);
  CHECK_ERRC(small.write_at(0, bytes(10, 9)), Errc::io);
  CHECK(read(small, 0, 10) == bytes(10, 1));
  auto full = faulty(FaultKind::no_space);
  CHECK_ERRC(full.resize(20), Errc::no_space);
  auto flipped = faulty(FaultKind::flipped_bit);
  CHECK(read(flipped, 0, 10) != bytes(10, 1));
  CHECK(read(flipped, 0, 10) == bytes(10, 1));
  auto lost = faulty(FaultKind::lost_write);
  CHECK_NOTHROW(lost.write_at(0, bytes(10, 9)));
  CHECK(read(lost, 0, 10) == bytes(10, 1));
}

TEST_CASE("a faulty file system counts all its files together, and its own calls") {
  MemoryFileSystem below;
  auto counting = std::make_shared<FaultPlan>();
  {
    FaultyFileSystem files(below, counting);
    auto a = files.create("a", {});
    a->storage()->write_at(0, bytes(5, 1));
    a->publish();
    read(*files.open("a", {}), 0, 5);
  }
  CHECK(counting->calls() == 5);
  FaultyFileSystem files(below, std::make_shared<FaultPlan>(1, FaultKind::io, false, Hit::publish));
  files.create("b", {})->publish();
  CHECK_ERRC(files.create("c", {})->publish(), Errc::io);
  CHECK(below.find("c") == nullptr);
}

TEST_CASE("a child process is fed, heard and killed in time") {
  const RunResult cat = run({"cat"}, std::string(300000, 'x'));
  CHECK(cat.exit_code == 0);
  CHECK(cat.out == std::string(300000, 'x'));
  const RunResult both = run({"sh", "-c", "echo out; echo err >&2; exit 3"});
  CHECK(both.exit_code == 3);
  CHECK(both.out == "out\n");
  CHECK(both.err == "err\n");
  CHECK(run({"/no/such/program"}).exit_code == 127);
  const RunResult slow = run({"sleep", "30"}, {}, std::chrono::milliseconds(200));
  CHECK(slow.timed_out);
  CHECK(slow.exit_code == 128 + 9);
  Background sleeper({"sleep", "30"});
  CHECK(sleeper.running());
  CHECK(sleeper.stop() == 128 + 15);
  Background waiter({"cat"}, true);
  CHECK_FALSE(waiter.wait(std::chrono::milliseconds(50)));
  waiter.close_input();
  CHECK(waiter.wait(std::chrono::seconds(5)));
}
