// Which MiB of the file belong to something. Nothing has two owners [MEM-18, MEM-19].
#ifndef VARVE_FORMATS_VHDX_OWNER_MAP_H
#define VARVE_FORMATS_VHDX_OWNER_MAP_H

#include <algorithm>
#include <cstdint>

#include "base/bitmap.h"
#include "base/checked_math.h"
#include "vhdx/structures.h"

namespace varve::vhdx {

/// Not thread-safe.
class OwnerMap {
 public:
  /// Throws limit if the map takes more than `max_bytes`.
  OwnerMap(uint64_t file_size, uint64_t max_bytes) : taken_(div_ceil(file_size, kMiB), max_bytes) {}

  /// False if a part of the range is taken already. What lies behind the file's end is no one's.
  bool take(uint64_t offset, uint64_t length) {
    const uint64_t first = std::min(offset / kMiB, taken_.size());
    const uint64_t last = std::min(div_ceil(length, kMiB), taken_.size() - first) + first;
    if (taken_.any(first, last - first)) return false;
    taken_.set_range(first, last - first);
    return true;
  }

  /// Calls `use` with the byte ranges that nothing took, ascending.
  template <typename Use>
  void for_each_gap(Use use) const {
    for (uint64_t first = taken_.find_next_clear(0); first < taken_.size();) {
      const uint64_t end = taken_.find_next_set(first);
      use(first * kMiB, (end - first) * kMiB);
      first = end < taken_.size() ? taken_.find_next_clear(end) : end;
    }
  }

 private:
  Bitmap taken_;
};

}  // namespace varve::vhdx

#endif
