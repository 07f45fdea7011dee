// Everything encrypted anew (docs/formats/varve.md, section 13.6).
#ifndef VARVE_FORMATS_NATIVE_ROTATE_H
#define VARVE_FORMATS_NATIVE_ROTATE_H

#include <cstdint>
#include <map>
#include <vector>

#include "exec/progress_meter.h"
#include "native/native_image.h"
#include "native/rotation_record.h"

namespace varve::native {

/// Builds a second lineage of all objects, under the newest master key and in the same order: snapshots as what differs from their parents,
/// then attachments, then the head. One commit puts it in the place of the first, which is free afterwards. How far it has come is in the
/// catalog at each commit, and another program goes on from there. The image's lock is held.
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
  /// An object of the first lineage and what the second one begins with.
  struct Task {
    Object object;
    Object old_base;
    Object new_base;
    uint64_t generation = 0;  ///< up to this one its extents are those of new_base
  };

  uint64_t most_unsaved() const;
  void resume();
  std::vector<Object> olds() const;
  Task task(size_t number) const;
  void rebuild(const Task& task);
  void move(const Task& task, Tree& tree, std::vector<Moved>& batch);
  void note(Tree& tree, uint64_t next_cluster);
  void save();
  void finish_object(Tree& tree);
  void put_in_place();

  NativeImage& image_;
  const RotateOptions& options_;
  ProgressMeter progress_;
  const std::vector<Object> olds_;  ///< the first lineage: snapshots, others, head
  RotationProgress done_;
  uint64_t unsaved_ = 0;  ///< bytes moved since the last commit
};

}  // namespace varve::native

#endif
