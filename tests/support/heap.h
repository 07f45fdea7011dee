// The heap of the program under test: how much it takes, and what happens when it has no more. heap.cc replaces operator new and belongs
// into programs that want it, not into the common library. What C libraries take by malloc is not seen.
#ifndef VARVE_TESTS_SUPPORT_HEAP_H
#define VARVE_TESTS_SUPPORT_HEAP_H

#include <cstdint>

namespace varve::test {

/// Starts counting the peak anew, from what is in use now.
void heap_reset_peak();
/// Bytes in use at the peak since heap_reset_peak(), beyond what was in use then.
uint64_t heap_peak();

/// Bytes in use now.
uint64_t heap_in_use();

/// While it lives, allocation number `k` (counting from 1, over all threads) throws std::bad_alloc; others succeed. k = 0: none does, they
/// are counted only.
class FailAllocation {
 public:
  explicit FailAllocation(uint64_t k);
  ~FailAllocation();
  FailAllocation(const FailAllocation&) = delete;
  FailAllocation& operator=(const FailAllocation&) = delete;
  /// Allocations since the beginning.
  uint64_t count() const;
  bool failed() const;
};

}  // namespace varve::test

#endif
