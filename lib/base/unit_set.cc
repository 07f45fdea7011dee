#include "base/unit_set.h"

#include <algorithm>
#include <new>

#include "base/checked_math.h"

namespace varve {

// ---- changing ----------------------------------------------------------------------------------------

void UnitSet::Group::set(uint64_t begin, uint64_t end, bool value) {
  for (uint64_t unit = begin; unit < end; ++unit) {
    if (units.test(unit) == value) continue;
    value ? units.set(unit) : units.clear(unit);
    value ? ++used : --used;
  }
}

UnitSet::Range UnitSet::units(uint64_t offset, uint64_t length) const {
  return {offset / unit_, div_ceil(checked_add(offset, length, "the end of a range"), unit_)};
}

/// The group with a bitmap, which is made if there is none: that changes how the group is kept, not what is in the set.
UnitSet::Group& UnitSet::open(uint64_t number) {
  const auto [place, added] = mixed_.try_emplace(number);
  Group& group = place->second;
  if (!added || !full_.contains(number, 1)) return group;
  try {
    full_.erase(number, 1);
  } catch (...) {
    mixed_.erase(place);
    throw;
  }
  group.set(0, kUnits, true);
  scattered_ += group.used;
  return group;
}

/// A bitmap that is not needed goes.
void UnitSet::settle(uint64_t number) noexcept {
  const auto found = mixed_.find(number);
  if (found == mixed_.end()) return;
  const uint64_t used = found->second.used;
  if (used != 0 && used != kUnits) return;
  try {
    if (used != 0) full_.insert(number, 1);
  } catch (const std::bad_alloc&) {
    return;  // then it is kept as bits
  }
  scattered_ -= used;
  mixed_.erase(found);
}

void UnitSet::drop_bitmaps(uint64_t begin, uint64_t end) noexcept {
  const auto last = mixed_.lower_bound(end);
  for (auto at = mixed_.lower_bound(begin); at != last; at = mixed_.erase(at)) scattered_ -= at->second.used;
}

void UnitSet::change_part(uint64_t number, uint64_t begin, uint64_t end, bool value) {
  Group& group = mixed_.at(number);
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
  drop_bitmaps(whole, whole_end);
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
    const uint64_t unit = at->second.units.find_next_set(at->first == number ? from % kUnits : 0);
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
    const uint64_t end = mixed->second.units.find_next_clear(from % kUnits);
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
  uint64_t end = full_.end() * kUnits;
  if (mixed_.empty() || mixed_.rbegin()->first * kUnits < end) return end * unit_;
  const auto& [number, group] = *mixed_.rbegin();
  for (uint64_t at = group.units.find_next_set(0); at < kUnits; at = group.units.find_next_set(at)) {
    at = group.units.find_next_clear(at);
    end = number * kUnits + at;
  }
  return end * unit_;
}

}  // namespace varve
