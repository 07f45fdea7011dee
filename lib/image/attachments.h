// The facet of images that hold attachments.
#ifndef VARVE_IMAGE_ATTACHMENTS_H
#define VARVE_IMAGE_ATTACHMENTS_H

#include <vector>

#include "varve/attachment.h"

namespace varve {

/// Changes are durable when they return. Throws not_found for a key, exists for one that is taken, invalid_argument for names that can't be
/// and for ranges. Thread-safe.
class Attachments {
 public:
  virtual ~Attachments() = default;

  virtual std::vector<AttachmentInfo> list() = 0;
  virtual void read(const AttachmentKey& key, uint64_t offset, MutableBytes out) = 0;
  /// Memory is bounded, whatever the length.
  virtual void put(const AttachmentKey& key, uint64_t time, const AttachmentSource& source, bool replace) = 0;
  virtual void remove(const AttachmentKey& key) = 0;
};

}  // namespace varve

#endif
