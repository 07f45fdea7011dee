// The facet of images that hold snapshots.
#ifndef VARVE_IMAGE_SNAPSHOTS_H
#define VARVE_IMAGE_SNAPSHOTS_H

#include <functional>
#include <string>
#include <vector>

#include "varve/extent.h"
#include "varve/snapshot.h"

namespace varve {

/// What each call promises is durable when it returns. Throws not_found and exists for names, invalid_argument for names that can't be.
class Snapshots {
 public:
  virtual ~Snapshots() = default;

  /// Parents before children.
  virtual std::vector<SnapshotInfo> list() = 0;
  /// Of the disk as it is, all completed writes included.
  virtual void create(const std::string& name, uint64_t time) = 0;
  /// Throws invalid_argument for one that is held, unless `held_too`.
  virtual void remove(const std::string& name, bool held_too) = 0;
  /// The disk becomes what the snapshot holds; what was written since the last snapshot is lost.
  virtual void revert(const std::string& name) = 0;
  virtual void rename(const std::string& name, const std::string& new_name) = 0;
  virtual bool held(const std::string& name) = 0;
  /// Marks it as one that a file was made over.
  virtual void hold(const std::string& name) = 0;
  /// In order, the runs of `to` (empty: of the disk that is shown) that do not hold what `from` holds there, in units of the format.
  /// `visit` must not use the image.
  virtual void diff(const std::string& from, const std::string& to, const std::function<void(const Extent&)>& visit) = 0;
};

}  // namespace varve

#endif
