// Requests and their completions.
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <set>
#include <thread>

#include "capi/kit.h"
#include "support/test.h"

using namespace varve::test;

namespace {

constexpr uint64_t kSize = 4 << 20;

iovec segment(Block& block) { return {block.data(), block.size()}; }

/// Takes `count` completions, which must come and be good; their cookies.
std::multiset<uint64_t> take_good(const Requests& queue, unsigned count) {
  std::vector<varve_completion> done(count);
  REQUIRE(varve_queue_wait(queue.get(), done.data(), count, count, 20000) == static_cast<int>(count));
  std::multiset<uint64_t> cookies;
  for (const varve_completion& one : done) {
    INFO(varve_error_message(one.error));
    CHECK(one.code == VARVE_OK);
    CHECK(one.error == nullptr);
    varve_error_free(one.error);
    cookies.insert(one.cookie);
  }
  return cookies;
}

bool is_readable(int fd, int timeout_ms) {
  pollfd waiting = {fd, POLLIN, 0};
  return poll(&waiting, 1, timeout_ms) == 1;
}

void submit_writes(const Requests& queue, Block& data, unsigned count) {
  const iovec one = segment(data);
  Told told;
  for (unsigned i = 0; i < count; ++i) must(varve_queue_write(queue.get(), i * data.size(), &one, 1, 0, i, told), told);
}

/// A raw disk whose requests wait until they may go on.
struct SlowDisk {
  MemoryFile memory;
  Disk disk;

  SlowDisk() {
    memory.set_bytes(Block(kSize));
    disk = open(memory.storage("slow.raw"), options({{"format", "raw"}, {"read-only", "off"}, {"threads", "4"}}));
  }
  ~SlowDisk() { memory.let_go(); }
};

}  // namespace

TEST_CASE("threads: every kind of request is done, and its cookie comes back once") {
  const TempDir dir;
  for (const std::string format : {"raw", "vmdk", "vhdx", "varve"}) {
    CAPTURE(format);
    const Disk disk = create(dir / format, kSize, options({{"format", format}}));
    const Requests queue = queue_of(disk, 16);
    Block first = pattern(0, 10000);
    Block second = pattern(10000, 60000);
    const iovec both[] = {segment(first), segment(second)};
    Told told;
    must(varve_queue_write(queue.get(), 0, both, 2, VARVE_FUA, UINT64_MAX, told), told);
    CHECK(take_good(queue, 1) == std::multiset<uint64_t>{UINT64_MAX});
    must(varve_queue_zero(queue.get(), 4096, 4096, VARVE_FUA, 1, told), told);
    must(varve_queue_discard(queue.get(), kSize / 2, kSize / 2, 0, 2, told), told);
    must(varve_queue_flush(queue.get(), 3, told), told);
    CHECK(take_good(queue, 3) == std::multiset<uint64_t>{1, 2, 3});
    Block back(70000);
    Block part(5);
    const iovec target = segment(back);
    const iovec target_of_part = segment(part);
    must(varve_queue_read(queue.get(), 0, &target, 1, 7, told), told);
    must(varve_queue_read(queue.get(), 3, &target_of_part, 1, 7, told), told);
    CHECK(take_good(queue, 2) == std::multiset<uint64_t>{7, 7});
    Block expected = pattern(0, 70000);
    std::fill_n(expected.begin() + 4096, 4096, static_cast<unsigned char>(0));
    CHECK(back == expected);
    CHECK(part == pattern(3, 5));
    CHECK(varve_queue_in_flight(queue.get()) == 0);
  }
}

TEST_CASE("what is wrong with a request its completion tells, with message and path") {
  const TempDir dir;
  close(create(dir / "a.raw", kSize, options({{"format", "raw"}})));
  const Disk disk = open(dir / "a.raw", options({{"format", "raw"}}));
  const Requests queue = queue_of(disk, 4);
  Block some(512);
  const iovec one = segment(some);
  Told told;
  must(varve_queue_read(queue.get(), kSize, &one, 1, 1, told), told);
  must(varve_queue_write(queue.get(), 0, &one, 1, 0, 2, told), told);
  varve_completion done[2];
  REQUIRE(varve_queue_wait(queue.get(), done, 2, 2, -1) == 2);
  for (const varve_completion& each : done) {
    CHECK(each.code == (each.cookie == 1 ? VARVE_INVALID_ARGUMENT : VARVE_PERMISSION));
    REQUIRE(each.error != nullptr);
    CHECK(varve_error_code(each.error) == each.code);
    CHECK(varve_error_path(each.error) == dir / "a.raw");
    CHECK(each.reserved == 0);
    varve_error_free(each.error);
  }
}

