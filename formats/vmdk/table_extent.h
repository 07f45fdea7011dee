// What the two sparse layouts of ESXi have in common: tables, and grains that are stored as they are. Read only.
#ifndef VARVE_FORMATS_VMDK_TABLE_EXTENT_H
#define VARVE_FORMATS_VMDK_TABLE_EXTENT_H

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "vmdk/extent.h"
#include "vmdk/grain_owners.h"
#include "vmdk/sector_ranges.h"
#include "vmdk/structures.h"
#include "vmdk/table_cache.h"

namespace varve::vmdk {

/// What a table's entry says of its grain.
struct GrainPlace {
  bool known = true;  ///< false: the entry means nothing
  ExtentKind kind = ExtentKind::absent;
  uint64_t offset = 0;  ///< of data: in the file, bytes
};

/// How the data lies in the file.
struct GrainLayout {
  uint64_t size = 0;         ///< of the extent
  uint64_t grain_bytes = 0;  ///< a power of two
  /// Grains begin at a multiple of `alignment` behind byte `first`. Where owners are told apart by that, the map of them is smallest.
  uint64_t first = 0;
  uint64_t alignment = kSectorSize;
};

class TableExtent : public ExtentDriver {
 public:
  uint64_t size() const override { return layout_.size; }
  uint64_t granularity() const override { return layout_.grain_bytes; }
  void read_at(uint64_t offset, MutableBytes out) override;
  Extent extent_at(uint64_t offset, uint64_t limit) override;
  uint64_t allocated_bytes() const override;
  void check(const CheckOptions& options, CheckReport& report) override;

 protected:
  /// `metadata`: where no grain may lie [MEM-18], settled. `metadata_bytes` bounds what is held of the tables, and what check() takes.
  TableExtent(std::shared_ptr<Storage> file, const GrainLayout& layout, TableLayout tables, SectorRanges metadata, uint64_t metadata_bytes);

  /// May return a place outside the file, but none that overflows with a grain's length.
  virtual GrainPlace place_of(uint64_t entry) const noexcept = 0;

 private:
  GrainPlace checked_place(uint64_t entry, uint64_t grain, uint64_t file_size) const;
  uint64_t grain_length(uint64_t grain) const;
  void check_grains(GrainOwners& owners, const CheckOptions& options, CheckReport& report);
  Finding damage(std::string message, uint64_t grain, std::optional<uint64_t> file_offset) const;

  const std::shared_ptr<Storage> file_;
  const GrainLayout layout_;
  const SectorRanges metadata_;
  const uint64_t metadata_bytes_;
  TableCache tables_;
};

}  // namespace varve::vmdk

#endif
