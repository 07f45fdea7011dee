#include "native/walk.h"

#include <algorithm>
#include <unordered_map>

#include "native/rotation_record.h"
#include "varve/error.h"

namespace varve::native {
namespace {

void walk_pointer(Extents& extents, const Pointer& pointer, uint64_t after, uint64_t end, const VisitExtent& visit) {
  // What was born later can't stand below what was born earlier.
  if (!pointer.has_extent() || pointer.birth <= after) return;
  if (pointer.kind == Kind::node) {
    const NodePtr node = extents.node(pointer, end);
    for (const Pointer& entry : *node) walk_pointer(extents, entry, after, end, visit);
  }
  visit(pointer);
}

/// Side by side, position by position. `other` stands at `other_level`: in a lower tree its root stands for the first entry.
struct Comparison {
  Extents& extents;
  uint64_t after;
  uint64_t end;
  const VisitExtent& visit;
  bool strict = false;  ///< what is not newer must be `other`'s

  void compare(const Pointer& pointer, unsigned level, const Pointer& other, unsigned other_level) const {
    if (!pointer.has_extent() || pointer == other) return;
    if (pointer.birth <= after) {
      if (strict) throw Error(Errc::corrupt, "something old is not what the parent holds there").at(pointer.offset);
      return;
    }
    if (pointer.kind == Kind::node) {
      const NodePtr node = extents.node(pointer, end);
      const NodePtr beside = other_level == level && other.kind == Kind::node ? extents.node(other, end) : nullptr;
      for (size_t i = 0; i < kFanout; ++i) {
        if (other_level < level)
          compare((*node)[i], level - 1, i == 0 ? other : Pointer(), i == 0 ? other_level : level - 1);
        else
          compare((*node)[i], level - 1, beside ? (*beside)[i] : Pointer(), level - 1);
      }
    }
    visit(pointer);
  }
};

}  // namespace

void walk(Extents& extents, const Object& object, uint64_t after, uint64_t end, const VisitExtent& visit) {
  walk_pointer(extents, object.root, after, end, visit);
}

Pointer beside_root(Extents& extents, const Object& other, unsigned height, uint64_t end, unsigned& level) {
  Pointer beside = other.root;
  level = other.height;
  for (; level > height && beside.kind == Kind::node; --level) beside = extents.node(beside, end)->front();
  if (level <= height) return beside;
  level = height;
  return {};
}

void walk_own(Extents& extents, const Object& object, const Object& parent, uint64_t after, uint64_t end, const VisitExtent& visit) {
  unsigned level = 0;
  const Pointer beside = beside_root(extents, parent, object.height, end, level);
  Comparison{extents, after, end, visit, true}.compare(object.root, object.height, beside, level);
}

void walk_unshared(Extents& extents, const Object& object, const Object& other, uint64_t after, uint64_t end, const VisitExtent& visit) {
  unsigned level = 0;
  const Pointer beside = beside_root(extents, other, object.height, end, level);
  Comparison{extents, after, end, visit}.compare(object.root, object.height, beside, level);
}

void walk_record(Extents& extents, const Catalog& catalog, const OtherRecord& record, uint64_t head_parent, uint64_t end,
                 const VisitExtent& visit) {
  const std::vector<ObjectBase> bases = bases_of(catalog, record, head_parent);
  for (size_t i = 0; i < bases.size(); ++i)
    walk_own(extents, record.objects[i], bases[i].object ? record.objects[*bases[i].object] : Object{}, bases[i].generation, end, visit);
}

void walk_lineage(Extents& extents, const Object& head, const Catalog& catalog, uint64_t head_parent, uint64_t end,
                  const VisitExtent& visit) {
  std::unordered_map<uint64_t, const Snapshot*> by_id;  // there may be a hundred thousand
  for (const Snapshot& snapshot : catalog.snapshots) by_id[snapshot.id] = &snapshot;
  const auto own = [&](const Object& object, uint64_t parent) {
    const auto above = by_id.find(parent);
    if (above == by_id.end()) return walk_own(extents, object, Object{}, 0, end, visit);
    walk_own(extents, object, above->second->object, above->second->generation, end, visit);
  };
  for (const Snapshot& snapshot : catalog.snapshots) own(snapshot.object, snapshot.parent);
  for (const OtherRecord& record : catalog.others) walk_record(extents, catalog, record, head_parent, end, visit);
  own(head, head_parent);
}

UnitSet used_space(Extents& extents, const Superblock& superblock, const Catalog& catalog, const std::function<void()>& at_node) {
  UnitSet used(extents.header().unit);
  // Two owners of one place: then nothing can be said of what is free. It also ends walks over nodes that lead to the same ones again and
  // again.
  const auto take = [&](const Pointer& pointer) {
    if (used.insert(pointer.offset, pointer.length)) throw Error(Errc::corrupt, "two extents share their place").at(pointer.offset);
    if (pointer.kind == Kind::node) at_node();
  };
  used.insert(superblock.journal_offset, superblock.journal_length);
  used.insert(superblock.sessions.offset, superblock.sessions.length);
  walk(extents, superblock.catalog, 0, superblock.end, take);
  walk_lineage(extents, superblock.head, catalog, superblock.head_parent, superblock.end, take);
  return used;
}

}  // namespace varve::native
