#include "base/aligned_buffer.h"

#include <algorithm>
#include <cstring>
#include <memory_resource>
#include <utility>

namespace varve {

AlignedBuffer::AlignedBuffer(AlignedBuffer&& other) noexcept
    : alignment_(other.alignment_),
      data_(std::exchange(other.data_, nullptr)),
      size_(std::exchange(other.size_, 0)),
      capacity_(std::exchange(other.capacity_, 0)) {}

AlignedBuffer& AlignedBuffer::operator=(AlignedBuffer&& other) noexcept {
  std::swap(alignment_, other.alignment_);
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  std::swap(capacity_, other.capacity_);
  return *this;
}

AlignedBuffer::~AlignedBuffer() { release(); }

void AlignedBuffer::release() noexcept {
  if (data_ != nullptr) std::pmr::new_delete_resource()->deallocate(data_, capacity_, alignment_);
}

void AlignedBuffer::change_size(size_t size, size_t keep) {
  if (size > capacity_) {
    auto* grown = static_cast<std::byte*>(std::pmr::new_delete_resource()->allocate(size, alignment_));
    if (const size_t kept = std::min(keep, size_); kept != 0) std::memcpy(grown, data_, kept);
    release();
    data_ = grown;
    capacity_ = size;
  }
  size_ = size;
}

BufferPool::BufferPool(size_t buffer_size, size_t max_idle, size_t alignment)
    : buffer_size_(buffer_size), pool_([=] { return std::make_unique<AlignedBuffer>(buffer_size, alignment); }, max_idle) {}

BufferPool::Lease BufferPool::take() {
  Lease buffer = pool_.borrow();
  buffer->reset(buffer_size_);
  return buffer;
}

}  // namespace varve
