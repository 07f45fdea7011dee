// A storage in memory.
#ifndef VARVE_IO_MEMORY_STORAGE_H
#define VARVE_IO_MEMORY_STORAGE_H

#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <shared_mutex>
#include <string>
#include <vector>

#include "varve/storage.h"

namespace varve {

/// Keeps only pages that were written, so a storage of 2 TiB costs nothing, and what was never written, or was punched, is a
/// hole. Thread-safe: each call is atomic against each other. Nothing survives it, so flush() does nothing.
class MemoryStorage final : public Storage {
 public:
  static constexpr uint64_t kPageSize = 4096;

  /// Writing more than `capacity` bytes of pages is Errc::no_space, growing beyond `max_size` is Errc::limit.
  explicit MemoryStorage(std::string name = "<memory>", uint64_t capacity = UINT64_MAX, uint64_t max_size = uint64_t{1} << 62);
  MemoryStorage(std::string name, ConstBytes contents);

  const std::string& name() const noexcept override { return name_; }
  uint64_t size() const override;
  void read_at(uint64_t offset, MutableBytes out) override;
  void write_at(uint64_t offset, ConstBytes data) override;
  void flush() override {}
  void resize(uint64_t size) override;
  StorageExtent extent_at(uint64_t offset) override;
  bool punch_hole(uint64_t offset, uint64_t length) override;
  std::optional<StorageId> id() const override;
  std::optional<uint64_t> allocated_bytes() const override { return allocated(); }
  StorageLimits limits() const override { return {static_cast<uint32_t>(kPageSize), false, true}; }

  /// All of it; for storages small enough.
  std::vector<std::byte> contents();
  /// Bytes of pages held.
  uint64_t allocated() const;

 private:
  using Page = std::array<std::byte, kPageSize>;
  void clear(uint64_t offset, uint64_t end);

  const std::string name_;
  const uint64_t capacity_;
  const uint64_t max_size_;
  mutable std::shared_mutex mutex_;  // covers all below, data too: here the data is what the pages are
  uint64_t size_ = 0;
  std::map<uint64_t, std::unique_ptr<Page>> pages_;  // by offset / kPageSize; bytes at or beyond size_ are zero
};

}  // namespace varve

#endif
