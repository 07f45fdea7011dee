// Filling a new sparse extent from front to back.
#ifndef VARVE_FORMATS_VMDK_SPARSE_BULK_H
#define VARVE_FORMATS_VMDK_SPARSE_BULK_H

#include <cstdint>
#include <memory>

#include "image/driver.h"

namespace varve::vmdk {

class SparseExtent;

/// encode() looks for zero grains, place() gives the others consecutive places, store() writes each run of grains at once, straight
/// from the caller's buffer.
class SparseBulkWriter final : public BulkWriter {
 public:
  explicit SparseBulkWriter(SparseExtent& extent) : extent_(extent) {}

  uint64_t unit() const override;
  std::unique_ptr<BulkPiece> encode(uint64_t offset, ConstBytes data) override;
  void place(BulkPiece& piece) override;
  void store(BulkPiece& piece) override;

 private:
  SparseExtent& extent_;
};

}  // namespace varve::vmdk

#endif
