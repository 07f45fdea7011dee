// The public Image: a handle on a node.
#include "varve/image.h"

#include "image/attachments.h"
#include "image/chain.h"
#include "image/keys.h"
#include "image/registry.h"
#include "image/snapshots.h"

namespace varve {

Image::Image(std::shared_ptr<Node> node) : node_(std::move(node)) {}
Image::Image(Image&&) noexcept = default;
Image& Image::operator=(Image&&) noexcept = default;
Image::~Image() = default;

Image Image::open(const std::string& path, const OpenOptions& options) { return Image(open_node(path, options)); }

Image Image::open(std::shared_ptr<Storage> storage, const OpenOptions& options) { return Image(open_node(std::move(storage), options)); }

Image Image::create(const std::string& path, std::string_view format, std::optional<uint64_t> size, const CreateOptions& options) {
  const FormatDriver& driver = driver_named(format);
  hold_parent_of_new(path, driver, options);
  return Image(create_node(path, driver, size, options));
}

uint64_t Image::size() const { return node_->size(); }
bool Image::writable() const { return node_->writable(); }
const FormatInfo& Image::format() const { return node_->driver().info(); }
ImageInfo Image::info() const { return node_->info(); }

std::vector<ImageInfo> Image::chain() const {
  std::vector<ImageInfo> layers;
  for (const Node* node = node_.get(); node != nullptr; node = node->parent()) layers.push_back(node->info());
  return layers;
}

void Image::read_at(uint64_t offset, MutableBytes out) { node_->read_at(offset, out); }
void Image::write_at(uint64_t offset, ConstBytes data) { node_->write_at(offset, data); }
void Image::zero(uint64_t offset, uint64_t length) { node_->zero(offset, length); }
void Image::discard(uint64_t offset, uint64_t length) { node_->discard(offset, length); }
void Image::flush() { node_->flush(); }
void Image::resize(uint64_t size) { node_->resize(size); }
Extent Image::extent_at(uint64_t offset) { return node_->extent_at(offset); }
std::vector<SnapshotInfo> Image::snapshots() { return node_->snapshots(); }
void Image::create_snapshot(const std::string& name, uint64_t time) {
  node_->change_snapshots("create a snapshot", [&](Snapshots& all) { all.create(name, time); });
}
void Image::delete_snapshot(const std::string& name, bool held_too) {
  node_->change_snapshots("delete a snapshot", [&](Snapshots& all) { all.remove(name, held_too); });
}
void Image::revert_to_snapshot(const std::string& name) {
  node_->change_snapshots("revert to a snapshot", [&](Snapshots& all) { all.revert(name); });
}
void Image::rename_snapshot(const std::string& name, const std::string& new_name) {
  node_->change_snapshots("rename a snapshot", [&](Snapshots& all) { all.rename(name, new_name); });
}
void Image::hold_snapshot(const std::string& name) {
  node_->change_snapshots("hold a snapshot", [&](Snapshots& all) { all.hold(name); });
}
void Image::diff_snapshots(const std::string& from, const std::string& to, const std::function<void(const Extent&)>& visit) {
  node_->diff_snapshots(from, to, visit);
}
std::vector<AttachmentInfo> Image::attachments() { return node_->attachments(); }
void Image::read_attachment(const AttachmentKey& key, uint64_t offset, MutableBytes out) { node_->read_attachment(key, offset, out); }
void Image::put_attachment(const AttachmentKey& key, uint64_t time, const AttachmentSource& source, bool replace) {
  node_->change_attachments("attach", [&](Attachments& all) { all.put(key, time, source, replace); });
}
void Image::delete_attachment(const AttachmentKey& key) {
  node_->change_attachments("delete an attachment", [&](Attachments& all) { all.remove(key); });
}
std::vector<KeySlotInfo> Image::key_slots() { return node_->key_slots(); }
unsigned Image::add_key(const KeySecret& secret, const KeyDerivation& how) {
  unsigned slot = 0;
  node_->change_keys("add a key", [&](Keys& all) { slot = all.add(secret, how); });
  return slot;
}
void Image::change_key(unsigned slot, const KeySecret& secret, const KeyDerivation& how) {
  node_->change_keys("change a key", [&](Keys& all) { all.change(slot, secret, how); });
}
void Image::remove_key(unsigned slot) {
  node_->change_keys("remove a key", [&](Keys& all) { all.remove(slot); });
}
void Image::rotate_key(const RotateOptions& options) { node_->rotate_key(options); }
CheckReport Image::check(const CheckOptions& options) { return node_->check(options); }
void Image::close() { node_->close(); }
void Image::abort() noexcept { node_->abort(); }

const FormatInfo& recognized_format(const std::string& path, Access access, FileSystem* file_system) {
  OpenOptions options;
  options.access = access;
  options.file_system = file_system;
  return recognized_driver(path, options).info();
}

}  // namespace varve
