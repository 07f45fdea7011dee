// Everything encrypted anew (docs/formats/varve.md, section 13.6).
#ifndef VARVE_FORMATS_NATIVE_ROTATE_H
#define VARVE_FORMATS_NATIVE_ROTATE_H

#include <map>
#include <vector>

#include "exec/progress_meter.h"
#include "native/native_image.h"

namespace varve::native {

/// Builds a second lineage of all objects, under the newest master key and in the same order: snapshots as what differs from their parents,
/// then attachments, then the head. One commit puts it in the place of the first, which is free afterwards. The image's lock is held.
class Rotation {
 public:
  Rotation(NativeImage& image, const RotateOptions& options);
  void run();

 private:
  struct Moved {
    uint64_t cluster = 0;
    Pointer from;
    Pointer to;
  };

  Object rebuilt(const Object& object, const Object& old_base, const Object& new_base);
  void move(Tree& tree, std::vector<Moved>& batch);
  void give_up_old();

  NativeImage& image_;
  const RotateOptions& options_;
  ProgressMeter progress_;
  // The first lineage.
  std::map<uint64_t, Snapshot> old_;  ///< by id
  const std::vector<OtherRecord> old_others_;
};

}  // namespace varve::native

#endif
