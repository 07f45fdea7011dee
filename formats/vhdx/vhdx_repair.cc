// What `check --repair` writes.
#include <string>
#include <vector>

#include "vhdx/vhdx_image.h"

namespace varve::vhdx {

/// The other copy is whole all the time.
void VhdxImage::mend_regions() {
  const std::vector<std::byte> table = encode(parts_.regions.all);
  const bool first_whole = parts_.regions.faults[0].empty();
  file_->write_at(kRegionTableOffsets[first_whole ? 1 : 0], table);
  file_->flush();
  parts_.regions.faults = {};
  parts_.regions.copies_differ = false;
}

/// A block becomes zero and not absent: over a parent an older state must not come to light as if it were the current one. The session
/// ends at once, so the next change looks at everything anew.
void VhdxImage::drop(std::span<const Interval> blocks, std::span<const uint64_t> bitmaps) {
  if (blocks.empty() && bitmaps.empty()) return;
  ready_.store(false, std::memory_order_release);
  {
    const std::lock_guard lock(space_mutex_);
    space_.reset();
  }
  session_.begin();
  for (const Interval& run : blocks) {
    for (uint64_t block = run.offset; block < run.end(); ++block) {
      map_->set_payload(block, {BlockState::zero, 0});
      bound_changes();
    }
  }
  for (const uint64_t chunk : bitmaps) {
    map_->set_bitmap(chunk, {});
    bound_changes();
  }
  session_.end();
}

}  // namespace varve::vhdx
