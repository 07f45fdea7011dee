// After a flush that failed, what is on the medium is unknown: the host may have dropped the data and report success the next time
// (WRT-11). So the first failed flush of any file of an image, wherever in a driver it was, ends all writing to the image.
#ifndef VARVE_IMAGE_FLUSH_GUARD_H
#define VARVE_IMAGE_FLUSH_GUARD_H

#include <atomic>
#include <memory>
#include <utility>

#include "varve/storage.h"

namespace varve {

/// Shared by an image's node, which refuses writes once it is true, and the guards of its files.
using FlushFailed = std::shared_ptr<std::atomic<bool>>;

/// Passes everything on to the storage below, and notes a flush that fails. Thread-safe as that is.
class FlushGuard final : public Storage {
 public:
  FlushGuard(std::shared_ptr<Storage> below, FlushFailed failed) : below_(std::move(below)), failed_(std::move(failed)) {}

  const std::string& name() const noexcept override { return below_->name(); }
  uint64_t size() const override { return below_->size(); }
  void read_at(uint64_t offset, MutableBytes out) override { below_->read_at(offset, out); }
  void write_at(uint64_t offset, ConstBytes data) override { below_->write_at(offset, data); }
  void flush() override {
    try {
      below_->flush();
    } catch (...) {
      failed_->store(true, std::memory_order_release);
      throw;
    }
  }
  void resize(uint64_t size) override { below_->resize(size); }
  StorageExtent extent_at(uint64_t offset) override { return below_->extent_at(offset); }
  bool punch_hole(uint64_t offset, uint64_t length) override { return below_->punch_hole(offset, length); }
  bool reserve(uint64_t offset, uint64_t length) override { return below_->reserve(offset, length); }
  uint64_t copy_from(Storage& source, uint64_t source_offset, uint64_t offset, uint64_t length) override {
    return below_->copy_from(source, source_offset, offset, length);
  }
  std::optional<StorageId> id() const override { return below_->id(); }
  std::optional<uint64_t> allocated_bytes() const override { return below_->allocated_bytes(); }
  std::optional<uint32_t> mode() const override { return below_->mode(); }
  StorageLimits limits() const override { return below_->limits(); }

 private:
  const std::shared_ptr<Storage> below_;
  const FlushFailed failed_;
};

}  // namespace varve

#endif
