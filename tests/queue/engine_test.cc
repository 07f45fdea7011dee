// Several queues on one image: cancelling, closing, turns, and who must be alone.
#include <algorithm>
#include <thread>

#include "queue/held_disk.h"
#include "support/image_kit.h"
#include "support/test.h"

using namespace varve;
using namespace varve::test;

namespace {

constexpr uint64_t kBlock = HeldDisk::kBlock;

struct Ended {
  std::vector<uint64_t> done;
  std::vector<uint64_t> cancelled;
};

Ended take_all(Queue& queue) {
  Ended ended;
  std::vector<Completion> some(64);
  while (const size_t count = queue.wait(some, 1)) {
    for (size_t i = 0; i < count; ++i) {
      if (!some[i].error) {
        ended.done.push_back(some[i].cookie);
        continue;
      }
      CHECK_ERRC(std::rethrow_exception(some[i].error), Errc::cancelled);
      ended.cancelled.push_back(some[i].cookie);
    }
  }
  std::sort(ended.done.begin(), ended.done.end());
  std::sort(ended.cancelled.begin(), ended.cancelled.end());
  return ended;
}

}  // namespace

TEST_CASE("threads: cancelling ends what has not begun, flushes that wait among it, and leaves the rest alone") {
  HeldDisk disk(2);
  Queue queue(disk.engine, 8);
  Queue other(disk.engine, 8);
  disk.storage->hold(0);
  const BlockRequest running(RequestKind::write, 0);
  const BlockRequest waiting(RequestKind::write, 1);
  const BlockRequest others(RequestKind::write, 2);
  REQUIRE(queue.submit(running.request()));
  disk.storage->wait_for(0);
  REQUIRE(queue.submit(waiting.request()));
  REQUIRE(queue.submit({.kind = RequestKind::flush, .cookie = 5}));
  REQUIRE(other.submit(others.request()));
  CHECK(queue.cancel() == 2);
  CHECK(queue.cancel() == 0);
  disk.storage->let_all_go();
  const Ended ended = take_all(queue);
  CHECK(ended.done == std::vector<uint64_t>{0});
  CHECK(ended.cancelled == std::vector<uint64_t>{1, 5});
  CHECK(take_cookies(other, 1) == std::vector<uint64_t>{2});
  std::vector<std::byte> got(kBlock);
  disk.image.read_at(kBlock, got);
  CHECK(got == pattern(kBlock, 0, kBlock));
}

TEST_CASE("threads: a queue that is destroyed touches no buffer afterwards, and nothing of it begins any more") {
  HeldDisk disk(2);
  disk.storage->hold(0);
  auto requests = std::make_unique<std::vector<BlockRequest>>();
  for (uint64_t n = 0; n < 8; ++n) requests->emplace_back(RequestKind::write, n);
  std::thread helper;
  {
    Queue queue(disk.engine, 8);
    for (const BlockRequest& one : *requests) REQUIRE(queue.submit(one.request()));
    disk.storage->wait_for(0);
    helper = std::thread([&] {
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
      disk.storage->let_all_go();
    });
  }
  requests.reset();
  helper.join();
  CHECK(disk.storage->begun() == std::vector<uint64_t>{0});
}

TEST_CASE("threads: closing with requests under way cancels what has not begun, and makes the rest durable") {
  HeldDisk disk(2);
  Queue queue(disk.engine, 8);
  disk.storage->hold(0);
  const BlockRequest running(RequestKind::write, 0);
  const BlockRequest waiting(RequestKind::write, 1);
  REQUIRE(queue.submit(running.request()));
  disk.storage->wait_for(0);
  REQUIRE(queue.submit(waiting.request()));
  std::thread closer([&] { disk.engine.close(); });
  std::array<Completion, 1> first;
  REQUIRE(queue.wait(first, 1) == 1);
  CHECK(first[0].cookie == 1);
  CHECK_ERRC(std::rethrow_exception(first[0].error), Errc::cancelled);
  disk.storage->let_all_go();
  closer.join();
  CHECK(take_cookies(queue, 1) == std::vector<uint64_t>{0});
  CHECK(disk.storage->begun() == std::vector<uint64_t>{0, HeldStorage::kFlush});
  REQUIRE(queue.submit(waiting.request()));
  std::array<Completion, 1> refused;
  REQUIRE(queue.wait(refused, 1) == 1);
  CHECK_ERRC(std::rethrow_exception(refused[0].error), Errc::permission);
  const BlockRequest read(RequestKind::read, 0);
  REQUIRE(queue.submit(read.request()));
  CHECK(take_cookies(queue, 1) == std::vector<uint64_t>{0});
  CHECK(read.bytes() == running.bytes());
}

