// A regular file or a block device of the host.
#ifndef VARVE_IO_POSIX_STORAGE_H
#define VARVE_IO_POSIX_STORAGE_H

#include <string>

#include "io/unique_fd.h"
#include "varve/storage.h"

namespace varve {

/// Stateless above the descriptor: every call is one or a few positional system calls, so any number of threads may use it.
/// A block device has the size that it had when it was opened.
class PosixStorage final : public Storage {
 public:
  /// `fd` is open on a regular file or a block device (Errc::invalid_argument otherwise). `durable` false: flush() does nothing.
  PosixStorage(UniqueFd fd, std::string name, bool durable);

  const std::string& name() const noexcept override { return name_; }
  uint64_t size() const override;
  void read_at(uint64_t offset, MutableBytes out) override;
  void write_at(uint64_t offset, ConstBytes data) override;
  void flush() override;
  void resize(uint64_t size) override;
  StorageExtent extent_at(uint64_t offset) override;
  bool punch_hole(uint64_t offset, uint64_t length) override;
  bool reserve(uint64_t offset, uint64_t length) override;
  uint64_t copy_from(Storage& source, uint64_t source_offset, uint64_t offset, uint64_t length) override;
  std::optional<StorageId> id() const override { return id_; }
  std::optional<uint64_t> allocated_bytes() const override;
  std::optional<uint32_t> mode() const override;
  StorageLimits limits() const override { return limits_; }

  int fd() const noexcept { return fd_.get(); }
  bool is_device() const noexcept { return limits_.fixed_size; }

 private:
  bool change_allocation(int mode, uint64_t offset, uint64_t length, const char* what);
  uint64_t share_blocks(const PosixStorage& source, uint64_t source_offset, uint64_t offset, uint64_t length) const;

  // Constant after construction.
  UniqueFd fd_;
  std::string name_;
  bool durable_;
  uint64_t device_size_ = 0;
  StorageId id_;
  StorageLimits limits_;
};

}  // namespace varve

#endif
