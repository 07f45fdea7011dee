// Requests that are under way when something ends: cancelling, freeing, closing, failing.
#include <algorithm>
#include <atomic>
#include <cerrno>
#include <thread>

#include "capi/kit.h"
#include "support/test.h"

using namespace varve::test;

namespace {

constexpr uint64_t kSize = 4 << 20;
using Operation = MemoryFile::Operation;

/// A raw disk that holds its requests back, with two workers for changes, and a queue with 40 writes of which two are being carried out.
struct Busy {
  static constexpr unsigned kRequests = 40;

  MemoryFile memory;
  Disk disk;
  Requests queue;
  std::vector<Block> blocks;

  Busy() {
    memory.set_bytes(Block(kSize));
    disk = open(memory.storage("slow.raw"), options({{"format", "raw"}, {"read-only", "off"}, {"threads", "3"}}));
    queue = queue_of(disk, 64);
    memory.hold();
    for (unsigned i = 0; i < kRequests; ++i) {
      blocks.push_back(pattern(i * 4096, 4096));
      const iovec one = {blocks.back().data(), 4096};
      Told told;
      must(varve_queue_write(queue.get(), i * 4096, &one, 1, 0, i, told), told);
    }
    REQUIRE(eventually([&] { return memory.held() == 2; }));
  }
  ~Busy() { memory.let_go(); }

  struct Ends {
    unsigned done = 0;
    unsigned cancelled = 0;
    unsigned other = 0;
    std::vector<bool> of = std::vector<bool>(64);  ///< by cookie: done
  };
  /// All completions, each cookie once.
  Ends take_all() {
    std::vector<varve_completion> some(64);
    Ends ends;
    std::vector<unsigned> seen(64);
    const int count = varve_queue_wait(queue.get(), some.data(), 64, 64, 20000);
    for (int i = 0; i < count; ++i) {
      ++seen.at(some[static_cast<size_t>(i)].cookie);
      const int code = some[static_cast<size_t>(i)].code;
      ++(code == VARVE_OK ? ends.done : code == VARVE_CANCELLED ? ends.cancelled : ends.other);
      if (code == VARVE_OK) ends.of[some[static_cast<size_t>(i)].cookie] = true;
      varve_error_free(some[static_cast<size_t>(i)].error);
    }
    CHECK(std::count_if(seen.begin(), seen.end(), [](unsigned n) { return n > 1; }) == 0);
    return ends;
  }
};

}  // namespace

TEST_CASE("threads: cancelling ends what has not begun, and lets the rest be done") {
  Busy busy;
  Told told;
  must(varve_queue_flush(busy.queue.get(), 50, told), told);
  CHECK(varve_queue_cancel(busy.queue.get()) == static_cast<int>(Busy::kRequests - 2 + 1));
  CHECK(varve_queue_cancel(busy.queue.get()) == 0);
  CHECK(varve_queue_in_flight(busy.queue.get()) == Busy::kRequests + 1);
  busy.memory.let_go();
  const Busy::Ends ends = busy.take_all();
  CHECK(ends.done == 2);
  CHECK(ends.cancelled == Busy::kRequests - 2 + 1);
  CHECK(ends.other == 0);
  CHECK(busy.memory.count(Operation::write) == 2);
  // The queue goes on.
  must(varve_queue_flush(busy.queue.get(), 1, told), told);
  CHECK(busy.take_all().done == 1);
}

TEST_CASE("threads: freeing a queue waits for what has begun, and after it no buffer is read any more") {
  Busy busy;
  std::atomic<bool> freed{false};
  std::thread freeing([&] {
    busy.queue.reset();
    freed = true;
  });
  std::this_thread::sleep_for(std::chrono::milliseconds(30));
  CHECK_FALSE(freed.load());
  busy.memory.let_go();
  freeing.join();
  busy.blocks.clear();
  CHECK(busy.memory.count(Operation::write) == 2);
  write(busy.disk, 0, pattern(0, 512));
}

TEST_CASE("threads: closing with requests under way loses none: each is done or cancelled, and what is done is there") {
  Busy busy;
  std::atomic<int> code{1};
  std::thread closing([&] { code = varve_close(busy.disk.get(), nullptr); });
  std::this_thread::sleep_for(std::chrono::milliseconds(30));
  CHECK(code.load() == 1);
  CHECK(varve_queue_in_flight(busy.queue.get()) == Busy::kRequests);
  busy.memory.let_go();
  closing.join();
  CHECK(code.load() == VARVE_OK);
  const Busy::Ends ends = busy.take_all();
  CHECK(ends.done == 2);
  CHECK(ends.cancelled == Busy::kRequests - 2);
  const Block bytes = busy.memory.bytes();
  for (unsigned i = 0; i < Busy::kRequests; ++i) {
    CAPTURE(i);
    const Block there(bytes.begin() + i * 4096, bytes.begin() + (i + 1) * 4096);
    const bool is_done = ends.of[i];
    CHECK(there == (is_done ? pattern(i * 4096, 4096) : Block(4096)));
  }
  // What is submitted afterwards is refused by its completion, but reading goes on.
  Block back(512);
  const iovec target = {back.data(), back.size()};
  Told told;
  must(varve_queue_read(busy.queue.get(), 0, &target, 1, 1, told), told);
  CHECK(busy.take_all().done == 1);
  must(varve_queue_zero(busy.queue.get(), 0, 512, 0, 1, told), told);
  CHECK(busy.take_all().other == 1);
}

TEST_CASE("threads: a storage that is full fails each request with its own completion") {
  Busy busy;
  busy.memory.fail(Operation::write, ENOSPC);
  busy.memory.let_go();
  std::vector<varve_completion> all(64);
  REQUIRE(varve_queue_wait(busy.queue.get(), all.data(), Busy::kRequests, 64, 20000) == static_cast<int>(Busy::kRequests));
  for (unsigned i = 0; i < Busy::kRequests; ++i) {
    CHECK(all[i].code == VARVE_NO_SPACE);
    CHECK(varve_error_disk_offset(all[i].error, nullptr) == 0);
    uint64_t at = 0;
    CHECK(varve_error_file_offset(all[i].error, &at) == 1);
    CHECK(at == all[i].cookie * 4096);
    varve_error_free(all[i].error);
  }
}

TEST_CASE("threads: calls that want the image for themselves wait for what has begun and hold back the rest") {
  Busy busy;
  std::atomic<int> code{1};
  std::thread resizing([&] { code = varve_resize(busy.disk.get(), 2 * kSize, 0, nullptr); });
  std::this_thread::sleep_for(std::chrono::milliseconds(30));
  CHECK(code.load() == 1);
  CHECK(busy.memory.count(Operation::resize) == 0);
  busy.memory.let_go();
  resizing.join();
  CHECK(code.load() == VARVE_OK);
  CHECK(busy.take_all().done == Busy::kRequests);
  CHECK(varve_size(busy.disk.get()) == 2 * kSize);
}

TEST_CASE("threads: a disk that shrinks fails requests behind its new end, and no other") {
  Busy busy;
  constexpr unsigned kKept = 20;
  std::atomic<int> code{1};
  std::thread resizing([&] { code = varve_resize(busy.disk.get(), kKept * 4096, 1, nullptr); });
  std::this_thread::sleep_for(std::chrono::milliseconds(30));
  busy.memory.let_go();
  resizing.join();
  CHECK(code.load() == VARVE_OK);
  const Busy::Ends ends = busy.take_all();
  CHECK(ends.done + ends.other == Busy::kRequests);
  for (unsigned i = 0; i < kKept; ++i) CHECK(ends.of[i]);
  CHECK(ends.other > 0);
}
