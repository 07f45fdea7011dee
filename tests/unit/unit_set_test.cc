// The units of a large file that are taken: against intervals, which know nothing of groups.
#include "base/unit_set.h"

#include <algorithm>
#include <cstdint>
#include <string>

#include "base/interval_set.h"
#include "support/seeds.h"
#include "support/test.h"

namespace varve::test {
namespace {

constexpr uint64_t kUnit = 512;
constexpr uint64_t kGroup = 4096 * kUnit;  // that is in the set as a whole, or whose runs are kept
constexpr uint64_t kSize = 6 * kGroup;

std::string runs_of(const UnitSet& set) {
  std::string text;
  set.for_each([&](const Interval& run) { text += std::to_string(run.offset) + "-" + std::to_string(run.end()) + " "; });
  return text;
}

std::string runs_of(const IntervalSet& set) {
  std::string text;
  for (auto run = set.find_overlap(0, UINT64_MAX); run; run = set.find_overlap(run->end(), UINT64_MAX - run->end()))
    text += std::to_string(run->offset) + "-" + std::to_string(run->end()) + " ";
  return text;
}

/// Half of them begin or end with a group.
Interval any_range(Rng& rng) {
  uint64_t begin = rng.below(kSize / kUnit) * kUnit;
  uint64_t end = std::min(kSize, begin + rng.below(rng.below(2) == 0 ? 20 : 3 * 4096) * kUnit);
  if (rng.below(4) == 0) begin = begin / kGroup * kGroup;
  if (rng.below(4) == 0) end = std::max(begin, end / kGroup * kGroup);
  return {begin, end - begin};
}

TEST_CASE("a set of units agrees with a set of intervals") {
  for (uint64_t round = 0; round < scaled(100); ++round) {
    Rng rng("units " + std::to_string(round));
    SHOW_SEED(rng);
    UnitSet set(kUnit);
    IntervalSet model;
    for (int step = 0; step < 60; ++step) {
      const Interval range = any_range(rng);
      const auto overlap = model.find_overlap(range.offset, range.length);
      REQUIRE(set.find_overlap(range.offset, range.length) == overlap);
      const uint64_t most = (1 + rng.below(100)) * kUnit;
      const auto first = set.find_overlap(range.offset, range.length, most);
      REQUIRE(first.has_value() == overlap.has_value());
      if (overlap) REQUIRE(*first == Interval{overlap->offset, std::min(most, overlap->length)});
      if (rng.below(3) == 0) {
        set.erase(range.offset, range.length);
        model.erase(range.offset, range.length);
      } else {
        REQUIRE(set.insert(range.offset, range.length) == model.insert(range.offset, range.length).has_value());
      }
      REQUIRE(set.total() == model.total());
      REQUIRE(set.end() == model.end());
    }
    REQUIRE(runs_of(set) == runs_of(model));
  }
}

TEST_CASE("MEM-17: what is all used is one interval, however large; a range that wraps is corrupt") {
  UnitSet set(kUnit);
  CHECK_FALSE(set.insert(0, uint64_t{1} << 62));
  CHECK(set.end() == uint64_t{1} << 62);
  CHECK(set.insert(kGroup + kUnit, kUnit));
  set.erase(kGroup + kUnit, kUnit);
  CHECK(set.total() == (uint64_t{1} << 62) - kUnit);
  CHECK(set.find_overlap(kGroup, kGroup) == Interval{kGroup, kUnit});
  CHECK_FALSE(set.insert(kGroup + kUnit, kUnit));
  CHECK_FALSE(set.insert(5 * kUnit, 0));
  set.clear();
  CHECK(set.total() == 0);
  CHECK(set.end() == 0);
  CHECK_FALSE(set.find_overlap(0, UINT64_MAX));
  CHECK_ERRC(set.insert(UINT64_MAX, 2), Errc::corrupt);
  CHECK_ERRC(set.erase(UINT64_MAX, 2), Errc::corrupt);
  CHECK_ERRC(set.find_overlap(2, UINT64_MAX), Errc::corrupt);
}

}  // namespace
}  // namespace varve::test
