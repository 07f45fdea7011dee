// Snapshots inside an image.
#ifndef VARVE_SNAPSHOT_H
#define VARVE_SNAPSHOT_H

#include <cstdint>
#include <optional>
#include <string>

#pragma GCC visibility push(default)
namespace varve {

/// A state of the disk that the image keeps.
struct SnapshotInfo {
  std::string name;           ///< unique in the image; empty of a branch point
  std::string uuid;           ///< never changes, and is no other snapshot's anywhere
  uint64_t id = 0;            ///< not 0; never given twice in an image
  uint64_t parent = 0;        ///< id of the snapshot that it was made over; 0: none
  uint64_t time = 0;          ///< when it was made: nanoseconds since 1970-01-01 00:00 UTC
  uint64_t virtual_size = 0;  ///< bytes of the disk
  bool branch_point = false;  ///< deleted, but others are based on it
  bool current = false;       ///< what is written now is based on it
  bool held = false;          ///< a file was made over it, so it is deleted only on the user's word
  /// Bytes in the file that deleting it would free; nullopt while it has two or more children, and where damage hides it.
  std::optional<uint64_t> exclusive_bytes;
};

}  // namespace varve
#pragma GCC visibility pop

#endif
