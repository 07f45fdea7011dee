// Files inside an image that are no part of the disk: a virtual machine's memory, notes.
#ifndef VARVE_ATTACHMENT_H
#define VARVE_ATTACHMENT_H

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>

#include "varve/storage.h"

#pragma GCC visibility push(default)
namespace varve {

/// Which attachment.
struct AttachmentKey {
  std::string name;           ///< unique among those of the same snapshot, or of the image
  std::string snapshot = {};  ///< the name of the snapshot that it belongs to, with which it goes; empty: the image
};

struct AttachmentInfo {
  AttachmentKey key;
  bool of_branch_point = false;  ///< its snapshot is deleted, but others are based on it; key.snapshot is empty then
  uint64_t time = 0;             ///< when it was made: nanoseconds since 1970-01-01 00:00 UTC
  uint64_t size = 0;             ///< bytes
};

/// Fills the front of the buffer and returns how many bytes; 0 at the end, and only there.
using AttachmentSource = std::function<size_t(MutableBytes)>;

}  // namespace varve
#pragma GCC visibility pop

#endif
