#include "base/interval_set.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "base/checked_math.h"

namespace varve {

// The first interval that has a part behind `offset`, or one that begins there.
IntervalSet::Map::const_iterator IntervalSet::first_ending_after(uint64_t offset) const {
  auto it = ends_.upper_bound(offset);
  if (it != ends_.begin() && std::prev(it)->second > offset) --it;
  return it;
}

std::optional<Interval> IntervalSet::find_overlap(uint64_t offset, uint64_t length) const {
  const uint64_t end = checked_add(offset, length, "the end of a range");
  const auto it = first_ending_after(offset);
  if (length == 0 || it == ends_.end() || it->first >= end) return std::nullopt;
  const uint64_t begin = std::max(offset, it->first);
  return Interval{begin, std::min(end, it->second) - begin};
}

std::optional<Interval> IntervalSet::insert(uint64_t offset, uint64_t length) {
  const std::optional<Interval> overlap = find_overlap(offset, length);
  if (length == 0) return overlap;
  uint64_t begin = offset;
  uint64_t end = offset + length;
  auto it = ends_.upper_bound(begin);
  if (it != ends_.begin() && std::prev(it)->second >= begin) --it;  // one that only touches is merged, too
  if (it == ends_.end() || it->first > end) {
    ends_.emplace_hint(it, begin, end);
    total_ += length;
    return overlap;
  }
  // The first that is merged gives its node: this takes no memory, of which there may be none.
  Map::node_type merged;
  while (it != ends_.end() && it->first <= end) {
    begin = std::min(begin, it->first);
    end = std::max(end, it->second);
    total_ -= it->second - it->first;
    const auto next = std::next(it);
    if (merged.empty())
      merged = ends_.extract(it);
    else
      ends_.erase(it);
    it = next;
  }
  merged.key() = begin;
  merged.mapped() = end;
  ends_.insert(it, std::move(merged));
  total_ += end - begin;
  return overlap;
}

void IntervalSet::erase(uint64_t offset, uint64_t length) {
  const uint64_t end = checked_add(offset, length, "the end of a range");
  if (length == 0) return;
  auto it = ends_.upper_bound(offset);
  if (it != ends_.begin() && std::prev(it)->second > offset) --it;
  while (it != ends_.end() && it->first < end) {
    const auto [begin, old_end] = *it;
    // What stays is there before what goes is gone: without memory nothing has changed.
    if (old_end > end) ends_.emplace(end, old_end);
    total_ -= std::min(old_end, end) - std::max(begin, offset);
    if (begin < offset) {
      it->second = offset;
      ++it;
    } else {
      it = ends_.erase(it);
    }
    if (old_end >= end) return;
  }
}

bool IntervalSet::contains(uint64_t offset, uint64_t length) const {
  const uint64_t end = checked_add(offset, length, "the end of a range");
  if (length == 0) return true;
  const auto it = first_ending_after(offset);
  return it != ends_.end() && it->first <= offset && it->second >= end;
}

std::vector<Interval> IntervalSet::gaps(uint64_t offset, uint64_t length) const {
  const uint64_t end = checked_add(offset, length, "the end of a range");
  std::vector<Interval> found;
  uint64_t at = offset;
  for (auto it = first_ending_after(offset); it != ends_.end() && it->first < end; ++it) {
    if (it->first > at) found.push_back({at, it->first - at});
    at = it->second;
  }
  if (at < end) found.push_back({at, end - at});
  return found;
}

}  // namespace varve
