// The snapshots of an image (docs/formats/varve.md, section 11).
#ifndef VARVE_FORMATS_NATIVE_SNAPSHOTS_H
#define VARVE_FORMATS_NATIVE_SNAPSHOTS_H

#include "image/snapshots.h"
#include "native/native_image.h"

namespace varve::native {

/// Each change is a commit. Thread-safe but for revert().
class NativeSnapshots final : public Snapshots {
 public:
  explicit NativeSnapshots(NativeImage& image) : image_(image) {}
  std::vector<SnapshotInfo> list() override;
  void create(const std::string& name, uint64_t time) override;
  void remove(const std::string& name, bool held_too) override;
  void revert(const std::string& name) override;
  void rename(const std::string& name, const std::string& new_name) override;
  bool held(const std::string& name) override;
  void hold(const std::string& name) override;
  void diff(const std::string& from, const std::string& to, const std::function<void(const Extent&)>& visit) override;

 private:
  std::unique_lock<std::mutex> begin();
  void store_head();
  Snapshot& find(const std::string& name);
  void require_free_name(const std::string& name) const;
  std::optional<uint64_t> exclusive_bytes(const Snapshot& s, uint64_t& left) const;
  size_t children_of(uint64_t id) const;
  const Object* only_child_of(uint64_t id) const;
  void delete_or_hide(uint64_t id);
  void really_delete(uint64_t id);

  NativeImage& image_;
};

}  // namespace varve::native

#endif
