// Going over whole trees: who holds what.
#ifndef VARVE_FORMATS_NATIVE_WALK_H
#define VARVE_FORMATS_NATIVE_WALK_H

#include <cstdint>
#include <functional>

#include "base/unit_set.h"
#include "native/catalog.h"
#include "native/extents.h"
#include "native/superblock.h"

namespace varve::native {

using VisitExtent = std::function<void(const Pointer&)>;

/// Each extent of a stored object that was born after `after`, nodes behind what they hold. Throws as Extents does.
void walk(Extents& extents, const Object& object, uint64_t after, uint64_t end, const VisitExtent& visit);

/// The same. What is older must be what `parent` holds at the same place [R7]: else corrupt.
void walk_own(Extents& extents, const Object& object, const Object& parent, uint64_t after, uint64_t end, const VisitExtent& visit);

/// Each extent of a record's objects once.
void walk_record(Extents& extents, const Catalog& catalog, const OtherRecord& record, uint64_t head_parent, uint64_t end,
                 const VisitExtent& visit);

/// What stands in `other` where the root of a tree of `height` stands, and at which level: in a lower tree its root stands for the first
/// entry.
Pointer beside_root(Extents& extents, const Object& other, unsigned height, uint64_t end, unsigned& level);

/// Each extent of `object` born after `after` that `other` does not hold at the same place.
void walk_unshared(Extents& extents, const Object& object, const Object& other, uint64_t after, uint64_t end, const VisitExtent& visit);

/// Each extent of the head, of all snapshots and of all other records once.
void walk_lineage(Extents& extents, const Object& head, const Catalog& catalog, uint64_t head_parent, uint64_t end,
                  const VisitExtent& visit);

/// Every byte that the image refers to, its journal included. Each node is visited once: of a snapshot what was born after its parent.
/// `at_node` is called after each; what it throws ends the walk.
UnitSet used_space(
    Extents& extents, const Superblock& superblock, const Catalog& catalog, const std::function<void()>& at_node = [] {});

}  // namespace varve::native

#endif
