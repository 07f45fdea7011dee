#include "native/space.h"

#include <algorithm>
#include <utility>

#include "base/checked_math.h"
#include "native/structures.h"

namespace varve::native {
namespace {

constexpr uint64_t kMaxChunk = uint64_t{1} << 20;      // of holes for clusters
constexpr uint64_t kMaxNodeChunk = uint64_t{4} << 20;  // so that a walk over all nodes reads long runs
constexpr uint64_t kMinNodeChunk = uint64_t{4} * kNodeSize;
constexpr int kHolesLookedAt = 64;

}  // namespace

/// A hole of at least `length` becomes the chunk.
bool Space::take_hole(Interval& chunk, uint64_t length) {
  for (int tries = 0; tries < kHolesLookedAt; ++tries) {
    const auto hole = free_.find_overlap(cursor_, end_ - std::min(cursor_, end_), std::max(kMaxChunk, align_up(length, kBlock)));
    if (!hole) {
      if (cursor_ == 0) return false;
      cursor_ = 0;
      continue;
    }
    cursor_ = hole->end();
    if (hole->length < length) continue;
    used_.insert(hole->offset, hole->length);
    free_.erase(hole->offset, hole->length);
    fresh_.erase(hole->offset, hole->length);
    chunk = *hole;
    return true;
  }
  return false;
}

/// At least `length` bytes in the chunk, in one piece; `chunk_length` if it has to come from the end.
void Space::refill(Interval& chunk, uint64_t length, uint64_t chunk_length) {
  if (Interval hole; take_hole(hole, length)) {
    give_back(chunk);
    chunk = hole;
    return;
  }
  if (chunk.end() != end_) give_back(chunk);
  const uint64_t more = align_up(std::max(length - chunk.length, chunk_length), kBlock);
  used_.insert(end_, more);
  end_ += more;
  chunk.length += more;
}

uint64_t Space::carve(Interval& chunk, uint64_t length) {
  const uint64_t offset = chunk.offset;
  chunk.offset += length;
  chunk.length -= length;
  return offset;
}

uint64_t Space::take(uint64_t length) {
  const std::lock_guard lock(mutex_);
  if (clusters_.length < length) refill(clusters_, length, 0);
  return carve(clusters_, length);
}

uint64_t Space::take_node(uint64_t length) {
  const std::lock_guard lock(mutex_);
  const uint64_t chunk = std::clamp(align_up(end_ / 256, kNodeSize), kMinNodeChunk, kMaxNodeChunk);
  if (nodes_.length < length) refill(nodes_, length, chunk);
  return carve(nodes_, length);
}

uint64_t Space::take_large(uint64_t length) {
  const std::lock_guard lock(mutex_);
  const uint64_t offset = end_;
  used_.insert(offset, length);
  end_ += length;
  return offset;
}

bool Space::free(uint64_t offset, uint64_t length) {
  const std::lock_guard lock(mutex_);
  return !freed_now_.insert(offset, length);
}

bool Space::take_back(uint64_t offset, uint64_t length) {
  const std::lock_guard lock(mutex_);
  return !back_now_.insert(offset, length);
}

void Space::recycle(bool unread) {
  const std::lock_guard lock(mutex_);
  if (!unread) return;
  take_each(back_before_, [this](const Interval& run) { release_blocks(run); });
  std::swap(back_before_, back_now_);
}

void Space::release(const Interval& extent) {
  if (knows_used_) return release_blocks(extent);
  early_.push_back(extent);
}

/// Blocks that nothing is in any more are free. Before found() only of what was taken since, which shares no block with what is older.
void Space::release_blocks(const Interval& extent) {
  used_.erase(extent.offset, extent.length);
  uint64_t first = align_down(extent.offset, kBlock);
  uint64_t last = align_up(extent.end(), kBlock);
  if (used_.find_overlap(first, kBlock)) first += kBlock;
  if (last > first && used_.find_overlap(last - kBlock, kBlock)) last -= kBlock;
  if (last <= first) return;
  free_.insert(first, last - first);
  fresh_.insert(first, last - first);
}

/// Each run is out of the set before it is used: what fails for want of memory loses a run, and none is released twice, which could be
/// somebody else's by then.
template <typename Use>
void Space::take_each(UnitSet& extents, Use use) {
  while (const auto run = extents.find_overlap(0, UINT64_MAX)) {
    extents.erase(run->offset, run->length);
    use(*run);
  }
}

void Space::release_all(UnitSet& extents) {
  take_each(extents, [this](const Interval& run) { release(run); });
}

/// What of a chunk was not given out.
void Space::give_back(Interval& chunk) {
  const Interval rest = std::exchange(chunk, {end_, 0});
  if (rest.length != 0) release(rest);
}

void Space::advance(bool unread) {
  const std::lock_guard lock(mutex_);
  const uint64_t skipped = std::min(align_up(clusters_.offset, kBlock) - clusters_.offset, clusters_.length);
  if (skipped != 0) {
    const Interval rest{clusters_.offset, skipped};
    carve(clusters_, skipped);
    release(rest);
  }
  if (!unread) return;
  release_all(freed_before_);
  std::swap(freed_before_, freed_now_);
  release_all(back_before_);
  std::swap(back_before_, back_now_);
}

void Space::found(UnitSet used) {
  const std::lock_guard lock(mutex_);
  used_.for_each([&](const Interval& run) { used.insert(run.offset, run.length); });
  used_ = std::move(used);
  knows_used_ = true;
  uint64_t gap = kFirstExtent;
  const auto add_gap = [&](uint64_t end) {
    const uint64_t first = align_up(gap, kBlock);
    const uint64_t last = align_down(end, kBlock);
    if (first < last) free_.insert(first, last - first);
  };
  used_.for_each([&](const Interval& run) {
    add_gap(run.offset);
    gap = run.end();
  });
  add_gap(end_);
  for (const Interval& extent : early_) release(extent);
  early_.clear();
}

bool Space::knows_used() const {
  const std::lock_guard lock(mutex_);
  return knows_used_;
}

IntervalSet Space::used() const {
  const std::lock_guard lock(mutex_);
  IntervalSet used;
  used_.for_each([&](const Interval& run) { used.insert(run.offset, run.length); });
  for (const Interval& chunk : {clusters_, nodes_}) used.erase(chunk.offset, chunk.length);
  for (const UnitSet* back : {&back_now_, &back_before_}) back->for_each([&](const Interval& run) { used.erase(run.offset, run.length); });
  return used;
}

uint64_t Space::end() const {
  const std::lock_guard lock(mutex_);
  return end_;
}

uint64_t Space::settle() {
  const std::lock_guard lock(mutex_);
  give_back(clusters_);
  give_back(nodes_);
  release_all(freed_before_);
  release_all(freed_now_);
  release_all(back_before_);
  release_all(back_now_);
  if (knows_used_) {
    const uint64_t end = std::max(kFirstExtent, align_up(used_.end(), kBlock));
    free_.erase(end, end_ - end);
    fresh_.erase(end, end_ - end);
    end_ = end;
  }
  clusters_ = {end_, 0};
  nodes_ = {end_, 0};
  return end_;
}

std::vector<Interval> Space::take_fresh(uint64_t at_least) {
  const std::lock_guard lock(mutex_);
  std::vector<Interval> runs;
  fresh_.for_each([&](const Interval& run) {
    if (run.length >= at_least) runs.push_back(run);
  });
  fresh_.clear();
  return runs;
}

}  // namespace varve::native
