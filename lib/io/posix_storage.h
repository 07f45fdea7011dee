// A regular file or a block device of the host.
#ifndef VARVE_IO_POSIX_STORAGE_H
#define VARVE_IO_POSIX_STORAGE_H

#include <memory>
#include <string>

#include "io/direct_io.h"
#include "io/unique_fd.h"
#include "varve/image.h"
#include "varve/storage.h"

namespace varve {

/// Stateless above the descriptor: every call is one or a few positional system calls, so any number of threads may use it. With
/// Cache::none whole blocks take another descriptor (io/direct_io.h).
/// A block device has the size that it had when it was opened.
class PosixStorage final : public Storage {
 public:
  /// `fd` is open on a regular file or a block device (Errc::invalid_argument otherwise). `durable` false: flush() does nothing.
  /// With Cache::none the file is opened once more; Errc::unsupported where direct I/O is not possible.
  PosixStorage(UniqueFd fd, std::string name, bool durable, Cache cache = Cache::writeback);

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
  void ask_device(uint64_t number);
  Error too_short(uint64_t offset) const;
  void read_cached(uint64_t offset, MutableBytes out) const;
  void write_cached(uint64_t offset, ConstBytes data) const;
  bool change_allocation(int mode, uint64_t offset, uint64_t length, const char* what);
  uint64_t share_blocks(const PosixStorage& source, uint64_t source_offset, uint64_t offset, uint64_t length) const;

  // Constant after construction.
  UniqueFd fd_;
  std::string name_;
  bool durable_;
  uint64_t device_size_ = 0;
  StorageId id_;
  StorageLimits limits_;
  std::unique_ptr<DirectIo> direct_;  ///< null: Cache::writeback
};

/// A storage over the file or block device that `fd` has open for what is to be done with it. The descriptor stays the caller's and is
/// duplicated, so the position of both is the same and may move. No lock is taken; that the process drops its own traditional record locks
/// (F_SETLK) on a file when it closes any descriptor of it holds for this one, too. A descriptor that was opened with O_DIRECT can't move
/// parts of blocks and so is opened once more, without it. Throws invalid_argument for what is no descriptor of a file or block device that
/// can be read at any place, unsupported where the file can't be opened once more, or not for direct I/O, and that is needed.
std::shared_ptr<Storage> storage_of_descriptor(int fd, std::string name, bool durable, Cache cache);

}  // namespace varve

#endif