TEST_CASE("flags and numbers of segments that cannot be are refused at once") {
  const TempDir dir;
  const Disk disk = create(dir / "a.raw", kSize, options({{"format", "raw"}}));
  const Requests queue = queue_of(disk, 4);
  Block some(1);
  const std::vector<iovec> many(1025, segment(some));
  Told told;
  CHECK(refused(varve_queue_write(queue.get(), 0, many.data(), 1, 2, 0, told), told) == VARVE_INVALID_ARGUMENT);
  CHECK(refused(varve_queue_zero(queue.get(), 0, 512, 4, 0, told), told) == VARVE_INVALID_ARGUMENT);
  CHECK(refused(varve_queue_discard(queue.get(), 0, 512, 8, 0, told), told) == VARVE_INVALID_ARGUMENT);
  CHECK(refused(varve_queue_read(queue.get(), 0, many.data(), 1025, 0, told), told) == VARVE_INVALID_ARGUMENT);
  must(varve_queue_read(queue.get(), 0, many.data(), 1024, 0, told), told);
  must(varve_queue_write(queue.get(), 0, nullptr, 0, 0, 0, told), told);
  take_good(queue, 2);
}

TEST_CASE("a queue has a depth of 1 to 4096") {
  const TempDir dir;
  const Disk disk = create(dir / "a.raw", kSize, options({{"format", "raw"}}));
  for (const unsigned depth : {0U, 4097U, UINT32_MAX}) {
    varve_queue* queue = nullptr;
    Told told;
    CHECK(refused(varve_queue_new(disk.get(), depth, &queue, told), told) == VARVE_INVALID_ARGUMENT);
    CHECK(queue == nullptr);
  }
  CHECK(queue_of(disk, 1) != nullptr);
  CHECK(queue_of(disk, 4096) != nullptr);
}

TEST_CASE("a full queue says again until a completion was taken, not only until a request has ended") {
  const TempDir dir;
  const Disk disk = create(dir / "a.raw", kSize, options({{"format", "raw"}}));
  const Requests queue = queue_of(disk, 2);
  Block some(512);
  const iovec one = segment(some);
  Told told;
  must(varve_queue_write(queue.get(), 0, &one, 1, 0, 1, told), told);
  must(varve_queue_write(queue.get(), 512, &one, 1, 0, 2, told), told);
  CHECK(refused(varve_queue_read(queue.get(), 0, &one, 1, 3, told), told) == VARVE_AGAIN);
  CHECK(eventually([&] { return is_readable(varve_queue_eventfd(queue.get(), nullptr), 0); }));
  CHECK(refused(varve_queue_flush(queue.get(), 3, told), told) == VARVE_AGAIN);
  CHECK(varve_queue_in_flight(queue.get()) == 2);
  take_good(queue, 1);
  CHECK(varve_queue_in_flight(queue.get()) == 1);
  must(varve_queue_read(queue.get(), 0, &one, 1, 3, told), told);
  take_good(queue, 2);
}

TEST_CASE("threads: waiting is for as many completions as were asked for, however many") {
  SlowDisk slow;
  const Requests queue = queue_of(slow.disk, 300);
  Block data = pattern(0, 512);
  slow.memory.hold();
  submit_writes(queue, data, 200);
  std::vector<varve_completion> done(300);
  std::thread helper([&] {
    slow.memory.let_go(100);
    while (varve_queue_in_flight(queue.get()) == 200 && slow.memory.count(MemoryFile::Operation::write) < 100) std::this_thread::yield();
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    slow.memory.let_go();
  });
  const int count = varve_queue_wait(queue.get(), done.data(), 150, 300, -1);
  helper.join();
  CHECK(count >= 150);
  std::vector<varve_completion> rest(300);
  CHECK(varve_queue_wait(queue.get(), rest.data(), 300, 300, -1) == 200 - count);
}

TEST_CASE("threads: waiting ends with the time, with what can come, and at once with what is there") {
  SlowDisk slow;
  const Requests queue = queue_of(slow.disk, 8);
  varve_completion done[8];
  CHECK(varve_queue_wait(queue.get(), done, 1, 8, -1) == 0);  // nothing can come
  Block data = pattern(0, 512);
  slow.memory.hold();
  submit_writes(queue, data, 3);
  CHECK(varve_queue_poll(queue.get(), done, 8) == 0);
  const auto before = std::chrono::steady_clock::now();
  CHECK(varve_queue_wait(queue.get(), done, 1, 8, 30) == 0);
  CHECK(std::chrono::steady_clock::now() - before >= std::chrono::milliseconds(30));
  slow.memory.let_go();
  CHECK(varve_queue_wait(queue.get(), done, 8, 8, -1) == 3);
  CHECK(varve_queue_poll(queue.get(), done, 8) == 0);
}

