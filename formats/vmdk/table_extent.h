// What the two sparse layouts of ESXi have in common: tables, and grains that are stored as they are. Read only.
#ifndef VARVE_FORMATS_VMDK_TABLE_EXTENT_H
#define VARVE_FORMATS_VMDK_TABLE_EXTENT_H

#include <cstdint>
#include <memory>

#include "vmdk/extent.h"
#include "vmdk/table_cache.h"

namespace varve::vmdk {

/// What a table's entry says of its grain.
struct GrainPlace {
  bool known = true;  ///< false: the entry means nothing
  ExtentKind kind = ExtentKind::absent;
  uint64_t offset = 0;  ///< of data: in the file, bytes
};

class TableExtent : public ExtentDriver {
 public:
  uint64_t size() const override { return size_; }
  uint64_t granularity() const override { return grain_bytes_; }
  void read_at(uint64_t offset, MutableBytes out) override;
  Extent extent_at(uint64_t offset, uint64_t limit) override;
  uint64_t allocated_bytes() const override;
  void check(const CheckOptions& options, CheckReport& report) override;

 protected:
  /// `first_grain`: no grain lies before that byte of the file [MEM-18]. `metadata_bytes` bounds what is held of the tables.
  TableExtent(std::shared_ptr<Storage> file, uint64_t size, uint64_t grain_bytes, uint64_t first_grain, TableLayout layout,
              uint64_t metadata_bytes);

  virtual GrainPlace place_of(uint64_t entry) const noexcept = 0;

 private:
  GrainPlace checked_place(uint64_t entry, uint64_t grain) const;
  uint64_t grain_length(uint64_t grain) const;

  const std::shared_ptr<Storage> file_;
  const uint64_t size_;
  const uint64_t grain_bytes_;
  const uint64_t first_grain_;
  TableCache tables_;
};

}  // namespace varve::vmdk

#endif
