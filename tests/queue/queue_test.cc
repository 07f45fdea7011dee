// What a queue promises: completions, order, errors, room.
#include <poll.h>
#include <sys/eventfd.h>

#include <algorithm>

#include "queue/held_disk.h"
#include "support/test.h"

using namespace varve;
using namespace varve::test;

namespace {

constexpr uint64_t kBlock = HeldDisk::kBlock;

bool is_readable(int fd) {
  pollfd one{fd, POLLIN, 0};
  return poll(&one, 1, 0) == 1;
}

std::vector<uint64_t> sorted(std::vector<uint64_t> numbers) {
  std::sort(numbers.begin(), numbers.end());
  return numbers;
}

/// The code of the only completion.
Errc code_of_next(Queue& queue) {
  std::array<Completion, 1> done;
  REQUIRE(queue.wait(done, 1) == 1);
  REQUIRE(done[0].error);
  try {
    std::rethrow_exception(done[0].error);
  } catch (const Error& error) {
    return error.code();
  }
}

}  // namespace

TEST_CASE("threads: each kind of request does what the image does, and comes back with its cookie") {
  HeldDisk disk(4);
  Queue queue(disk.engine, 8);
  const BlockRequest write(RequestKind::write, 1);
  const BlockRequest zero(RequestKind::zero, 2);
  const BlockRequest discard(RequestKind::discard, 3);
  for (const BlockRequest* one : {&write, &zero, &discard}) REQUIRE(queue.submit(one->request()));
  CHECK(sorted(take_cookies(queue, 3)) == std::vector<uint64_t>{1, 2, 3});
  const BlockRequest read(RequestKind::read, 1);
  REQUIRE(queue.submit(read.request()));
  CHECK(take_cookies(queue, 1) == std::vector<uint64_t>{1});
  CHECK(read.bytes() == write.bytes());
  const BlockRequest zeros(RequestKind::read, 2);
  REQUIRE(queue.submit(zeros.request()));
  CHECK(take_cookies(queue, 1) == std::vector<uint64_t>{2});
  CHECK(zeros.bytes() == std::vector<std::byte>(kBlock));
  CHECK(queue.in_flight() == 0);
}

TEST_CASE("threads: segments are one range of the disk, whatever their lengths") {
  HeldDisk disk(2);
  Queue queue(disk.engine, 2);
  std::vector<std::byte> data = pattern(512, 5, 3000);
  std::vector<iovec> segments;
  for (size_t at = 0; at < data.size(); at += 700) segments.push_back({data.data() + at, std::min<size_t>(700, data.size() - at)});
  REQUIRE(queue.submit({.kind = RequestKind::write, .offset = 512, .segments = segments, .cookie = 1}));
  take_cookies(queue, 1);
  std::vector<std::byte> got(data.size());
  disk.image.read_at(512, got);
  CHECK(got == data);
  std::reverse(segments.begin(), segments.end());
  REQUIRE(queue.submit({.kind = RequestKind::read, .offset = 512, .segments = segments, .cookie = 2}));
  take_cookies(queue, 1);
  CHECK(std::equal(got.begin(), got.begin() + static_cast<ptrdiff_t>(segments.front().iov_len), data.begin() + 2800));
  const std::vector<iovec> too_many(Request::kMostSegments + 1);
  CHECK_ERRC(queue.submit({.kind = RequestKind::read, .segments = too_many}), Errc::invalid_argument);
  CHECK(queue.in_flight() == 0);
}

TEST_CASE("threads: requests overtake one that takes long") {
  HeldDisk disk(4);
  Queue queue(disk.engine, 8);
  disk.storage->hold(0);
  const BlockRequest slow(RequestKind::write, 0);
  const BlockRequest fast(RequestKind::write, 1);
  const BlockRequest read(RequestKind::read, 2);
  REQUIRE(queue.submit(slow.request()));
  disk.storage->wait_for(0);
  REQUIRE(queue.submit(fast.request()));
  REQUIRE(queue.submit(read.request()));
  CHECK(sorted(take_cookies(queue, 2)) == std::vector<uint64_t>{1, 2});
  CHECK(queue.in_flight() == 1);
  disk.storage->let_go(0);
  CHECK(take_cookies(queue, 1) == std::vector<uint64_t>{0});
}

