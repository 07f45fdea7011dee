// Memory for I/O: aligned, and never filled just to be overwritten.
#ifndef VARVE_BASE_ALIGNED_BUFFER_H
#define VARVE_BASE_ALIGNED_BUFFER_H

#include "base/pool.h"
#include "varve/storage.h"

namespace varve {

/// Bytes whose address is a multiple of `alignment`. New bytes have no value in particular. Not thread-safe.
class AlignedBuffer {
 public:
  static constexpr size_t kPage = 4096;

  explicit AlignedBuffer(size_t size = 0, size_t alignment = kPage) : alignment_(alignment) { resize(size); }
  AlignedBuffer(AlignedBuffer&& other) noexcept;
  AlignedBuffer& operator=(AlignedBuffer&& other) noexcept;
  ~AlignedBuffer();

  std::byte* data() noexcept { return data_; }
  const std::byte* data() const noexcept { return data_; }
  size_t size() const noexcept { return size_; }
  size_t capacity() const noexcept { return capacity_; }
  bool empty() const noexcept { return size_ == 0; }
  MutableBytes bytes() noexcept { return {data_, size_}; }
  ConstBytes bytes() const noexcept { return {data_, size_}; }
  MutableBytes first(size_t count) { return bytes().first(count); }

  /// Keeps the first min(old, new) bytes. Memory only grows.
  void resize(size_t size) { change_size(size, size_); }
  /// The same, but all bytes may lose their value: growing copies nothing.
  void reset(size_t size) { change_size(size, 0); }

 private:
  void change_size(size_t size, size_t keep);
  void release() noexcept;

  size_t alignment_;
  std::byte* data_ = nullptr;
  size_t size_ = 0;
  size_t capacity_ = 0;
};

/// Lends buffers of one size and alignment. Thread-safe.
class BufferPool {
 public:
  using Lease = Pool<AlignedBuffer>::Lease;

  explicit BufferPool(size_t buffer_size, size_t max_idle = 16, size_t alignment = AlignedBuffer::kPage);

  /// A buffer of buffer_size() bytes. The borrower may resize it.
  Lease take();
  size_t buffer_size() const noexcept { return buffer_size_; }
  size_t idle() const { return pool_.idle(); }

 private:
  const size_t buffer_size_;
  Pool<AlignedBuffer> pool_;
};

}  // namespace varve

#endif
