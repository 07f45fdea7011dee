#include "native/rotate.h"

#include <algorithm>
#include <utility>

#include "exec/pipeline.h"
#include "native/diff.h"
#include "native/walk.h"
#include "varve/error.h"

namespace varve::native {
namespace {

/// Clusters that are moved at once.
constexpr size_t kBatch = 1024;
/// Nodes of a tree in the making that stay in memory, 36 KiB each.
constexpr size_t kMaxNodes = 1024;

}  // namespace

Rotation::Rotation(NativeImage& image, const RotateOptions& options)
    : image_(image), options_(options), progress_(options.progress, image.space_.end() - kFirstExtent), old_others_(image.catalog_.others) {
  for (const Snapshot& s : image.catalog_.snapshots) old_[s.id] = s;
}

/// Each object has a generation of its own, that nothing else is written in: so the births of what is rebuilt are to each other as those of
/// the first lineage. Until the commit nothing refers to any of it, and whatever stops this leaves the image as it was.
void Rotation::run() {
  Catalog& catalog = image_.catalog_;
  for (Snapshot& s : catalog.snapshots) {
    const Snapshot* const parent = s.parent == 0 ? nullptr : catalog.find(s.parent);  // rebuilt before
    s.object = rebuilt(s.object, parent != nullptr ? old_.at(s.parent).object : Object{}, parent != nullptr ? parent->object : Object{});
    s.generation = image_.building();
    image_.skipped_ += 2;
  }
  for (OtherRecord& record : catalog.others)
    for (Object& object : record.objects) object = rebuilt(object, {}, {});
  const uint64_t parent = image_.head_parent_;
  const Object head =
      rebuilt(image_.durable_.head, parent != 0 ? old_.at(parent).object : Object{}, parent != 0 ? catalog.find(parent)->object : Object{});
  give_up_old();
  {
    const std::unique_lock lock(image_.tree_mutex_);
    image_.head_ = Tree(image_.extents_, head, [&image = image_] { return image.space_.end(); });
  }
  image_.catalog_changed_ = true;
  image_.sessions_changed_ = true;
  image_.cipher()->forget_older_sessions();
  image_.commit();
  progress_.finish();
}

/// `object`, which differs from `old_base` in something, made from `new_base`.
Object Rotation::rebuilt(const Object& object, const Object& old_base, const Object& new_base) {
  const auto end = [this] { return image_.space_.end(); };
  // What it shares with its base is that one's to give up.
  const auto nothing = [](const Pointer&) {};
  // Both bases as trees of the size and over the parent of what is rebuilt: where an entry is the same it then reads the same, too.
  const auto grown = [&](const Object& base) {
    Tree made(image_.extents_, base, end);
    made.resize(object.size, nothing);
    made.set_parent(object.parent);
    return made;
  };
  Tree tree = grown(new_base);
  const Tree from = grown(old_base);
  const Tree to(image_.extents_, object, end);
  std::vector<Moved> batch;
  diff_trees(from, to, true, end(), [&](uint64_t first, uint64_t count, const Pointer& pointer) {
    if (options_.cancel != nullptr) options_.cancel->check();
    if (pointer.kind != Kind::data) return tree.clear(first, count, pointer.kind == Kind::zero ? image_.building() : 0, nothing);
    batch.push_back({first, pointer, {}});
    if (batch.size() == kBatch) move(tree, batch);
  });
  move(tree, batch);
  return tree.store(image_.building(), image_.node_sink());
}

/// The stored bytes as they are, under another key: nothing is compressed anew.
void Rotation::move(Tree& tree, std::vector<Moved>& batch) {
  struct Item {
    Moved* moved = nullptr;
    AlignedBuffer bytes;
  };
  auto next = batch.begin();
  OrderedSteps<Item> steps;
  steps.next = [&](Item& item) {
    if (next == batch.end()) return false;
    item.moved = &*next++;
    return true;
  };
  steps.work = [&](Item& item) {
    item.bytes.reset(item.moved->from.length);
    image_.extents_.read_stored(item.moved->from, item.bytes.bytes());
  };
  steps.deliver = [&](Item& item) {
    item.moved->to = item.moved->from;
    item.moved->to.birth = image_.building();
    item.moved->to.offset = image_.space_.take(item.moved->from.length);
  };
  steps.finish = [&](Item& item) {
    image_.file_->write_at(item.moved->to.offset, image_.extents_.seal(item.moved->to, item.bytes.bytes(), item.bytes.bytes()));
    progress_.add(item.bytes.size());
  };
  run_ordered(steps, {0, options_.cancel});
  for (const Moved& one : batch) tree.set(one.cluster, one.to, [](const Pointer&) {});
  batch.clear();
  if (tree.nodes_in_memory() > kMaxNodes) tree.store(image_.building(), image_.node_sink());
}

/// Each extent once. The catalog's own goes with the commit.
void Rotation::give_up_old() {
  const auto free = [this](const Pointer& pointer) { image_.free_once(pointer); };
  const uint64_t end = image_.space_.end();
  const auto own = [&](const Object& object, uint64_t parent) {
    const auto above = old_.find(parent);
    const bool none = above == old_.end();
    walk_own(image_.extents_, object, none ? Object{} : above->second.object, none ? 0 : above->second.generation, end, free);
  };
  for (const auto& one : old_) own(one.second.object, one.second.parent);
  for (const OtherRecord& record : old_others_)
    for (const Object& object : record.objects) walk(image_.extents_, object, 0, end, free);
  own(image_.durable_.head, image_.head_parent_);
}

}  // namespace varve::native
