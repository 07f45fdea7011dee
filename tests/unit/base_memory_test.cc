#include <algorithm>
#include <cstdint>
#include <utility>
#include <vector>

#include "base/aligned_buffer.h"
#include "base/zero.h"
#include "support/test.h"

using namespace varve;  // NOLINT: a test of one namespace

TEST_CASE("one byte that is not zero is seen wherever it is") {
  for (size_t size = 0; size < 300; ++size) {
    std::vector<std::byte> bytes(size + 1);
    const MutableBytes range = MutableBytes(bytes).subspan(1);  // also at an odd address
    CHECK(is_zero(range));
    for (size_t i = 0; i < size; ++i) {
      range[i] = std::byte{1};
      REQUIRE_FALSE(is_zero(range));
      range[i] = std::byte{0};
    }
  }
}

TEST_CASE("equal bytes that are not zero are not zeros") {
  const std::vector<std::byte> bytes(4096, std::byte{0x55});
  CHECK_FALSE(is_zero(bytes));
}

TEST_CASE("the memory of a buffer is aligned and only grows") {
  for (const size_t alignment : {16U, 512U, 4096U, 65536U}) {
    AlignedBuffer buffer(1, alignment);
    for (const size_t size : {10U, 100000U, 5U, 200000U}) {
      buffer.resize(size);
      CHECK(buffer.size() == size);
      CHECK(reinterpret_cast<uintptr_t>(buffer.data()) % alignment == 0);
    }
    CHECK(buffer.capacity() == 200000);
  }
  CHECK(AlignedBuffer().empty());
}

TEST_CASE("a buffer keeps its bytes when it is resized or moved") {
  AlignedBuffer buffer(3);
  std::ranges::fill(buffer.bytes(), std::byte{7});
  buffer.resize(9000);
  CHECK(std::ranges::all_of(buffer.first(3), [](std::byte b) { return b == std::byte{7}; }));
  AlignedBuffer other = std::move(buffer);
  CHECK(other.size() == 9000);
  CHECK(other.data()[2] == std::byte{7});
  AlignedBuffer third(1);
  third = std::move(other);
  CHECK(third.size() == 9000);
  third.reset(20000);
  CHECK(third.size() == 20000);
}

TEST_CASE("a buffer pool lends what came back, at its own size, and keeps no more than it may") {
  BufferPool pool(4096, 2);
  const std::byte* first = nullptr;
  {
    auto lease = pool.take();
    first = lease->data();
    lease->resize(10);
  }
  CHECK(pool.idle() == 1);
  {
    auto a = pool.take();
    CHECK(a->data() == first);
    CHECK(a->size() == 4096);
    auto b = pool.take();
    auto c = pool.take();
    CHECK(pool.idle() == 0);
  }
  CHECK(pool.idle() == 2);
}

TEST_CASE("moving a lease neither loses nor returns its object twice") {
  BufferPool pool(16, 8);
  {
    auto a = pool.take();
    auto b = pool.take();
    a = std::move(b);
    auto c = std::move(a);
    CHECK(c->size() == 16);
  }
  CHECK(pool.idle() == 2);
}
