// Filling a new image of many extents from front to back.
#ifndef VARVE_FORMATS_VMDK_SPLIT_BULK_H
#define VARVE_FORMATS_VMDK_SPLIT_BULK_H

#include <cstdint>
#include <memory>
#include <vector>

#include "image/driver.h"

namespace varve::vmdk {

/// Cuts each piece at the borders of the extents and gives every part to its extent's own writer. All extents begin at a multiple of
/// the unit, so the parts of a piece of whole units are of whole units, too.
class SplitBulkWriter final : public BulkWriter {
 public:
  struct Part {
    uint64_t offset = 0;  ///< in the disk, bytes
    uint64_t end = 0;
    BulkWriter* writer = nullptr;  ///< the extent's, outlives this
  };
  /// `parts` cover the disk in order, without gaps; each begins at a multiple of `unit`, which is a multiple of its writer's.
  SplitBulkWriter(std::vector<Part> parts, uint64_t unit) : parts_(std::move(parts)), unit_(unit) {}

  uint64_t unit() const override { return unit_; }
  std::unique_ptr<BulkPiece> encode(uint64_t offset, ConstBytes data) override;
  void place(BulkPiece& piece) override;
  void store(BulkPiece& piece) override;

 private:
  const std::vector<Part> parts_;
  const uint64_t unit_;
};

}  // namespace varve::vmdk

#endif
