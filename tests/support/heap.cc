#include "support/heap.h"

#include <malloc.h>

#include <atomic>
#include <cstdlib>
#include <new>

namespace {

std::atomic<int64_t> in_use{0};        // NOLINT: an allocator has no other place
std::atomic<int64_t> peak{0};          // NOLINT
std::atomic<int64_t> start{0};         // NOLINT
std::atomic<uint64_t> allocations{0};  // NOLINT
std::atomic<uint64_t> fail_at{0};      // NOLINT
std::atomic<bool> counting{false};     // NOLINT
std::atomic<bool> has_failed{false};   // NOLINT

void* take(size_t size, size_t alignment) {
  if (counting.load(std::memory_order_relaxed)) {
    const uint64_t number = allocations.fetch_add(1) + 1;
    if (number == fail_at.load(std::memory_order_relaxed)) {
      has_failed = true;
      throw std::bad_alloc();
    }
  }
  if (size == 0) size = 1;
  void* memory = alignment == 0 ? std::malloc(size) : std::aligned_alloc(alignment, (size + alignment - 1) / alignment * alignment);
  if (memory == nullptr) throw std::bad_alloc();
  const int64_t now = in_use.fetch_add(static_cast<int64_t>(malloc_usable_size(memory))) + static_cast<int64_t>(malloc_usable_size(memory));
  int64_t seen = peak.load(std::memory_order_relaxed);
  while (now > seen && !peak.compare_exchange_weak(seen, now)) {
  }
  return memory;
}

void give_back(void* memory) noexcept {
  if (memory == nullptr) return;
  in_use.fetch_sub(static_cast<int64_t>(malloc_usable_size(memory)));
  std::free(memory);
}

void* take_or_null(size_t size) noexcept {
  try {
    return take(size, 0);
  } catch (const std::bad_alloc&) {
    return nullptr;
  }
}

}  // namespace

// All forms that are in use, or a sanitizer's own would meet our delete.
void* operator new(size_t size, const std::nothrow_t&) noexcept { return take_or_null(size); }
void* operator new[](size_t size, const std::nothrow_t&) noexcept { return take_or_null(size); }
void* operator new(size_t size) { return take(size, 0); }
void* operator new[](size_t size) { return take(size, 0); }
void* operator new(size_t size, std::align_val_t alignment) { return take(size, static_cast<size_t>(alignment)); }
void* operator new[](size_t size, std::align_val_t alignment) { return take(size, static_cast<size_t>(alignment)); }
void operator delete(void* memory) noexcept { give_back(memory); }
void operator delete[](void* memory) noexcept { give_back(memory); }
void operator delete(void* memory, const std::nothrow_t&) noexcept { give_back(memory); }
void operator delete[](void* memory, const std::nothrow_t&) noexcept { give_back(memory); }
void operator delete(void* memory, size_t) noexcept { give_back(memory); }
void operator delete[](void* memory, size_t) noexcept { give_back(memory); }
void operator delete(void* memory, std::align_val_t) noexcept { give_back(memory); }
void operator delete[](void* memory, std::align_val_t) noexcept { give_back(memory); }
void operator delete(void* memory, size_t, std::align_val_t) noexcept { give_back(memory); }
void operator delete[](void* memory, size_t, std::align_val_t) noexcept { give_back(memory); }

namespace varve::test {

void heap_reset_peak() {
  start = in_use.load();
  peak = start.load();
}

uint64_t heap_peak() { return static_cast<uint64_t>(peak.load() - start.load()); }

uint64_t heap_in_use() { return static_cast<uint64_t>(in_use.load()); }

FailAllocation::FailAllocation(uint64_t k) {
  allocations = 0;
  has_failed = false;
  fail_at = k;
  counting = true;
}

FailAllocation::~FailAllocation() { counting = false; }

uint64_t FailAllocation::count() const { return allocations; }

bool FailAllocation::failed() const { return has_failed; }

}  // namespace varve::test
