// In which clusters two states of a disk differ (docs/formats/varve.md, section 11).
#ifndef VARVE_FORMATS_NATIVE_DIFF_H
#define VARVE_FORMATS_NATIVE_DIFF_H

#include <cstdint>
#include <functional>

#include "native/tree.h"

namespace varve::native {

/// `count` clusters from `first` on that are alike in `to`: absent, zero or data as `pointer` says.
using VisitClusters = std::function<void(uint64_t first, uint64_t count, const Pointer& pointer)>;

/// Calls `visit` in ascending order for the clusters of `to` that do not hold what `from` holds. What leads to the same extents on both
/// sides is not looked into. `same_parent`: what both lack comes from one place. `end`: of used space. Neither tree may change meanwhile.
void diff_trees(const Tree& from, const Tree& to, bool same_parent, uint64_t end, const VisitClusters& visit);

}  // namespace varve::native

#endif
