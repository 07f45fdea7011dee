// Attachments of an image and of its snapshots (docs/formats/varve.md, section 7).
#ifndef VARVE_FORMATS_NATIVE_ATTACHMENTS_H
#define VARVE_FORMATS_NATIVE_ATTACHMENTS_H

#include "image/attachments.h"
#include "native/native_image.h"

namespace varve::native {

/// Each change is a commit. Others may write to the disk while one is put.
class NativeAttachments final : public Attachments {
 public:
  explicit NativeAttachments(NativeImage& image) : image_(image) {}
  std::vector<AttachmentInfo> list() override;
  void read(const AttachmentKey& key, uint64_t offset, MutableBytes out) override;
  void put(const AttachmentKey& key, uint64_t time, const AttachmentSource& source, bool replace) override;
  void remove(const AttachmentKey& key) override;

 private:
  using Records = std::vector<OtherRecord>;
  // With change_mutex_ held.
  uint64_t snapshot_id(const std::string& name) const;
  Records::iterator find(const AttachmentKey& key);
  Records::iterator require(const AttachmentKey& key);
  void require_room(const AttachmentKey& key, bool replace);
  void erase(Records::iterator record);

  uint64_t fill(Tree& tree, const AttachmentSource& source);
  Pointer place(Tree& tree, uint64_t cluster, StoredCluster& stored, MutableBytes data);

  NativeImage& image_;
  std::mutex one_at_a_time_;  ///< of changes; before change_mutex_
};

}  // namespace varve::native

#endif
