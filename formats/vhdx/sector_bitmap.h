// Which sectors of a partially present block are here and which are the parent's [MS-VHDX 2.5.2].
#ifndef VARVE_FORMATS_VHDX_SECTOR_BITMAP_H
#define VARVE_FORMATS_VHDX_SECTOR_BITMAP_H

#include <cstdint>

#include "vhdx/page_cache.h"

namespace varve::vhdx {

/// The bitmap block of one chunk, which lies at `offset` of the file. Sectors count from the chunk's start. Thread-safe as PageCache is.
class SectorBitmap {
 public:
  SectorBitmap(PageCache& pages, uint64_t offset) : pages_(pages), offset_(offset) {}

  struct Run {
    bool present;
    uint64_t sectors;
  };
  /// Sectors from `first` on that are alike, `most` (> 0) at most; looks at one page.
  Run run_at(uint64_t first, uint64_t most) const;
  void fill(uint64_t first, uint64_t count, bool present);

 private:
  PageCache& pages_;
  const uint64_t offset_;
};

}  // namespace varve::vhdx

#endif
