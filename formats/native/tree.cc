#include "native/tree.h"

#include <algorithm>

#include "base/checked_math.h"
#include "varve/error.h"

namespace varve::native {

struct Tree::MemoryNode {
  std::array<Slot, kFanout> slots;
};

Tree::Tree(Extents& extents, const Object& object, std::function<uint64_t()> end)
    : extents_(&extents),
      end_(std::move(end)),
      size_(object.size),
      parent_(object.parent),
      height_(object.height),
      root_{object.root, nullptr} {}

Tree::~Tree() = default;
Tree::Tree(Tree&&) noexcept = default;
Tree& Tree::operator=(Tree&&) noexcept = default;

uint64_t Tree::clusters() const { return div_ceil(size_, extents_->header().cluster_size); }

uint64_t Tree::whole_clusters() const { return size_ / extents_->header().cluster_size; }

Object Tree::object() const {
  Object object;
  object.size = size_;
  object.parent = parent_;
  object.height = static_cast<uint8_t>(height_);
  object.root = root_.pointer;
  return object;
}

// ---- looking ---------------------------------------------------------------------------------------

Tree::Descent Tree::descend(uint64_t cluster) const {
  Descent at{&root_, height_, clusters_under(height_) - cluster};
  while (at.slot->node != nullptr) {
    --at.level;
    at.slot = &at.slot->node->slots[cluster / clusters_under(at.level) % kFanout];
    at.covered = clusters_under(at.level) - cluster % clusters_under(at.level);
  }
  return at;
}

std::optional<Pointer> Tree::known(uint64_t cluster) const {
  const Descent start = descend(cluster);
  unsigned level = start.level;
  std::optional<Pointer> pointer = start.slot->pointer;
  while (pointer && pointer->kind == Kind::node) {
    --level;
    pointer = extents_->known_entry(*pointer, cluster / clusters_under(level) % kFanout);
  }
  return pointer;
}

ClusterRun Tree::run_at(uint64_t cluster, uint64_t most) const {
  auto [slot, level, covered] = descend(cluster);
  Pointer pointer = slot->pointer;
  while (pointer.kind == Kind::node) {
    const NodePtr node = extents_->node(pointer, end_());
    --level;
    uint64_t index = cluster / clusters_under(level) % kFanout;
    covered = clusters_under(level) - cluster % clusters_under(level);
    pointer = (*node)[index];
    if (pointer.has_extent()) continue;
    // Neighbours that are as empty.
    while (++index < kFanout && covered < most && (*node)[index].kind == pointer.kind) covered += clusters_under(level);
  }
  return {pointer, std::min(most, pointer.kind == Kind::data ? 1 : covered)};
}

std::vector<Tree::Place> Tree::below(const Place& place, unsigned level) const {
  std::vector<Place> places(kFanout, Place{{}, nullptr, level - 1});
  if (place.level < level) {
    places.front() = place;
  } else if (place.node != nullptr) {
    for (size_t i = 0; i < kFanout; ++i) {
      const Slot& slot = place.node->slots[i];
      places[i] = {slot.pointer, slot.node.get(), level - 1};
    }
  } else if (place.pointer.kind == Kind::node) {
    const NodePtr node = extents_->node(place.pointer, end_());
    for (size_t i = 0; i < kFanout; ++i) places[i].pointer = (*node)[i];
  } else if (place.pointer.kind == Kind::zero) {
    for (Place& each : places) each.pointer = zero_pointer(place.pointer.birth, level - 1);
  }
  return places;
}

// ---- changing --------------------------------------------------------------------------------------

/// The slot's node in memory. A node that is read is given up: its successor gets a place of its own. `begin`: the slot's first cluster; of
/// zeros that reach behind the end that part has no entries.
Tree::MemoryNode& Tree::open(Slot& slot, unsigned level, uint64_t begin, const GiveUp& give_up) {
  if (slot.node != nullptr) return *slot.node;
  const Pointer old = slot.pointer;
  const NodePtr stored = old.kind == Kind::node ? extents_->node(old, end_()) : nullptr;
  auto node = make_node();
  if (stored != nullptr) {
    for (size_t i = 0; i < kFanout; ++i) node->slots[i].pointer = (*stored)[i];
  } else if (old.kind == Kind::zero) {
    const uint64_t held = clusters() - std::min(begin, clusters());
    const uint64_t entries = std::min<uint64_t>(kFanout, div_ceil(held, clusters_under(level - 1)));
    for (size_t i = 0; i < entries; ++i) node->slots[i].pointer = zero_pointer(old.birth, level - 1);
  }
  slot.pointer = {};
  slot.node = std::move(node);
  if (stored != nullptr) give_up(old);
  return *slot.node;
}

void Tree::set(uint64_t cluster, const Pointer& pointer, const GiveUp& give_up) {
  Slot* slot = &root_;
  for (unsigned level = height_; level > 0; --level)
    slot = &open(*slot, level, align_down(cluster, clusters_under(level)), give_up).slots[cluster / clusters_under(level - 1) % kFanout];
  const Pointer old = std::exchange(slot->pointer, pointer);
  changed_ = true;
  if (old.has_extent()) give_up(old);
}

std::unique_ptr<Tree::MemoryNode> Tree::make_node() {
  auto node = std::make_unique<MemoryNode>();
  ++nodes_in_memory_;
  return node;
}

void Tree::forget_node(Slot& slot) {
  slot.node.reset();
  --nodes_in_memory_;
}

/// All that the slot leads to becomes empty, from the bottom up: a node that can't be read stays with what it holds, and the rest is as it
/// should be. At most kMaxHeight deep.
void Tree::drop(Slot& slot, unsigned level, uint64_t birth, const GiveUp& give_up) {
  const Pointer empty = birth == 0 ? Pointer() : zero_pointer(birth, level);
  if (slot.node != nullptr || slot.pointer.kind == Kind::node) {
    MemoryNode& node = open(slot, level, 0, give_up);
    for (Slot& entry : node.slots) drop(entry, level - 1, birth, give_up);
    forget_node(slot);
  }
  const Pointer old = std::exchange(slot.pointer, empty);
  if (old.has_extent()) give_up(old);
}

/// `begin`: the slot's first cluster; `first` counts from there.
void Tree::clear_slot(Slot& slot, unsigned level, uint64_t begin, uint64_t first, uint64_t count, uint64_t birth, const GiveUp& give_up) {
  const Pointer empty = birth == 0 ? Pointer() : zero_pointer(birth, level);
  if (count == clusters_under(level)) {
    return drop(slot, level, birth, give_up);
  }
  if (slot.node == nullptr && slot.pointer.kind == empty.kind) return;  // so it is already
  MemoryNode& node = open(slot, level, begin, give_up);
  const uint64_t each = clusters_under(level - 1);
  for (const uint64_t end = first + count; first < end;) {
    const uint64_t within = first % each;
    const uint64_t part = std::min(end - first, each - within);
    clear_slot(node.slots[first / each], level - 1, begin + align_down(first, each), within, part, birth, give_up);
    first += part;
  }
}

void Tree::clear(uint64_t first, uint64_t count, uint64_t birth, const GiveUp& give_up) {
  if (count == 0) return;
  changed_ = true;
  clear_slot(root_, height_, 0, first, count, birth, give_up);
}

void Tree::resize(uint64_t size, const GiveUp& give_up) {
  const uint64_t cluster_size = extents_->header().cluster_size;
  const uint64_t clusters = div_ceil(size, cluster_size);
  const unsigned height = height_of(size, cluster_size);
  // Also when it grows: whatever another program left behind the end must not come to light.
  const uint64_t kept = std::min(clusters, this->clusters());
  clear(kept, clusters_under(height_) - kept, 0, give_up);
  lower(height, give_up);
  for (; height_ < height; ++height_) {
    if (root_.node == nullptr && root_.pointer.kind == Kind::absent) continue;
    auto node = make_node();
    node->slots[0] = std::move(root_);
    root_ = {{}, std::move(node)};
  }
  size_ = size;
  changed_ = true;
}

/// All but the first entry of what goes is absent.
void Tree::lower(unsigned height, const GiveUp& give_up) {
  for (; height_ > height; --height_) {
    if (root_.node == nullptr && root_.pointer.kind == Kind::absent) continue;
    Slot first = std::move(open(root_, height_, 0, give_up).slots[0]);
    forget_node(root_);
    root_ = std::move(first);
  }
}

// ---- storing ---------------------------------------------------------------------------------------

Pointer Tree::store_slot(Slot& slot, unsigned level, uint64_t birth, const Sink& sink) {
  if (slot.node == nullptr) return slot.pointer;
  auto stored = std::make_shared<Node>();
  bool any = false;
  for (size_t i = 0; i < kFanout; ++i) {
    (*stored)[i] = store_slot(slot.node->slots[i], level - 1, birth, sink);
    any = any || (*stored)[i].kind != Kind::absent;
  }
  if (!any) {
    forget_node(slot);
    return slot.pointer = {};
  }
  Pointer pointer;
  pointer.kind = Kind::node;
  pointer.level = static_cast<uint8_t>(level);
  pointer.birth = birth;
  pointer.length = kNodeSize;
  pointer.offset = sink();
  extents_->write_node(pointer, std::move(stored));
  // Only now: what could not be written stays in memory.
  forget_node(slot);
  return slot.pointer = pointer;
}

Object Tree::store(uint64_t birth, const Sink& sink) {
  root_.pointer = store_slot(root_, height_, birth, sink);
  changed_ = false;
  Object stored = object();
  stored.newest_birth = birth;
  return stored;
}

}  // namespace varve::native
