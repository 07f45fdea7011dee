// Filling a new VHDX in ascending order.
#ifndef VARVE_FORMATS_VHDX_BULK_H
#define VARVE_FORMATS_VHDX_BULK_H

#include <memory>

#include "vhdx/vhdx_image.h"

namespace varve::vhdx {

/// Of a created image without a parent: a block is allocated when its first piece comes, and what is not written of it stays a hole.
class VhdxBulkWriter final : public BulkWriter {
 public:
  explicit VhdxBulkWriter(VhdxImage& image) : image_(image) {}

  uint64_t unit() const override { return kUnit; }
  std::unique_ptr<BulkPiece> encode(uint64_t offset, ConstBytes data) override;
  void place(BulkPiece& piece) override;
  void store(BulkPiece& piece) override;

 private:
  /// No larger than a block, so a unit never lies in two.
  static constexpr uint64_t kUnit = 64 * 1024;

  VhdxImage& image_;
};

}  // namespace varve::vhdx

#endif