TEST_CASE("threads: reads go on while every writer that there may be is held up") {
  HeldDisk disk(3);
  Queue queue(disk.engine, 16);
  std::vector<BlockRequest> writes;
  for (uint64_t n = 0; n < 6; ++n) {
    disk.storage->hold(n * kBlock);
    writes.emplace_back(RequestKind::write, n);
  }
  for (const BlockRequest& write : writes) REQUIRE(queue.submit(write.request()));
  disk.storage->wait_for(0);
  disk.storage->wait_for(kBlock);
  for (uint64_t n = 10; n < 14; ++n) {
    const BlockRequest read(RequestKind::read, n);
    REQUIRE(queue.submit(read.request()));
    CHECK(take_cookies(queue, 1) == std::vector<uint64_t>{n});
  }
  CHECK(sorted(disk.storage->begun()) == std::vector<uint64_t>{0, kBlock, 10 * kBlock, 11 * kBlock, 12 * kBlock, 13 * kBlock});
  disk.storage->let_all_go();
  CHECK(sorted(take_cookies(queue, 6)) == std::vector<uint64_t>{0, 1, 2, 3, 4, 5});
}

TEST_CASE("threads: a flush waits for what was submitted before it, and for nothing else") {
  HeldDisk disk(4);
  Queue queue(disk.engine, 8);
  Queue other(disk.engine, 8);
  disk.storage->hold(0);
  disk.storage->hold(kBlock);
  disk.storage->hold(9 * kBlock);
  const BlockRequest first(RequestKind::write, 0);
  const BlockRequest second(RequestKind::write, 1);
  const BlockRequest later(RequestKind::write, 2);
  const BlockRequest elsewhere(RequestKind::write, 9);
  REQUIRE(other.submit(elsewhere.request()));
  disk.storage->wait_for(9 * kBlock);
  REQUIRE(queue.submit(first.request()));
  REQUIRE(queue.submit(second.request()));
  REQUIRE(queue.submit({.kind = RequestKind::flush, .cookie = 100}));
  REQUIRE(queue.submit(later.request()));
  disk.storage->let_go(0);
  CHECK(sorted(take_cookies(queue, 2)) == std::vector<uint64_t>{0, 2});
  const auto begun = disk.storage->begun();
  CHECK(std::count(begun.begin(), begun.end(), HeldStorage::kFlush) == 0);
  disk.storage->let_go(kBlock);
  CHECK(take_cookies(queue, 2) == std::vector<uint64_t>{1, 100});
  CHECK(other.in_flight() == 1);
  disk.storage->let_all_go();
  CHECK(take_cookies(other, 1) == std::vector<uint64_t>{9});
}

TEST_CASE("threads: a change with FUA has been flushed when it ends") {
  HeldDisk disk(2);
  Queue queue(disk.engine, 4);
  disk.storage->hold(HeldStorage::kFlush);
  const BlockRequest write(RequestKind::write, 4);
  Request request = write.request();
  request.fua = true;
  REQUIRE(queue.submit(request));
  disk.storage->wait_for(HeldStorage::kFlush);
  CHECK(disk.storage->begun() == std::vector<uint64_t>{4 * kBlock, HeldStorage::kFlush});
  std::array<Completion, 1> none;
  CHECK(queue.poll(none) == 0);
  disk.storage->let_all_go();
  CHECK(take_cookies(queue, 1) == std::vector<uint64_t>{4});
}