TEST_CASE("threads: the eventfd wakes an event loop for every completion, and is quiet as long as there is none") {
  SlowDisk slow;
  const Requests queue = queue_of(slow.disk, 8);
  Told told;
  const int fd = must(varve_queue_eventfd(queue.get(), told), told);
  CHECK(varve_queue_eventfd(queue.get(), nullptr) == fd);
  CHECK_FALSE(is_readable(fd, 0));
  Block data = pattern(0, 512);
  for (unsigned round = 0; round < 50; ++round) {
    slow.memory.hold();
    uint64_t left_over = 0;  // of a completion that was taken before its signal was read: such a wake-up finds nothing
    static_cast<void>(::read(fd, &left_over, sizeof(left_over)) == 0);
    submit_writes(queue, data, 5);
    CHECK_FALSE(is_readable(fd, 0));
    slow.memory.let_go();
    unsigned taken = 0;
    while (taken < 5) {
      REQUIRE(is_readable(fd, 20000));
      uint64_t value = 0;
      CHECK(::read(fd, &value, sizeof(value)) == sizeof(value));
      varve_completion done[2];
      for (int got = 0; (got = varve_queue_poll(queue.get(), done, 2)) > 0;) taken += static_cast<unsigned>(got);
    }
    CHECK(taken == 5);
  }
}

TEST_CASE("an eventfd that is asked for late tells of what is there already") {
  const TempDir dir;
  const Disk disk = create(dir / "a.raw", kSize, options({{"format", "raw"}}));
  const Requests queue = queue_of(disk, 2);
  Block data = pattern(0, 512);
  submit_writes(queue, data, 1);
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  CHECK(is_readable(varve_queue_eventfd(queue.get(), nullptr), 20000));
  take_good(queue, 1);
}

TEST_CASE("threads: a flush waits for what was submitted before it, and holds up nothing behind it") {
  SlowDisk slow;
  const Requests queue = queue_of(slow.disk, 8);
  Block data = pattern(0, 512);
  slow.memory.hold();
  submit_writes(queue, data, 2);
  Told told;
  must(varve_queue_flush(queue.get(), 100, told), told);
  REQUIRE(eventually([&] { return slow.memory.held() == 2; }));
  CHECK(slow.memory.count(MemoryFile::Operation::flush) == 0);
  Block back(512);
  const iovec target = segment(back);
  must(varve_queue_read(queue.get(), 0, &target, 1, 200, told), told);
  CHECK(eventually([&] { return slow.memory.count(MemoryFile::Operation::read) == 1; }));
  CHECK(slow.memory.count(MemoryFile::Operation::flush) == 0);
  slow.memory.let_go();
  CHECK(take_good(queue, 4) == std::multiset<uint64_t>{0, 1, 100, 200});
  CHECK(slow.memory.count(MemoryFile::Operation::flush) == 1);
}

TEST_CASE("threads: many queues and callers that wait share an image, and each gets its own completions") {
  const TempDir dir;
  const Disk disk = create(dir / "a.varve", kSize, options({{"format", "varve"}, {"threads", "3"}}));
  constexpr unsigned kThreads = 4;
  constexpr unsigned kRounds = 60;
  std::atomic<unsigned> wrong{0};
  const auto use = [&](unsigned self) {
    varve_queue* made = nullptr;
    if (varve_queue_new(disk.get(), 4, &made, nullptr) != VARVE_OK) return void(++wrong);
    const Requests queue(made);
    const uint64_t base = self * (kSize / kThreads);
    for (unsigned round = 0; round < kRounds; ++round) {
      const uint64_t at = base + (round % 16) * 8192;
      Block data = pattern(at, 8192, round);
      const iovec one = segment(data);
      varve_completion done;
      if (varve_queue_write(made, at, &one, 1, round % 8 == 0 ? VARVE_FUA : 0, round, nullptr) != VARVE_OK) ++wrong;
      if (varve_queue_wait(made, &done, 1, 1, -1) != 1 || done.cookie != round || done.code != VARVE_OK) ++wrong;
      Block back(8192);
      if (varve_read(disk.get(), at, back.data(), back.size(), nullptr) != VARVE_OK || back != data) ++wrong;
    }
  };
  std::vector<std::thread> threads;
  for (unsigned i = 0; i < kThreads; ++i) threads.emplace_back(use, i);
  for (std::thread& one : threads) one.join();
  CHECK(wrong.load() == 0);
}
