#include "vmdk/sector_ranges.h"

#include <algorithm>

#include "varve/error.h"

namespace varve::vmdk {
namespace {

constexpr size_t kHandful = 16;
constexpr size_t kSettleAt = 4096;

}  // namespace

SectorRanges::SectorRanges(uint64_t max_bytes)
    : most_(std::max(kHandful, static_cast<size_t>(max_bytes / sizeof(SectorRange)))), settle_at_(std::min(kSettleAt, most_)) {}

void SectorRanges::add(uint64_t first, uint64_t end) {
  if (first >= end) return;
  if (!ranges_.empty() && ranges_.back().end == first) {
    ranges_.back().end = end;
    return;
  }
  ranges_.push_back({first, end});
  if (ranges_.size() < settle_at_) return;
  settle();
  settle_at_ = 2 * ranges_.size() + kSettleAt;
}

void SectorRanges::settle() {
  std::sort(ranges_.begin(), ranges_.end(), [](const SectorRange& a, const SectorRange& b) { return a.first < b.first; });
  size_t kept = 0;
  for (const SectorRange& range : ranges_) {
    if (kept == 0 || range.first > ranges_[kept - 1].end) {
      ranges_[kept++] = range;
      continue;
    }
    SectorRange& before = ranges_[kept - 1];
    if (range.first < before.end && !overlap_) overlap_ = range.first;
    before.end = std::max(before.end, range.end);
  }
  ranges_.resize(kept);
  if (kept > most_) throw Error(Errc::limit, "the grain tables are scattered over too many places");
}

uint64_t SectorRanges::next_taken(uint64_t sector) const {
  const auto behind =
      std::upper_bound(ranges_.begin(), ranges_.end(), sector, [](uint64_t at, const SectorRange& range) { return at < range.end; });
  return behind == ranges_.end() ? UINT64_MAX : std::max(sector, behind->first);
}

}  // namespace varve::vmdk
