// Which parts of a file are taken.
#ifndef VARVE_BASE_INTERVAL_SET_H
#define VARVE_BASE_INTERVAL_SET_H

#include <cstdint>
#include <map>
#include <optional>
#include <vector>

namespace varve {

/// [offset, offset + length). The end is at most 2^64 - 1.
struct Interval {
  uint64_t offset = 0;
  uint64_t length = 0;
  uint64_t end() const noexcept { return offset + length; }
  bool operator==(const Interval&) const = default;
};

/// A set of numbers, kept as disjoint intervals that do not touch. Empty intervals take nothing and overlap nothing. Members
/// that take a range throw corrupt if it overflows 64 bits: ranges come from files. Not thread-safe. O(log n).
class IntervalSet {
 public:
  /// Adds the range. Returns the first part of it that was in the set before: an overlap.
  std::optional<Interval> insert(uint64_t offset, uint64_t length);

  /// Takes the range out; what of it was not in the set stays out.
  void erase(uint64_t offset, uint64_t length);

  /// The first part of the range that is in the set.
  std::optional<Interval> find_overlap(uint64_t offset, uint64_t length) const;
  /// Is all of the range in the set?
  bool contains(uint64_t offset, uint64_t length) const;
  /// The maximal parts of the range that are not in the set, in order.
  std::vector<Interval> gaps(uint64_t offset, uint64_t length) const;

  /// The largest end; 0 if the set is empty.
  uint64_t end() const noexcept { return ends_.empty() ? 0 : ends_.rbegin()->second; }
  /// How many intervals there are: what bounds the memory.
  size_t count() const noexcept { return ends_.size(); }
  /// How many numbers are in the set.
  uint64_t total() const noexcept { return total_; }

 private:
  using Map = std::map<uint64_t, uint64_t>;  // begin -> end
  Map::const_iterator first_ending_after(uint64_t offset) const;

  Map ends_;
  uint64_t total_ = 0;
};

}  // namespace varve

#endif
