// The places of a file that structures take.
#ifndef VARVE_FORMATS_VMDK_SECTOR_RANGES_H
#define VARVE_FORMATS_VMDK_SECTOR_RANGES_H

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

namespace varve::vmdk {

/// Sectors [first, end).
struct SectorRange {
  uint64_t first = 0;
  uint64_t end = 0;
  bool operator==(const SectorRange&) const = default;
};

/// Merged as they come: tables lie side by side in real extents, so a few ranges are enough. A hostile one may scatter millions. Asking is
/// thread-safe, adding is not.
class SectorRanges {
 public:
  /// settle(), which add() calls now and then, throws limit where merged ranges take more than `max_bytes`; a handful always has room.
  explicit SectorRanges(uint64_t max_bytes = UINT64_MAX);

  /// Empty ranges take nothing.
  void add(uint64_t first, uint64_t end);
  /// To be called after add(), before anything is asked.
  void settle();
  /// What is added from now on is not an image's word.
  void lift_bound() { most_ = SIZE_MAX; }

  /// The first taken sector at or behind `sector`; UINT64_MAX if there is none.
  uint64_t next_taken(uint64_t sector) const;
  /// Is one of [sector, sector + count) taken?
  bool takes(uint64_t sector, uint64_t count) const { return next_taken(sector) < sector + count; }
  /// Where a range began on sectors that were taken already: two structures in one place [MEM-17].
  std::optional<uint64_t> overlap() const { return overlap_; }
  /// Sorted; they don't touch.
  std::span<const SectorRange> ranges() const { return ranges_; }

 private:
  size_t most_;
  size_t settle_at_;
  std::vector<SectorRange> ranges_;  ///< sorted and disjoint after settle()
  std::optional<uint64_t> overlap_;
};

}  // namespace varve::vmdk

#endif
