// Key slots of an open image (docs/formats/varve.md, section 13).
#ifndef VARVE_FORMATS_NATIVE_KEYS_H
#define VARVE_FORMATS_NATIVE_KEYS_H

#include "native/native_image.h"

namespace varve::native {

/// A change is a new key area, in both copies; the disk's state is not touched.
class NativeKeys final : public Keys {
 public:
  explicit NativeKeys(NativeImage& image) : image_(image) {}
  std::vector<KeySlotInfo> list() override;
  unsigned add(const KeySecret& secret, const KeyDerivation& how) override;
  void change(unsigned slot, const KeySecret& secret, const KeyDerivation& how) override;
  void remove(unsigned slot) override;
  void rotate(const RotateOptions& options) override;

 private:
  const KeyAreaRaw& area() const { return *image_.parts_.key_area.raw; }
  std::unique_ptr<KeyAreaRaw> begin() const;
  void require_filled(unsigned slot) const;
  void put(std::unique_ptr<KeyAreaRaw> next);
  std::vector<Unlocked> all_unlocked(const RotateOptions& options) const;
  void begin_rotation(const RotateOptions& options);

  NativeImage& image_;
};

}  // namespace varve::native

#endif
