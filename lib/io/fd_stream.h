// Standard input and output as a source and as a storage.
#ifndef VARVE_IO_FD_STREAM_H
#define VARVE_IO_FD_STREAM_H

#include <mutex>
#include <string>

#include "io/byte_stream.h"
#include "io/unique_fd.h"
#include "varve/progress.h"
#include "varve/storage.h"

namespace varve {

inline constexpr size_t kMaxTransfer = size_t{1} << 30;  ///< bytes of one call of the kernel

/// Reads a descriptor from where it stands. It stays the caller's, who must keep it open. While nothing arrives it looks at
/// `cancel`, which may be null and must otherwise outlive it, and throws Errc::cancelled.
class FdByteSource final : public ByteSource {
 public:
  FdByteSource(int fd, std::string name, const CancelToken* cancel = nullptr) : fd_(fd), name_(std::move(name)), cancel_(cancel) {}
  size_t read(MutableBytes out) override;

 private:
  const int fd_;
  const std::string name_;
  const CancelToken* const cancel_;
};

/// Writes a pipe (or whatever `fd` is) from front to back: write_at() takes only the offset at which it stands, anything else is
/// Errc::invalid_argument; reading is Errc::unsupported. size() is what was written. Thread-safe. The descriptor stays the
/// caller's. A reader that has gone is Errc::io, provided that the process ignores SIGPIPE. While the reader takes nothing, write_at()
/// looks at `cancel`, which may be null and must otherwise outlive it, and throws Errc::cancelled.
class PipeStorage final : public Storage {
 public:
  PipeStorage(int fd, std::string name, const CancelToken* cancel = nullptr);

  const std::string& name() const noexcept override { return name_; }
  uint64_t size() const override;
  void read_at(uint64_t offset, MutableBytes out) override;
  void write_at(uint64_t offset, ConstBytes data) override;
  /// What the reader does with it is not known here, unless the output is a file.
  void flush() override;
  /// Only to the size that it has.
  void resize(uint64_t size) override;
  StorageLimits limits() const override { return {512, false, false}; }

 private:
  const int fd_;
  const std::string name_;
  const CancelToken* const cancel_;
  const UniqueFd own_;          // of a pipe if there is `cancel`: writes to it don't wait
  size_t most_ = kMaxTransfer;  // bytes to write at once
  mutable std::mutex mutex_;    // covers written_ and keeps writes whole
  uint64_t written_ = 0;
};

}  // namespace varve

#endif
