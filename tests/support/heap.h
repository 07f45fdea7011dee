// The heap of the program under test: how much it takes, and what happens when it has no more. heap.cc replaces malloc and operator new and
// belongs into programs that want it, not into the common library.
#ifndef VARVE_TESTS_SUPPORT_HEAP_H
#define VARVE_TESTS_SUPPORT_HEAP_H

#include <cstdint>

namespace varve::test {

/// Starts counting the peak anew, from what is in use now.
void heap_reset_peak();
/// Bytes in use at the peak since heap_reset_peak(), beyond what was in use then. C libraries' count, too, if heap_sees_malloc().
uint64_t heap_peak();
/// Not where a sanitizer owns malloc.
bool heap_sees_malloc();

/// Bytes of operator new in use now.
uint64_t heap_in_use();

/// While it lives, allocation number `k` (counting from 1, over all threads) fails, with `sticky` all later ones too; others succeed. k =
/// 0: none does, they are counted only. C libraries' are among them if heap_sees_malloc().
class FailAllocation {
 public:
  explicit FailAllocation(uint64_t k, bool sticky = false);
  ~FailAllocation();
  FailAllocation(const FailAllocation&) = delete;
  FailAllocation& operator=(const FailAllocation&) = delete;
  /// Allocations since the beginning.
  uint64_t count() const;
  bool failed() const;
};

/// While it lives, allocations are neither counted nor failed: what a test notes down in the middle of a script is not the script's.
class UncountedAllocations {
 public:
  UncountedAllocations();
  ~UncountedAllocations();
  UncountedAllocations(const UncountedAllocations&) = delete;
  UncountedAllocations& operator=(const UncountedAllocations&) = delete;

 private:
  const bool counted_;
};

}  // namespace varve::test

#endif
