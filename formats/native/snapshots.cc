#include "native/snapshots.h"

#include <algorithm>

#include "base/random.h"
#include "base/text.h"
#include "native/walk.h"
#include "varve/error.h"

namespace varve::native {

// ---- looking ---------------------------------------------------------------------------------------

/// Of a snapshot whose place the child would take: its object, or nullptr if there is no child.
const Object* NativeSnapshots::only_child_of(uint64_t id) const {
  if (image_.head_parent_ == id) return &image_.durable_.head;
  for (const Snapshot& s : image_.catalog_.snapshots)
    if (s.parent == id) return &s.object;
  return nullptr;
}

size_t NativeSnapshots::children_of(uint64_t id) const { return image_.catalog_.children_of(id) + (image_.head_parent_ == id ? 1 : 0); }

/// `left`: of used space that no other snapshot holds; when it is used up, trees share what they may not. Of a damaged tree nothing is
/// known.
std::optional<uint64_t> NativeSnapshots::exclusive_bytes(const Snapshot& s, uint64_t& left) const {
  if (children_of(s.id) > 1) return std::nullopt;
  uint64_t bytes = 0;
  const Object* child = only_child_of(s.id);
  try {
    walk_unshared(image_.extents_, s.object, child != nullptr ? *child : Object{}, image_.catalog_.generation_of(s.parent),
                  image_.durable_.end, [&](const Pointer& pointer) {
                    if (pointer.length > left) throw Error(Errc::corrupt, "trees share what they may not").at(pointer.offset);
                    left -= pointer.length;
                    bytes += pointer.length;
                  });
  } catch (const Error& error) {
    if (error.code() != Errc::corrupt && error.code() != Errc::io) throw;
    return std::nullopt;
  }
  return bytes;
}

std::vector<SnapshotInfo> NativeSnapshots::list() {
  const std::lock_guard lock(image_.change_mutex_);
  std::vector<SnapshotInfo> all;
  uint64_t left = image_.durable_.end;
  for (const Snapshot& s : image_.catalog_.snapshots) {
    SnapshotInfo info;
    info.name = s.name;
    info.uuid = format_uuid(s.uuid);
    info.id = s.id;
    info.parent = s.parent;
    info.time = s.time;
    info.virtual_size = s.object.size;
    info.branch_point = s.hidden;
    info.current = image_.head_parent_ == s.id;
    info.held = s.held;
    info.exclusive_bytes = exclusive_bytes(s, left);
    all.push_back(std::move(info));
  }
  return all;
}

// ---- changing --------------------------------------------------------------------------------------

/// Of what nothing else leads to. A walk over nodes that lead to the same ones again and again ends here, too.
void NativeImage::free_once(const Pointer& pointer) {
  if (space_.free(pointer.offset, pointer.length)) return;
  throw Error(Errc::corrupt, "two pointers lead to one place").in(file_->name()).at(pointer.offset);
}

std::unique_lock<std::mutex> NativeSnapshots::begin() {
  if (image_.parts_.created) throw Error(Errc::unsupported, "an image that is being created has no snapshots yet").hint("close it first");
  image_.begin_session();
  std::unique_lock lock(image_.change_mutex_);
  image_.drop_rotation();
  return lock;
}

/// What the head holds is on disk afterwards, so that trees can be compared there.
void NativeSnapshots::store_head() {
  if (!image_.dirty_.empty() || image_.head_.changed() || image_.catalog_changed_ || !image_.began_) image_.commit();
}

Snapshot& NativeSnapshots::find(const std::string& name) {
  auto& all = image_.catalog_.snapshots;
  const auto found = std::find_if(all.begin(), all.end(), [&](const Snapshot& s) { return !s.hidden && s.name == name; });
  if (found == all.end()) throw Error(Errc::not_found, "there is no snapshot '" + name + "'").hint("`varve snapshot list` names them");
  return *found;
}

void NativeSnapshots::require_free_name(const std::string& name) const {
  if (name.empty() || name.size() > kMaxName || !valid_utf8(name) || name.find('\0') != std::string::npos)
    throw Error(Errc::invalid_argument, "a snapshot's name has 1 to 1024 bytes of UTF-8");
  if (image_.catalog_.find(name) != nullptr)
    throw Error(Errc::exists, "there is a snapshot '" + name + "' already").hint("choose another name");
}

void NativeSnapshots::create(const std::string& name, uint64_t time) {
  const auto lock = begin();
  require_free_name(name);
  store_head();
  Snapshot s;
  s.uuid = random_uuid(*image_.parts_.random);
  s.id = image_.last_snapshot_id_ + 1;
  s.parent = image_.head_parent_;
  // The durable state: what is written from now on, by others at this moment too, is born later.
  s.generation = image_.durable_.generation;
  s.time = time;
  s.name = name;
  s.object = image_.durable_.head;
  image_.catalog_.snapshots.push_back(std::move(s));
  image_.catalog_changed_ = true;
  image_.last_snapshot_id_ += 1;
  image_.head_parent_ = image_.last_snapshot_id_;
  image_.commit();
}

void NativeSnapshots::remove(const std::string& name, bool held_too) {
  const auto lock = begin();
  Snapshot& s = find(name);
  const uint64_t id = s.id;
  if (s.held && !held_too) {
    throw Error(Errc::invalid_argument, "the snapshot '" + name + "' is held: a file was made over it, which can't be read without it")
        .hint("keep it, or delete it with --force if no such file is in use");
  }
  s.held = false;
  store_head();
  delete_or_hide(id);
  image_.catalog_changed_ = true;
  image_.commit();
}

/// R8: with two or more children it stays, for what they share is theirs through it.
void NativeSnapshots::delete_or_hide(uint64_t id) {
  if (children_of(id) <= 1) return really_delete(id);
  for (Snapshot& s : image_.catalog_.snapshots) {
    if (s.id != id) continue;
    s.hidden = true;
    s.name.clear();
  }
}

/// R7: free is what was born after its parent and is not the child's. The child's parent becomes its own; a branch point that has lost its
/// last but one child goes, too. Their attachments go with them.
void NativeSnapshots::really_delete(uint64_t id) {
  auto& all = image_.catalog_.snapshots;
  while (id != 0) {
    const auto gone = std::find_if(all.begin(), all.end(), [&](const Snapshot& s) { return s.id == id; });
    const Object* child = only_child_of(id);
    const uint64_t parent = gone->parent;
    walk_unshared(image_.extents_, gone->object, child != nullptr ? *child : Object{}, image_.catalog_.generation_of(parent),
                  image_.space_.end(), [this](const Pointer& pointer) { image_.free_once(pointer); });
    for (Snapshot& s : all)
      if (s.parent == id) s.parent = parent;
    if (image_.head_parent_ == id) image_.head_parent_ = parent;
    all.erase(gone);
    const Snapshot* above = parent == 0 ? nullptr : image_.catalog_.find(parent);
    id = above != nullptr && above->hidden && children_of(parent) <= 1 ? parent : 0;
  }
  image_.drop_leftovers();
}

void NativeSnapshots::revert(const std::string& name) {
  const auto lock = begin();
  const uint64_t id = find(name).id;
  store_head();
  const uint64_t old_parent = image_.head_parent_;
  // R7: all that was born after the head's parent is the head's alone.
  walk(image_.extents_, image_.durable_.head, image_.catalog_.generation_of(old_parent), image_.space_.end(),
       [this](const Pointer& pointer) { image_.free_once(pointer); });
  const Object object = image_.catalog_.find(id)->object;
  {
    const std::unique_lock tree_lock(image_.tree_mutex_);
    image_.head_ = Tree(image_.extents_, object, [&image = image_] { return image.space_.end(); });
    image_.size_.store(object.size, std::memory_order_release);
  }
  image_.dirty_.drop(0, UINT64_MAX);
  image_.head_changed_ = true;
  image_.head_parent_ = id;
  image_.durable_.head = object;  // what the trees are compared with below
  const Snapshot* above = old_parent == 0 ? nullptr : image_.catalog_.find(old_parent);
  if (above != nullptr && above->hidden && children_of(old_parent) <= 1) really_delete(old_parent);
  image_.catalog_changed_ = true;
  image_.commit();
}

void NativeSnapshots::rename(const std::string& name, const std::string& new_name) {
  const auto lock = begin();
  find(name);
  require_free_name(new_name);
  store_head();
  find(name).name = new_name;
  image_.catalog_changed_ = true;
  image_.commit();
}

bool NativeSnapshots::held(const std::string& name) {
  const std::lock_guard lock(image_.change_mutex_);
  return find(name).held;
}

void NativeSnapshots::hold(const std::string& name) {
  const auto lock = begin();
  if (find(name).held) return;
  store_head();
  find(name).held = true;
  image_.catalog_changed_ = true;
  image_.commit();
}

Snapshots* NativeImage::snapshots() {
  const std::lock_guard lock(change_mutex_);
  if (snapshots_ == nullptr) snapshots_ = std::make_unique<NativeSnapshots>(*this);
  return snapshots_.get();
}

}  // namespace varve::native