TEST_CASE("threads: a queue with much to do does not keep others waiting") {
  HeldDisk disk(2);
  Queue busy(disk.engine, 200);
  Queue modest(disk.engine, 4);
  disk.storage->hold(0);
  std::vector<BlockRequest> many;
  for (uint64_t n = 0; n < 200; ++n) many.emplace_back(RequestKind::write, n);
  for (const BlockRequest& one : many) REQUIRE(busy.submit(one.request()));
  disk.storage->wait_for(0);
  const BlockRequest one(RequestKind::write, 250);
  const BlockRequest another(RequestKind::write, 251);
  REQUIRE(modest.submit(one.request()));
  REQUIRE(modest.submit(another.request()));
  disk.storage->let_all_go();
  CHECK(take_all(modest).done == std::vector<uint64_t>{250, 251});
  CHECK(take_all(busy).done.size() == 200);
  const std::vector<uint64_t> begun = disk.storage->begun();
  const auto place = [&](uint64_t n) { return std::find(begun.begin(), begun.end(), n * kBlock) - begun.begin(); };
  CHECK(place(250) <= 2);
  CHECK(place(251) <= 4);
}

TEST_CASE("threads: who must be alone waits for what runs, keeps others out, and loses no request") {
  HeldDisk disk(4);
  Queue queue(disk.engine, 8);
  disk.storage->hold(0);
  const BlockRequest running(RequestKind::write, 0);
  const BlockRequest later(RequestKind::write, 1);
  REQUIRE(queue.submit(running.request()));
  disk.storage->wait_for(0);
  std::atomic<bool> alone = false;
  std::vector<uint64_t> begun_before;
  std::thread keeper([&] {
    disk.engine.exclusive([&](Image& image) {
      alone = true;
      begun_before = disk.storage->begun();
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
      CHECK(disk.storage->begun() == begun_before);
      CHECK(image.size() == HeldDisk::kSize);
    });
  });
  std::this_thread::sleep_for(std::chrono::milliseconds(10));
  REQUIRE(queue.submit(later.request()));
  CHECK_FALSE(alone);
  disk.storage->let_all_go();
  CHECK(take_all(queue).done == std::vector<uint64_t>{0, 1});
  keeper.join();
  CHECK(begun_before == std::vector<uint64_t>{0});
  CHECK_ERRC(disk.engine.exclusive([](Image&) { throw Error(Errc::io, "no"); }), Errc::io);
  disk.engine.write_at(0, pattern(0, 3, kBlock));
}

TEST_CASE("threads: a read of what lies in memory has ended when it is submitted, though the file is held up") {
  const auto memory = std::make_shared<MemoryStorage>("disk.varve");
  MemoryFileSystem files;
  create_image(files, "disk.varve", "varve", 1 << 20);
  const auto storage = std::make_shared<HeldStorage>(files.find("disk.varve"));
  OpenOptions how;
  how.format = "varve";
  how.access = Access::read_write;
  Image image = Image::open(storage, how);
  Engine engine(image);
  Queue queue(engine, 4);
  const std::vector<std::byte> data = pattern(0, 1, 65536);
  engine.write_at(0, data);
  const size_t begun = storage->begun().size();
  const auto reads_at_once = [&](uint64_t n) {
    const BlockRequest read(RequestKind::read, n);
    REQUIRE(queue.submit(read.request()));
    std::array<Completion, 1> done;
    return queue.poll(done) == 1 && !done[0].error && read.bytes() == pattern(n * kBlock, n < 16 ? 1 : 0, kBlock);
  };
  CHECK(reads_at_once(3));  // not encoded yet
  engine.flush();
  const BlockRequest hole(RequestKind::read, 20);
  REQUIRE(queue.submit(hole.request()));
  take_cookies(queue, 1);
  CHECK(hole.bytes() == std::vector<std::byte>(kBlock));
  engine.close();
  CHECK(storage->begun().size() > begun);
  // In a file that was just opened nothing is in memory: the first read waits for the file, the second does not.
  OpenOptions again = how;
  again.access = Access::read_only;
  Image reopened = Image::open(storage, again);
  Engine second(reopened);
  Queue reads(second, 4);
  const BlockRequest first(RequestKind::read, 5);
  REQUIRE(reads.submit(first.request()));
  CHECK(take_cookies(reads, 1) == std::vector<uint64_t>{5});
  const size_t calls = storage->begun().size();
  const BlockRequest next(RequestKind::read, 6);
  REQUIRE(reads.submit(next.request()));
  std::array<Completion, 1> done;
  CHECK(reads.poll(done) == 1);
  CHECK(next.bytes() == pattern(6 * kBlock, 1, kBlock));
  CHECK(storage->begun().size() == calls);
}
