// The facet of images that hold snapshots.
#ifndef VARVE_IMAGE_SNAPSHOTS_H
#define VARVE_IMAGE_SNAPSHOTS_H

#include <string>
#include <vector>

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
  virtual void remove(const std::string& name) = 0;
  /// The disk becomes what the snapshot holds; what was written since the last snapshot is lost.
  virtual void revert(const std::string& name) = 0;
  virtual void rename(const std::string& name, const std::string& new_name) = 0;
};

}  // namespace varve

#endif
