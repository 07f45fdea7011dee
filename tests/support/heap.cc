#include "support/heap.h"

#include <malloc.h>

#include <atomic>
#include <cerrno>
#include <cstdint>
#include <cstdlib>
#include <new>

#if defined(__has_feature)
#define VARVE_HAS_FEATURE(x) __has_feature(x)
#else
#define VARVE_HAS_FEATURE(x) 0
#endif
#if defined(__GLIBC__) && !defined(__SANITIZE_ADDRESS__) && !VARVE_HAS_FEATURE(address_sanitizer)
#define VARVE_OWNS_MALLOC 1
#else
#define VARVE_OWNS_MALLOC 0
#endif

#if VARVE_OWNS_MALLOC
// The C library's own, under the names that it keeps for whoever replaces these.
extern "C" {
void* __libc_malloc(size_t size);                      // NOLINT
void* __libc_calloc(size_t count, size_t size);        // NOLINT
void* __libc_realloc(void* memory, size_t size);       // NOLINT
void* __libc_memalign(size_t alignment, size_t size);  // NOLINT
void __libc_free(void* memory);                        // NOLINT
}
#endif

namespace {

std::atomic<int64_t> in_use{0};        // NOLINT: an allocator has no other place
std::atomic<int64_t> new_in_use{0};    // NOLINT
std::atomic<int64_t> peak{0};          // NOLINT
std::atomic<int64_t> start{0};         // NOLINT
std::atomic<uint64_t> allocations{0};  // NOLINT
std::atomic<uint64_t> fail_at{0};      // NOLINT
std::atomic<bool> fail_on{false};      // NOLINT
std::atomic<bool> counting{false};     // NOLINT
std::atomic<bool> has_failed{false};   // NOLINT

void count_taken(void* memory) noexcept {
  if (memory == nullptr) return;
  const auto size = static_cast<int64_t>(malloc_usable_size(memory));
  const int64_t now = in_use.fetch_add(size) + size;
  int64_t seen = peak.load(std::memory_order_relaxed);
  while (now > seen && !peak.compare_exchange_weak(seen, now)) {
  }
}

void count_given_back(void* memory) noexcept {
  if (memory != nullptr) in_use.fetch_sub(static_cast<int64_t>(malloc_usable_size(memory)));
}

/// Counts an allocation. True if it is to fail.
bool refuses() noexcept {
  if (!counting.load(std::memory_order_relaxed)) return false;
  const uint64_t number = allocations.fetch_add(1) + 1;
  const uint64_t first = fail_at.load(std::memory_order_relaxed);
  if (number != first && (first == 0 || number < first || !fail_on.load(std::memory_order_relaxed))) return false;
  has_failed = true;
  errno = ENOMEM;
  return true;
}

void* from_the_host(size_t size, size_t alignment) noexcept {
#if VARVE_OWNS_MALLOC
  return alignment == 0 ? __libc_malloc(size) : __libc_memalign(alignment, size);
#else
  return alignment == 0 ? std::malloc(size) : std::aligned_alloc(alignment, (size + alignment - 1) / alignment * alignment);
#endif
}

void* take(size_t size, size_t alignment) {
  void* const memory = refuses() ? nullptr : from_the_host(size == 0 ? 1 : size, alignment);
  if (memory == nullptr) throw std::bad_alloc();
  new_in_use.fetch_add(static_cast<int64_t>(malloc_usable_size(memory)));
  count_taken(memory);
  return memory;
}

void give_back(void* memory) noexcept {
  if (memory == nullptr) return;
  new_in_use.fetch_sub(static_cast<int64_t>(malloc_usable_size(memory)));
  if (VARVE_OWNS_MALLOC == 0) count_given_back(memory);
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

#if VARVE_OWNS_MALLOC
extern "C" {
void* malloc(size_t size) noexcept {
  void* const memory = refuses() ? nullptr : __libc_malloc(size);
  count_taken(memory);
  return memory;
}

void* calloc(size_t count, size_t size) noexcept {
  void* const memory = refuses() ? nullptr : __libc_calloc(count, size);
  count_taken(memory);
  return memory;
}

void* realloc(void* memory, size_t size) noexcept {
  if (refuses()) return nullptr;
  const size_t before = memory == nullptr ? 0 : malloc_usable_size(memory);
  void* const moved = __libc_realloc(memory, size);
  if (moved == nullptr && size != 0) return nullptr;  // what was there stays
  in_use.fetch_sub(static_cast<int64_t>(before));
  count_taken(moved);
  return moved;
}

void* memalign(size_t alignment, size_t size) noexcept {
  void* const memory = refuses() ? nullptr : __libc_memalign(alignment, size);
  count_taken(memory);
  return memory;
}

void* aligned_alloc(size_t alignment, size_t size) noexcept { return memalign(alignment, size); }

int posix_memalign(void** memory, size_t alignment, size_t size) noexcept {
  void* const taken = memalign(alignment, size);
  if (taken == nullptr) return ENOMEM;
  *memory = taken;
  return 0;
}

void free(void* memory) noexcept {
  count_given_back(memory);
  __libc_free(memory);
}
}
#endif

namespace varve::test {

bool heap_sees_malloc() { return VARVE_OWNS_MALLOC != 0; }

void heap_reset_peak() {
  start = in_use.load();
  peak = start.load();
}

uint64_t heap_peak() { return static_cast<uint64_t>(peak.load() - start.load()); }

uint64_t heap_in_use() { return static_cast<uint64_t>(new_in_use.load()); }

FailAllocation::FailAllocation(uint64_t k, bool sticky) {
  allocations = 0;
  has_failed = false;
  fail_at = k;
  fail_on = sticky;
  counting = true;
}

FailAllocation::~FailAllocation() { counting = false; }

uint64_t FailAllocation::count() const { return allocations; }

bool FailAllocation::failed() const { return has_failed; }

UncountedAllocations::UncountedAllocations() : counted_(counting.exchange(false)) {}

UncountedAllocations::~UncountedAllocations() { counting = counted_; }

}  // namespace varve::test
