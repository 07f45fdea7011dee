// A set of units without memory, and what it takes.
#include "base/unit_set.h"

#include <new>

#include "native/reachable.h"
#include "support/heap.h"
#include "support/seeds.h"
#include "support/test.h"

namespace varve::test {
namespace {

constexpr uint64_t kUnit = 512;
constexpr uint64_t kGroup = 4096 * kUnit;

/// False: there was no memory for it.
bool change(UnitSet& set, const Interval& range, bool add, uint64_t k) {
  const FailAllocation failing(k);
  try {
    if (add)
      set.insert(range.offset, range.length);
    else
      set.erase(range.offset, range.length);
    return true;
  } catch (const std::bad_alloc&) {
    return false;
  }
}

TEST_CASE("a set of units is what it was when there is no memory for a change") {
  uint64_t failures = 0;
  for (uint64_t round = 0; round < scaled(40); ++round) {
    Rng rng("units without memory " + std::to_string(round));
    SHOW_SEED(rng);
    UnitSet set(kUnit);
    IntervalSet model;
    for (int step = 0; step < 60; ++step) {
      const uint64_t length = rng.one_in(2) ? rng.below(40) * kUnit : rng.below(3) * kGroup;
      const uint64_t offset = rng.below(5) * kGroup + (rng.one_in(2) ? rng.below(4096) * kUnit : 0);
      const bool add = !rng.one_in(3);
      for (uint64_t k = 1; !change(set, {offset, length}, add, k); ++k) {
        ++failures;
        REQUIRE(difference(intervals_of(set), model) == "");
        REQUIRE(set.total() == model.total());
      }
      if (add)
        model.insert(offset, length);
      else
        model.erase(offset, length);
      REQUIRE(difference(intervals_of(set), model) == "");
      REQUIRE(set.total() == model.total());
      REQUIRE(set.end() == model.end());
    }
  }
  CHECK(failures >= scaled(40) * 20);
}

TEST_CASE("MEM-17: a set of units takes little, whatever is in it: every other cluster of 1 TiB, and one unit here and there") {
  const uint64_t plain = 4096;
  heap_reset_peak();
  {
    UnitSet clusters(plain);
    for (uint64_t at = 0; at < uint64_t{1} << 40; at += 128 * 1024) clusters.insert(at, 64 * 1024);
    CHECK(clusters.total() == uint64_t{1} << 39);
  }
  CHECK(heap_peak() < 96 << 20);
  heap_reset_peak();
  {
    UnitSet lonely(kUnit);
    for (uint64_t i = 0; i < 100000; ++i) lonely.insert(i * 3 * kGroup, kUnit);
    CHECK(lonely.total() == 100000 * kUnit);
  }
  CHECK(heap_peak() < 100000 * 160);
}

}  // namespace
}  // namespace varve::test
