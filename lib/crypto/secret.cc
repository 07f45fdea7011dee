#include "varve/secret.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <new>
#include <utility>

#include "base/checked_math.h"
#include "crypto/kdf.h"

namespace varve {

/// Pages of its own: whatever is done to them is done to nothing else.
Secret::Secret(size_t size) {
  if (size == 0) return;
  const size_t pages = align_up(size, static_cast<size_t>(sysconf(_SC_PAGESIZE)));
  void* const mapped = mmap(nullptr, pages, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (mapped == MAP_FAILED) throw std::bad_alloc();
  // Without the right to lock memory we go on: better a key that might be swapped out than no disk.
  mlock(mapped, pages);
  madvise(mapped, pages, MADV_DONTDUMP);
  madvise(mapped, pages, MADV_WIPEONFORK);
  data_ = static_cast<std::byte*>(mapped);
  size_ = size;
  mapped_ = pages;
}

Secret::Secret(ConstBytes bytes) : Secret(bytes.size()) { std::copy(bytes.begin(), bytes.end(), data_); }

Secret::Secret(Secret&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)), mapped_(std::exchange(other.mapped_, 0)) {}

Secret& Secret::operator=(Secret&& other) noexcept {
  Secret given_up(std::move(other));
  std::swap(data_, given_up.data_);
  std::swap(size_, given_up.size_);
  std::swap(mapped_, given_up.mapped_);
  return *this;
}

Secret::~Secret() {
  if (data_ == nullptr) return;
  wipe({data_, mapped_});
  munmap(data_, mapped_);
}

void Secret::shorten(size_t size) noexcept {
  wipe({data_ + size, size_ - size});
  size_ = size;
}

}  // namespace varve
