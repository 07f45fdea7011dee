// Filling a new image in ascending order.
#ifndef VARVE_FORMATS_NATIVE_BULK_H
#define VARVE_FORMATS_NATIVE_BULK_H

#include "native/native_image.h"

namespace varve::native {

/// Of an image that is being created and has no parent. As BulkWriter says.
class NativeBulkWriter final : public BulkWriter {
 public:
  explicit NativeBulkWriter(NativeImage& image) : image_(image) {}
  uint64_t unit() const override { return image_.cluster_size(); }
  std::unique_ptr<BulkPiece> encode(uint64_t offset, ConstBytes data) override;
  void place(BulkPiece& piece) override;
  void store(BulkPiece& piece) override;

 private:
  void seal(struct NativePiece& piece);

  NativeImage& image_;
};

}  // namespace varve::native

#endif
