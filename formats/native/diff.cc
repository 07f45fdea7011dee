#include "native/diff.h"

#include <algorithm>
#include <optional>
#include <vector>

#include "native/snapshots.h"
#include "varve/error.h"

namespace varve::native {
namespace {

/// Two trees side by side, position by position.
class TreeDiff {
 public:
  TreeDiff(const Tree& from, const Tree& to, bool same_parent, uint64_t end, const VisitClusters& visit)
      : from_(from), to_(to), same_parent_(same_parent), clusters_(to.clusters()), visit_(visit), nodes_left_(2 * (end / kNodeSize)) {
    if (from.size() < to.size() && from.parent() != 0) edge_ = from.whole_clusters();
  }

  void compare(const Tree::Place& from, const Tree::Place& to, unsigned level, uint64_t first) {
    const uint64_t count = clusters_under(level);
    if (first >= clusters_) return;
    const bool at_edge = level > 0 && first <= edge_ && edge_ - first < count;
    if (!at_edge && same(from, to, level, first)) return;
    if (level == 0 || !(at_edge || leads_on(from, level) || leads_on(to, level)))
      return visit_(first, std::min(count, clusters_ - first), to.pointer);
    const auto below_from = open(from_, from, level);
    const auto below_to = open(to_, to, level);
    for (size_t i = 0; i < kFanout; ++i) compare(below_from[i], below_to[i], level - 1, first + i * clusters_under(level - 1));
  }

 private:
  /// A lower tree's root covers a part of this place only.
  static bool is_lower(const Tree::Place& place, unsigned level) {
    return place.level < level && (place.is_node() || place.pointer.kind != Kind::absent);
  }
  static bool leads_on(const Tree::Place& place, unsigned level) { return place.is_node() || is_lower(place, level); }

  bool same(const Tree::Place& from, const Tree::Place& to, unsigned level, uint64_t first) const {
    if (from.node != nullptr || to.node != nullptr || is_lower(from, level) || is_lower(to, level)) return false;
    const auto reads_as_zeros = [](const Pointer& pointer, bool over_parent) {
      return pointer.kind == Kind::zero || (pointer.kind == Kind::absent && !over_parent);
    };
    // What `from` takes of its parent may go on behind its end.
    if (first == edge_ && edge_ < from_.clusters() && from.pointer.kind == Kind::absent) return false;
    const bool zeros_from = reads_as_zeros(from.pointer, from_.parent() != 0 && first < from_.clusters());
    const bool zeros_to = reads_as_zeros(to.pointer, to_.parent() != 0);
    if (zeros_from || zeros_to) return zeros_from && zeros_to;
    // Below a node something may be absent.
    return from.pointer == to.pointer && (from.pointer.kind == Kind::data || same_parent_);
  }

  std::vector<Tree::Place> open(const Tree& tree, const Tree::Place& place, unsigned level) {
    if (place.pointer.kind == Kind::node && place.node == nullptr && !is_lower(place, level) && nodes_left_-- == 0)
      throw Error(Errc::corrupt, "nodes of the tree stand at more than one place").at(place.pointer.offset);
    return tree.below(place, level);
  }

  const Tree& from_;
  const Tree& to_;
  const bool same_parent_;
  const uint64_t clusters_;
  const VisitClusters& visit_;
  uint64_t edge_ = UINT64_MAX;  ///< if `from` ends before `to` and lies over a parent: its end, or the cluster with it
  uint64_t nodes_left_;         ///< as many as there is room for: then the walk goes in circles
};

/// What both lack: is it the same? Of references that were made anew the identity tells.
bool same_reference(const Catalog& catalog, uint32_t a, uint32_t b) {
  if (a == b) return true;
  const ParentReference* first = catalog.parent(a);
  const ParentReference* second = catalog.parent(b);
  if (first == nullptr || second == nullptr || first->identity.empty()) return false;
  return first->format == second->format && first->identity == second->identity;
}

ExtentKind extent_kind(const Pointer& pointer) {
  if (pointer.kind == Kind::absent) return ExtentKind::absent;
  return pointer.kind == Kind::zero ? ExtentKind::zero : ExtentKind::data;
}

/// Clusters into maximal runs of the disk, the blocks in memory, which are in no tree yet, among them.
class DiffRuns {
 public:
  DiffRuns(uint64_t cluster_size, uint64_t size, const DirtyBlocks* dirty, const std::function<void(const Extent&)>& visit)
      : cluster_size_(cluster_size), size_(size), dirty_(dirty), visit_(visit) {}

  void add(uint64_t first, uint64_t count, ExtentKind kind) {
    add_dirty(first);
    for (const uint64_t end = first + count; first < end;) {
      const uint64_t next = next_dirty(first).value_or(end);
      put(first, std::min(next, end) - first, kind);
      if (next < end) put(next, 1, ExtentKind::data);
      first = next_ = std::min(next + 1, end);
    }
  }
  void finish() {
    add_dirty(UINT64_MAX);
    if (run_.length != 0) visit_(run_);
  }

 private:
  std::optional<uint64_t> next_dirty(uint64_t from) const { return dirty_ == nullptr ? std::nullopt : dirty_->next(from); }
  void add_dirty(uint64_t before) {
    for (auto next = next_dirty(next_); next && *next < before; next = next_dirty(next_)) {
      put(*next, 1, ExtentKind::data);
      next_ = *next + 1;
    }
  }
  void put(uint64_t first, uint64_t count, ExtentKind kind) {
    const uint64_t offset = first * cluster_size_;
    if (count == 0 || offset >= size_) return;
    const uint64_t length = std::min(count * cluster_size_, size_ - offset);
    if (run_.length != 0 && run_.kind == kind && run_.offset + run_.length == offset) {
      run_.length += length;
      return;
    }
    if (run_.length != 0) visit_(run_);
    run_ = {};
    run_.offset = offset;
    run_.length = length;
    run_.kind = kind;
  }

  const uint64_t cluster_size_;
  const uint64_t size_;
  const DirtyBlocks* const dirty_;
  const std::function<void(const Extent&)>& visit_;
  uint64_t next_ = 0;  ///< blocks in memory before this cluster have been told
  Extent run_;
};

}  // namespace

void diff_trees(const Tree& from, const Tree& to, bool same_parent, uint64_t end, const VisitClusters& visit) {
  const unsigned level = std::max(from.root().level, to.root().level);
  TreeDiff(from, to, same_parent, end, visit).compare(from.root(), to.root(), level, 0);
}

void NativeSnapshots::diff(const std::string& from, const std::string& to, const std::function<void(const Extent&)>& visit) {
  const std::lock_guard lock(image_.change_mutex_);
  const auto end = [this] { return image_.space_.end(); };
  const Tree old_tree(image_.extents_, find(from).object, end);
  std::optional<Tree> named;
  if (!to.empty()) named.emplace(image_.extents_, find(to).object, end);
  // Only who holds the lock changes the head.
  const Tree& new_tree = named ? *named : image_.head_;
  DiffRuns runs(image_.cluster_size(), new_tree.size(), named ? nullptr : &image_.dirty_, visit);
  diff_trees(old_tree, new_tree, same_reference(image_.catalog_, old_tree.parent(), new_tree.parent()), end(),
             [&](uint64_t first, uint64_t count, const Pointer& pointer) { runs.add(first, count, extent_kind(pointer)); });
  runs.finish();
}

}  // namespace varve::native