TEST_CASE("threads: what is wrong with a request its completion tells, and the next ones go on") {
  HeldDisk disk(2, Access::read_only);
  Queue queue(disk.engine, 4);
  const BlockRequest behind(RequestKind::read, HeldDisk::kSize / kBlock);
  REQUIRE(queue.submit(behind.request()));
  CHECK(code_of_next(queue) == Errc::invalid_argument);
  const BlockRequest write(RequestKind::write, 1);
  REQUIRE(queue.submit(write.request()));
  CHECK(code_of_next(queue) == Errc::permission);
  disk.memory->resize(kBlock);
  const BlockRequest gone(RequestKind::read, 2);
  REQUIRE(queue.submit(gone.request()));
  CHECK(code_of_next(queue) == Errc::corrupt);
  const BlockRequest good(RequestKind::read, 0);
  REQUIRE(queue.submit(good.request()));
  take_cookies(queue, 1);
  CHECK(good.bytes() == pattern(0, 0, kBlock));
}

TEST_CASE("threads: a queue takes as many requests as it is deep, completions that were not taken included") {
  HeldDisk disk(2);
  CHECK_ERRC(Queue(disk.engine, 0), Errc::invalid_argument);
  CHECK_ERRC(Queue(disk.engine, Queue::kMostDepth + 1), Errc::invalid_argument);
  Queue queue(disk.engine, 2);
  const BlockRequest read(RequestKind::read, 1);
  for (int round = 0; round < 3; ++round) {
    CHECK(queue.submit(read.request()));
    CHECK(queue.submit(read.request()));
    CHECK_FALSE(queue.submit(read.request()));
    std::array<Completion, 1> one;
    CHECK(queue.wait(one, 1) == 1);
    CHECK(queue.submit(read.request()));
    CHECK_FALSE(queue.submit(read.request()));
    CHECK(take_cookies(queue, 2).size() == 2);
  }
}

TEST_CASE("threads: waiting ends with enough completions, with the last that can come, or when time is over") {
  using std::chrono::milliseconds;
  HeldDisk disk(4);
  Queue queue(disk.engine, 8);
  std::array<Completion, 8> done;
  CHECK(queue.wait(done, 8) == 0);  // none can come
  disk.storage->hold(0);
  const BlockRequest slow(RequestKind::read, 0);
  const BlockRequest fast(RequestKind::read, 1);
  REQUIRE(queue.submit(slow.request()));
  CHECK(queue.wait(done, 1, milliseconds(1)) == 0);
  REQUIRE(queue.submit(fast.request()));
  CHECK(queue.wait(done, 1) == 1);
  CHECK(queue.wait(done, 2, milliseconds(1)) == 0);
  disk.storage->let_all_go();
  CHECK(queue.wait(done, 2) == 1);
}

TEST_CASE("threads: the eventfd is readable when completions are there and were none") {
  HeldDisk disk(2);
  Queue queue(disk.engine, 8);
  const int fd = queue.event_fd();
  CHECK(queue.event_fd() == fd);
  CHECK_FALSE(is_readable(fd));
  const BlockRequest read(RequestKind::read, 1);
  for (int round = 0; round < 3; ++round) {
    REQUIRE(queue.submit(read.request()));
    pollfd one{fd, POLLIN, 0};
    REQUIRE(poll(&one, 1, 10000) == 1);
    eventfd_t count = 0;
    REQUIRE(eventfd_read(fd, &count) == 0);
    CHECK_FALSE(is_readable(fd));
    CHECK(take_cookies(queue, 1).size() == 1);
  }
  // One that is asked for late knows what is there already.
  Queue late(disk.engine, 8);
  REQUIRE(late.submit(read.request()));
  while (late.in_flight() == 1) {
    std::array<Completion, 1> nothing;
    if (late.wait(std::span(nothing).first(0), 0) == 0 && is_readable(late.event_fd())) break;
  }
  CHECK(take_cookies(late, 1).size() == 1);
}
