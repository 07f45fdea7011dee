// Which units of a large file are taken, however scattered they are.
#ifndef VARVE_BASE_UNIT_SET_H
#define VARVE_BASE_UNIT_SET_H

#include <cstdint>
#include <map>
#include <optional>
#include <vector>

#include "base/interval_set.h"

namespace varve {

/// A set of units of a file, in two levels: groups of 4,096 units that are in it as a whole are kept as intervals of groups, and of the
/// others that are not empty, where runs begin and end. So it takes 4 bytes for a run and some 120 for a group of which only parts are in
/// it, and next to nothing for what is all used or all free. Ranges are in bytes, whole units; members that take one throw corrupt if it
/// overflows 64 bits. What fails for want of memory leaves the set as it was. Not thread-safe.
class UnitSet {
 public:
  explicit UnitSet(uint64_t unit) : unit_(unit) {}

  /// Adds the range. True: some of it was in the set before.
  bool insert(uint64_t offset, uint64_t length);
  /// Takes the range out; what of it was not in the set stays out.
  void erase(uint64_t offset, uint64_t length);
  void clear() noexcept;

  /// The first part of the range that is in the set; of that the first `most` bytes, whole units.
  std::optional<Interval> find_overlap(uint64_t offset, uint64_t length, uint64_t most = UINT64_MAX) const;
  /// Calls `use` for each maximal run of the set, in order.
  template <typename Use>
  void for_each(Use use) const {
    for (auto run = find_overlap(0, UINT64_MAX); run; run = find_overlap(run->end(), UINT64_MAX - run->end())) use(*run);
  }

  /// The largest end; 0 if the set is empty.
  uint64_t end() const;
  /// How many bytes are in the set.
  uint64_t total() const noexcept { return (full_.total() * kUnits + scattered_) * unit_; }

 private:
  static constexpr uint64_t kUnits = 4096;  // of a group

  /// A unit is in the set if an odd number of edges lies at or before it.
  struct Group {
    std::vector<uint16_t> edges;  ///< ascending
    uint64_t used = 0;

    /// For one or two calls of set(), which then take no memory: a group that is full, and a part of it that is not.
    void reserve();
    void set(uint64_t begin, uint64_t end, bool value) noexcept;
    uint64_t count(uint64_t begin, uint64_t end) const noexcept;
    /// The first unit from `from` on that is, or is not, in the set; kUnits if there is none.
    uint64_t find_next(uint64_t from, bool value) const noexcept;
  };
  struct Range {
    uint64_t begin, end;  // units
  };

  Range units(uint64_t offset, uint64_t length) const;
  Group& open(uint64_t number);
  void change_part(uint64_t number, uint64_t begin, uint64_t end, bool value) noexcept;
  void change(const Range& range, bool value);
  void settle(uint64_t number) noexcept;
  void drop_groups(uint64_t begin, uint64_t end) noexcept;
  std::optional<uint64_t> first_in(uint64_t from) const;
  uint64_t end_of_run(uint64_t from, uint64_t limit) const;

  uint64_t unit_;
  IntervalSet full_;                 ///< numbers of groups
  std::map<uint64_t, Group> mixed_;  ///< by number; none of full_
  uint64_t scattered_ = 0;           ///< units in mixed_
};

}  // namespace varve

#endif
