// A count that many processors change at once without getting in each other's way.
#ifndef VARVE_BASE_STRIPED_COUNT_H
#define VARVE_BASE_STRIPED_COUNT_H

#include <sched.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

namespace varve {

/// Each processor has a part of the count, in a cache line of its own as far as there are enough of them. Thread-safe; all in one order
/// with other sequentially consistent operations.
class StripedCount {
 public:
  /// Returns the part that was counted in: remove() wants it back.
  size_t add() noexcept {
    const int processor = sched_getcpu();
    const size_t part = processor < 0 ? 0 : static_cast<size_t>(processor) % kParts;
    parts_[part].count.fetch_add(1);
    return part;
  }
  /// True: this part is zero now.
  bool remove(size_t part) noexcept { return parts_[part].count.fetch_sub(1) == 1; }
  /// Looked at one part after the other: each of them was zero once since the call.
  bool is_zero() const noexcept {
    return std::all_of(parts_.begin(), parts_.end(), [](const Part& part) { return part.count.load() == 0; });
  }

 private:
  static constexpr size_t kParts = 16;
  static constexpr size_t kCacheLine = 64;
  struct alignas(kCacheLine) Part {
    std::atomic<uint64_t> count{0};
  };
  std::array<Part, kParts> parts_;
};

}  // namespace varve

#endif
