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
/// As many write buffers are moved between two commits: what is done again after a crash, at most.
constexpr uint64_t kUnsaved = 4;

}  // namespace

Rotation::Rotation(NativeImage& image, const RotateOptions& options)
    : image_(image), options_(options), progress_(options.progress, image.space_.end() - kFirstExtent), olds_(olds()) {}

std::vector<Object> Rotation::olds() const {
  std::vector<Object> all;
  for (const Snapshot& s : image_.catalog_.snapshots) all.push_back(s.object);
  for (const OtherRecord& record : image_.catalog_.others)
    if (record.type != kRotationRecord) all.insert(all.end(), record.objects.begin(), record.objects.end());
  all.push_back(image_.durable_.head);
  return all;
}

uint64_t Rotation::most_unsaved() const { return kUnsaved * image_.parts_.limits.write_buffer; }

/// From what an earlier program has left. If somebody wrote to the disk since, it is made anew.
void Rotation::resume() {
  const auto& others = image_.catalog_.others;
  const auto left = std::find_if(others.begin(), others.end(), [](const OtherRecord& r) { return r.type == kRotationRecord; });
  const uint32_t epoch = image_.cipher()->master_keys().back().epoch;
  if (left != others.end()) done_ = parse_rotation(*left);
  if (left != others.end() && done_.epoch != epoch) {
    image_.drop_rotation();
    done_ = {};
  }
  done_.epoch = epoch;
  const Object& head = image_.durable_.head;
  const bool same_head = done_.head_tag == head.root.tag && done_.head_size == head.size;
  if (done_.objects.size() < olds_.size() || same_head) return;
  done_.done = olds_.size() - 1;
  done_.next_cluster = 0;
  const Task begun = task(done_.done);
  walk_own(image_.extents_, done_.objects.back(), begun.new_base, begun.generation, image_.space_.end(),
           [this](const Pointer& p) { image_.free_once(p); });
  done_.objects.pop_back();
}

Rotation::Task Rotation::task(size_t number) const {
  const Catalog& catalog = image_.catalog_;
  const bool is_head = number + 1 == olds_.size();
  const uint64_t parent = number < catalog.snapshots.size() ? catalog.snapshots[number].parent : is_head ? image_.head_parent_ : 0;
  Task task{olds_[number], {}, {}, 0};
  for (size_t i = 0; parent != 0 && i < catalog.snapshots.size(); ++i)
    if (catalog.snapshots[i].id == parent) task = {olds_[number], olds_[i], done_.objects[i], done_.generations[i]};
  return task;
}

/// Each object is the last that is written in its generation: so the births of the second lineage are to each other as those of the first.
void Rotation::run() {
  resume();
  while (done_.done < olds_.size()) rebuild(task(done_.done));
  put_in_place();
  progress_.finish();
}

void Rotation::rebuild(const Task& task) {
  const auto end = [this] { return image_.space_.end(); };
  const bool begun = done_.objects.size() > done_.done;
  const uint64_t first_left = begun ? done_.next_cluster : 0;
  // Both bases as trees of the size and over the parent of what is rebuilt: where an entry is the same it then reads the same, too. What is
  // cut off stays theirs.
  const auto grown = [&](const Object& base) {
    Tree made(image_.extents_, base, end);
    made.resize(task.object.size, [](const Pointer&) {});
    made.set_parent(task.object.parent);
    return made;
  };
  Tree tree = begun ? Tree(image_.extents_, done_.objects.back(), end) : grown(task.new_base);
  if (!begun) done_.objects.emplace_back();
  const Tree from = grown(task.old_base);
  const Tree to(image_.extents_, task.object, end);
  std::vector<Moved> batch;
  uint64_t waiting = 0;  // bytes of it
  diff_trees(from, to, true, end(), [&](uint64_t first, uint64_t count, const Pointer& pointer) {
    if (options_.cancel != nullptr) options_.cancel->check();
    if (first + count <= first_left) return;
    if (pointer.kind == Kind::data) {
      batch.push_back({first, pointer, {}});
      waiting += pointer.length;
      if (batch.size() < kBatch && waiting < most_unsaved()) return;
    }
    waiting = 0;
    move(task, tree, batch);
    if (pointer.kind != Kind::data)
      tree.clear(first, count, pointer.kind == Kind::zero ? image_.building() : 0, image_.give_up_after(task.generation));
    if (unsaved_ >= most_unsaved() || tree.nodes_in_memory() > kMaxNodes) note(tree, first + count);
  });
  move(task, tree, batch);
  finish_object(tree);
}

