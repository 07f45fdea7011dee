// A file as it would be after its log was replayed: for images that are opened for reading, whose file must not change [RES-6].
#ifndef VARVE_FORMATS_VHDX_REPLAYED_STORAGE_H
#define VARVE_FORMATS_VHDX_REPLAYED_STORAGE_H

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/interval_set.h"
#include "varve/storage.h"
#include "vhdx/log.h"

namespace varve::vhdx {

/// Read-only; holds the sectors of the log in memory, which Limits bound. Thread-safe.
class ReplayedStorage final : public Storage {
 public:
  ReplayedStorage(std::shared_ptr<Storage> file, const PendingLog& log);

  /// Brings all changes into the file and flushes it. The log itself stays: the caller then replaces the header.
  void write_into_file();

  const std::string& name() const noexcept override { return file_->name(); }
  uint64_t size() const override { return size_; }
  void read_at(uint64_t offset, MutableBytes out) override;
  void write_at(uint64_t offset, ConstBytes data) override;
  void flush() override {}
  void resize(uint64_t size) override;
  std::optional<StorageId> id() const override { return file_->id(); }
  std::optional<uint64_t> allocated_bytes() const override { return file_->allocated_bytes(); }
  std::optional<uint32_t> mode() const override { return file_->mode(); }
  StorageLimits limits() const override { return file_->limits(); }

 private:
  void zero(uint64_t offset, uint64_t length);
  void read_file(uint64_t offset, MutableBytes out) const;

  const std::shared_ptr<Storage> file_;
  const uint64_t size_;
  std::map<uint64_t, std::vector<std::byte>> sectors_;  ///< by offset
  IntervalSet zeros_;                                   ///< what is zero unless one of sectors_ lies there
};

}  // namespace varve::vhdx

#endif
