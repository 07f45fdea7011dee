// A compressed extent, as in streamOptimized images, read at any offset through its directory. Read only.
//
// A grain is read with its marker, whose LBA must be the one asked for, and decoded straight into the caller's buffer where all of it is
// wanted. Grains lie one behind the other in the file, so a large request reads many at once.
#ifndef VARVE_FORMATS_VMDK_STREAM_EXTENT_H
#define VARVE_FORMATS_VMDK_STREAM_EXTENT_H

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "base/pool.h"
#include "vmdk/extent.h"
#include "vmdk/grain_cache.h"
#include "vmdk/grain_directory.h"
#include "vmdk/header.h"
#include "vmdk/stream_grain.h"
#include "vmdk/table_cache.h"

namespace varve::vmdk {

/// Thread-safe as ExtentDriver says.
class StreamExtent final : public ExtentDriver {
 public:
  /// `header` is the one at the front of `file`; the footer is looked up where it has to be.
  StreamExtent(std::shared_ptr<Storage> file, const SparseHeader& header, const Limits& limits);

  /// That of the footer if there is one.
  const SparseHeader& header() const { return header_; }

  uint64_t size() const override { return header_.capacity_bytes(); }
  uint64_t granularity() const override { return header_.grain_bytes(); }
  void read_at(uint64_t offset, MutableBytes out) override;
  Extent extent_at(uint64_t offset, uint64_t limit) override;
  uint64_t allocated_bytes() const override;

 private:
  struct Wanted {
    uint64_t grain = 0;
    uint64_t offset = 0;  ///< in the file
    MutableBytes out;
  };

  ExtentKind kind_of(uint64_t entry) const;
  uint64_t length_of(uint64_t grain) const;
  uint64_t checked_offset(uint64_t grain, uint64_t sector) const;
  uint64_t end_of(uint64_t grain, uint64_t offset);
  void read_part(uint64_t grain, uint64_t within, MutableBytes out);
  void read_whole(uint64_t first, uint64_t count, MutableBytes out);
  void read_group(std::span<const Wanted> group);
  void decode(const Wanted& wanted, ConstBytes bytes);

  const std::shared_ptr<Storage> file_;
  const SparseHeader header_;
  const uint64_t file_size_;
  const GrainDirectory directory_;
  TableCache tables_;
  GrainDecoder decoder_;
  Pool<std::vector<std::byte>> buffers_;
  GrainCache decoded_;
};

}  // namespace varve::vmdk

#endif