/// The stored bytes as they are, under another key: nothing is compressed anew.
void Rotation::move(const Task& task, Tree& tree, std::vector<Moved>& batch) {
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
    unsaved_ += item.bytes.size();
  };
  steps.finish = [&](Item& item) {
    image_.file_->write_at(item.moved->to.offset, image_.extents_.seal(item.moved->to, item.bytes.bytes(), item.bytes.bytes()));
    progress_.add(item.bytes.size());
  };
  run_ordered(steps, {0, options_.cancel});
  for (const Moved& one : batch) tree.set(one.cluster, one.to, image_.give_up_after(task.generation));
  batch.clear();
}

/// What is done of the object that is being made.
void Rotation::note(Tree& tree, uint64_t next_cluster) {
  done_.objects.back() = tree.store(image_.building(), image_.node_sink());
  done_.next_cluster = next_cluster;
  if (unsaved_ >= most_unsaved()) save();
}

void Rotation::save() {
  done_.head_tag = image_.durable_.head.root.tag;
  done_.head_size = image_.durable_.head.size;
  auto& others = image_.catalog_.others;
  std::erase_if(others, [](const OtherRecord& r) { return r.type == kRotationRecord; });
  others.push_back(record_of(done_));
  image_.catalog_changed_ = true;
  image_.commit();
  unsaved_ = 0;
}

void Rotation::finish_object(Tree& tree) {
  done_.objects.back() = tree.store(image_.building(), image_.node_sink());
  done_.next_cluster = 0;
  if (done_.done < image_.catalog_.snapshots.size()) done_.generations.push_back(image_.building());
  ++done_.done;
  if (unsaved_ >= most_unsaved())
    save();
  else
    image_.skipped_ += 2;
}

/// Each extent of the first lineage is given up once; the catalog's own goes with the commit.
void Rotation::put_in_place() {
  Catalog& catalog = image_.catalog_;
  const auto free = [this](const Pointer& pointer) { image_.free_once(pointer); };
  const uint64_t end = image_.space_.end();
  std::erase_if(catalog.others, [](const OtherRecord& r) { return r.type == kRotationRecord; });
  walk_lineage(image_.extents_, image_.durable_.head, catalog, image_.head_parent_, end, free);
  auto next = done_.objects.begin();
  for (size_t i = 0; i < catalog.snapshots.size(); ++i) {
    catalog.snapshots[i].object = *next++;
    catalog.snapshots[i].generation = done_.generations[i];
  }
  for (OtherRecord& record : catalog.others)
    for (Object& object : record.objects) object = *next++;
  {
    const std::unique_lock lock(image_.tree_mutex_);
    image_.head_ = Tree(image_.extents_, *next, [&image = image_] { return image.space_.end(); });
  }
  image_.catalog_changed_ = true;
  image_.sessions_changed_ = true;
  image_.cipher()->forget_older_sessions();
  image_.commit();
}

/// Somebody changes what a rotation goes over, so it has to begin anew.
void NativeImage::drop_rotation() {
  const auto record =
      std::find_if(catalog_.others.begin(), catalog_.others.end(), [](const OtherRecord& r) { return r.type == kRotationRecord; });
  if (record == catalog_.others.end()) return;
  walk_record(extents_, catalog_, *record, head_parent_, space_.end(), [this](const Pointer& p) { free_once(p); });
  catalog_.others.erase(record);
  catalog_changed_ = true;
}

/// For trees that share all that was born up to a generation with another one.
Tree::GiveUp NativeImage::give_up_after(uint64_t generation) {
  return [this, generation](const Pointer& pointer) {
    if (pointer.birth > generation) free_once(pointer);
  };
}

}  // namespace varve::native
