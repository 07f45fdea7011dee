#include "base/unit_set.h"

#include <algorithm>
#include <new>

#include "base/checked_math.h"

namespace varve {

// ---- one group ---------------------------------------------------------------------------------------

void UnitSet::Group::reserve() {
  if (edges.capacity() < edges.size() + 3) edges.reserve(edges.size() + edges.size() / 2 + 3);
}

uint64_t UnitSet::Group::find_next(uint64_t from, bool value) const noexcept {
  const auto next = std::upper_bound(edges.begin(), edges.end(), from);
  const bool is_in = (next - edges.begin()) % 2 != 0;
  if (from >= kUnits || is_in == value) return std::min(from, kUnits);
  return next == edges.end() ? kUnits : *next;
}

uint64_t UnitSet::Group::count(uint64_t begin, uint64_t end) const noexcept {
  uint64_t total = 0;
  for (uint64_t at = find_next(begin, true); at < end; at = find_next(at, true)) {
    const uint64_t run_end = std::min(end, find_next(at, false));
    total += run_end - at;
    at = run_end;
  }
  return total;
}

void UnitSet::Group::set(uint64_t begin, uint64_t end, bool value) noexcept {
  if (begin >= end) return;
  used -= count(begin, end);
  used += value ? end - begin : 0;
  const auto first = std::lower_bound(edges.begin(), edges.end(), begin);
  const auto last = std::upper_bound(first, edges.end(), end);
  const bool before = (first - edges.begin()) % 2 != 0;
  const bool behind = (last - edges.begin()) % 2 != 0;
  const auto at = edges.erase(first, last);
  uint16_t added[2];
  size_t count = 0;
  if (before != value) added[count++] = static_cast<uint16_t>(begin);
  if (end < kUnits && behind != value) added[count++] = static_cast<uint16_t>(end);
  edges.insert(at, added, added + count);
}

// ---- changing ----------------------------------------------------------------------------------------

UnitSet::Range UnitSet::units(uint64_t offset, uint64_t length) const {
  return {offset / unit_, div_ceil(checked_add(offset, length, "the end of a range"), unit_)};
}

/// A group of mixed_, ready for a change. That it is there changes how the set is kept, not what is in it.
UnitSet::Group& UnitSet::open(uint64_t number) {
  const auto [place, added] = mixed_.try_emplace(number);
  Group& group = place->second;
  try {
    group.reserve();
    if (!added || !full_.contains(number, 1)) return group;
    full_.erase(number, 1);
  } catch (...) {
    if (added) mixed_.erase(place);
    throw;
  }
  group.set(0, kUnits, true);
  scattered_ += group.used;
  return group;
}

/// A group that is empty or full is none of mixed_.
void UnitSet::settle(uint64_t number) noexcept {
  const auto found = mixed_.find(number);
  if (found == mixed_.end()) return;
  const uint64_t used = found->second.used;
  if (used != 0 && used != kUnits) return;
  try {
    if (used != 0) full_.insert(number, 1);
  } catch (const std::bad_alloc&) {
    return;  // then it stays where it is
  }
  scattered_ -= used;
  mixed_.erase(found);
}

void UnitSet::drop_groups(uint64_t begin, uint64_t end) noexcept {
  const auto last = mixed_.lower_bound(end);
  for (auto at = mixed_.lower_bound(begin); at != last; at = mixed_.erase(at)) scattered_ -= at->second.used;
}

void UnitSet::change_part(uint64_t number, uint64_t begin, uint64_t end, bool value) noexcept {
  Group& group = mixed_.find(number)->second;
  scattered_ -= group.used;
  group.set(begin, end, value);
  scattered_ += group.used;
  settle(number);
}

/// What takes memory comes first.
void UnitSet::change(const Range& range, bool value) {
  if (range.begin >= range.end) return;
  const uint64_t first = range.begin / kUnits;
  const uint64_t last = (range.end - 1) / kUnits;
  const bool first_whole = range.begin % kUnits == 0 && (first != last || range.end % kUnits == 0);
  const bool last_whole = range.end % kUnits == 0 && (first != last || first_whole);
  const uint64_t whole = first_whole ? first : first + 1;
  const uint64_t whole_end = std::max(whole, last_whole ? last + 1 : last);
  try {
    if (!first_whole) open(first);
    if (!last_whole && last != first) open(last);
    if (whole < whole_end && value) full_.insert(whole, whole_end - whole);
    if (whole < whole_end && !value) full_.erase(whole, whole_end - whole);
  } catch (...) {
    settle(first);
    settle(last);
    throw;
  }
  drop_groups(whole, whole_end);
  if (!first_whole) change_part(first, range.begin % kUnits, std::min(range.end - first * kUnits, kUnits), value);
  if (!last_whole && last != first) change_part(last, 0, range.end - last * kUnits, value);
}

bool UnitSet::insert(uint64_t offset, uint64_t length) {
  const bool overlaps = find_overlap(offset, length, 1).has_value();
  change(units(offset, length), true);
  return overlaps;
}

void UnitSet::erase(uint64_t offset, uint64_t length) { change(units(offset, length), false); }

void UnitSet::clear() noexcept {
  full_ = {};
  mixed_.clear();
  scattered_ = 0;
}

// ---- looking -----------------------------------------------------------------------------------------

/// The first unit of the set at or behind this one.
std::optional<uint64_t> UnitSet::first_in(uint64_t from) const {
  const uint64_t number = from / kUnits;
  const auto full = full_.find_overlap(number, UINT64_MAX - number);
  const uint64_t full_at = full ? std::max(from, full->offset * kUnits) : UINT64_MAX;
  for (auto at = mixed_.lower_bound(number); at != mixed_.end() && at->first * kUnits < full_at; ++at) {
    const uint64_t unit = at->second.find_next(at->first == number ? from % kUnits : 0, true);
    if (unit < kUnits) return at->first * kUnits + unit;
  }
  return full ? std::optional(full_at) : std::nullopt;
}

/// Where the run ends that `from` is in, `limit` at most.
uint64_t UnitSet::end_of_run(uint64_t from, uint64_t limit) const {
  while (from < limit) {
    const uint64_t number = from / kUnits;
    if (const auto full = full_.find_overlap(number, UINT64_MAX - number); full && full->offset == number) {
      from = full->end() * kUnits;
      continue;
    }
    const auto mixed = mixed_.find(number);
    if (mixed == mixed_.end()) return from;
    const uint64_t end = mixed->second.find_next(from % kUnits, false);
    from = number * kUnits + end;
    if (end < kUnits) break;
  }
  return std::min(from, limit);
}

std::optional<Interval> UnitSet::find_overlap(uint64_t offset, uint64_t length, uint64_t most) const {
  const Range range = units(offset, length);
  const std::optional<uint64_t> first = length == 0 ? std::nullopt : first_in(range.begin);
  if (!first || *first >= range.end) return std::nullopt;
  const uint64_t limit = std::min(range.end, *first + std::min(div_ceil(most, unit_), UINT64_MAX - *first));
  const uint64_t begin = std::max(offset, *first * unit_);
  return Interval{begin, std::min(offset + length, end_of_run(*first, limit) * unit_) - begin};
}

uint64_t UnitSet::end() const {
  const uint64_t full_end = full_.end() * kUnits;
  if (mixed_.empty() || mixed_.rbegin()->first * kUnits < full_end) return full_end * unit_;
  const auto& [number, group] = *mixed_.rbegin();
  if (group.edges.empty()) return full_end * unit_;
  return (number * kUnits + (group.edges.size() % 2 == 0 ? group.edges.back() : kUnits)) * unit_;
}

}  // namespace varve
