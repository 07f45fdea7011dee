// Space against a model of what the two superblocks and the state in memory refer to (sections 8 and 10).
#include "native/space.h"

#include <algorithm>
#include <map>

#include "native/builder.h"
#include "support/seeds.h"

namespace varve::test {
namespace {

using native::Space;

IntervalSet blocks_of(const std::map<uint64_t, uint64_t>& extents) {
  IntervalSet blocks;
  for (const auto& [offset, length] : extents) {
    const uint64_t first = offset / kBlock * kBlock;
    blocks.insert(first, (offset + length - first + kBlock - 1) / kBlock * kBlock);
  }
  return blocks;
}

uint64_t end_of(const std::map<uint64_t, uint64_t>& extents) {
  return extents.empty() ? kExtents : (extents.rbegin()->first + extents.rbegin()->second + kBlock - 1) / kBlock * kBlock;
}

/// An image that was opened in some generation, and is written for some more.
class Session {
 public:
  Session(Rng& rng, uint64_t unit) : rng_(rng), unit_(unit) {
    // Two states of an earlier program, which share most.
    uint64_t at = kExtents;
    std::map<uint64_t, uint64_t> older;
    for (int i = 0; i < 60; ++i) {
      const uint64_t length = rng_.one_in(5) ? kNode : cluster();
      if (length == kNode) at = (at + kBlock - 1) / kBlock * kBlock;
      if (rng_.below(4) != 0) live_.emplace(at, length);
      if (rng_.below(4) != 0) older.emplace(at, length);
      at += length + (rng_.one_in(3) ? rng_.below(20) * kBlock : 0);
    }
    opened_ = live_;
    newer_ = blocks_of(live_);
    older_ = blocks_of(older);
    space_ = std::make_unique<Space>((at + kBlock - 1) / kBlock * kBlock, unit_);
  }

  void run(int generations, bool find) {
    for (int generation = 0; generation < generations; ++generation) {
      for (uint64_t step = rng_.below(40); step > 0; --step) change();
      commit();
      if (generation == 0 && find) found();
    }
    const uint64_t before = space_->end();
    commit();
    const uint64_t end = space_->settle();
    CHECK(end == space_->end());
    CHECK(end % kBlock == 0);
    if (find)
      CHECK(end == std::max(kExtents, end_of(live_)));
    else
      CHECK(end == before);
  }

  uint64_t end() const { return space_->end(); }
  uint64_t live_bytes() const {
    uint64_t bytes = 0;
    for (const auto& [offset, length] : live_) bytes += length;
    return bytes;
  }

 private:
  uint64_t cluster() { return unit_ * (1 + rng_.below(65536 / unit_)); }

  void change() {
    switch (rng_.below(9)) {
      case 8: return recycle();
      case 0: return given(space_->take_node(kNode), kNode, true);
      case 1: return rng_.one_in(10) ? large() : free_some(1);
      case 2:
      case 3: return free_some(1 + rng_.below(3));
      default: {
        const uint64_t length = cluster();
        return given(space_->take(length), length, false);
      }
    }
  }

  void large() {
    const uint64_t length = kBlock * (16 + rng_.below(100));
    const uint64_t before = space_->end();
    given(space_->take_large(length), length, true);
    CHECK(space_->end() == before + length);
  }

  void given(uint64_t offset, uint64_t length, bool whole_blocks) {
    CAPTURE(offset);
    CAPTURE(length);
    REQUIRE(offset % (whole_blocks ? kBlock : unit_) == 0);
    REQUIRE(offset >= kExtents);
    REQUIRE(offset + length <= space_->end());
    REQUIRE_FALSE(handed_out_.insert(offset, length));      // R3
    REQUIRE_FALSE(back_now_.find_overlap(offset, length));  // somebody may read it
    REQUIRE_FALSE(back_before_.find_overlap(offset, length));
    const uint64_t first = offset / kBlock * kBlock;
    const uint64_t last = (offset + length + kBlock - 1) / kBlock * kBlock;
    REQUIRE_FALSE(newer_.find_overlap(first, last - first));  // R1
    REQUIRE_FALSE(older_.find_overlap(first, last - first));
    live_.emplace(offset, length);
  }

  void free_some(uint64_t count) {
    for (; count > 0 && !live_.empty(); --count) {
      auto victim = live_.lower_bound(kExtents + rng_.below(space_->end() - kExtents));
      if (victim == live_.end()) victim = live_.begin();
      const auto [offset, length] = *victim;
      live_.erase(victim);
      if (!handed_out_.find_overlap(offset, length)) {
        REQUIRE(space_->free(offset, length));
        continue;
      }
      REQUIRE(space_->take_back(offset, length));
      handed_out_.erase(offset, length);
      back_now_.insert(offset, length);
    }
  }

  void commit() {
    older_ = std::move(newer_);
    newer_ = blocks_of(live_);
    handed_out_ = {};
    const bool unread = rng_.below(3) != 0;
    space_->advance(unread);
    if (unread) next_readers();
    fresh();
  }

  void recycle() {
    const bool unread = rng_.below(3) != 0;
    space_->recycle(unread);
    if (unread) next_readers();
  }

  void next_readers() { back_before_ = std::exchange(back_now_, {}); }

  /// What may be punched out of the file: nothing that either superblock refers to [R2].
  void fresh() {
    const uint64_t least = kBlock * (1 + rng_.below(4));
    for (const Interval& run : space_->take_fresh(least)) {
      REQUIRE(run.length >= least);
      REQUIRE(run.offset % kBlock == 0);
      REQUIRE(run.length % kBlock == 0);
      REQUIRE_FALSE(newer_.find_overlap(run.offset, run.length));
      REQUIRE_FALSE(older_.find_overlap(run.offset, run.length));
    }
  }

  void found() {
    UnitSet used(unit_);
    for (const auto& [offset, length] : opened_) used.insert(offset, length);
    CHECK_FALSE(space_->knows_used());
    space_->found(used);
    CHECK(space_->knows_used());
  }

  Rng& rng_;
  const uint64_t unit_;
  std::unique_ptr<Space> space_;
  std::map<uint64_t, uint64_t> opened_;
  std::map<uint64_t, uint64_t> live_;   ///< what the state in memory refers to
  IntervalSet newer_, older_;           ///< blocks of the durable ones
  IntervalSet handed_out_;              ///< in this generation, and not taken back
  IntervalSet back_now_, back_before_;  ///< taken back, and perhaps being read
};

TEST_CASE("R1, R2, R3: what is handed out is in no block of either superblock, and not handed out twice in a generation") {
  for (const uint64_t unit : {512, 4096}) {
    for (uint64_t round = 0; round < scaled(60); ++round) {
      for (const bool find : {true, false}) {
        Rng rng("space " + std::to_string(unit) + " " + std::to_string(round));
        SHOW_SEED(rng);
        Session(rng, unit).run(30, find);
      }
    }
  }
}

TEST_CASE("R3: a commit begins at a block although something is still being read") {
  Space space(kExtents, 512);
  CHECK(space.take(512) == kExtents);
  CHECK(space.take(512) == kExtents + 512);
  space.advance(false);
  CHECK(space.take(512) == kExtents + kBlock);
}

TEST_CASE("R3: what was taken for what is being built and given up waits for its readers only, also before it is known what is used") {
  Space space(kExtents, 512);
  const uint64_t place = space.take(64 * kKiB);
  const uint64_t kept = space.take(64 * kKiB);
  CHECK(space.take_back(place, 64 * kKiB));
  CHECK_FALSE(space.take_back(place, 64 * kKiB));
  space.recycle(true);
  CHECK(space.take(64 * kKiB) != place);
  space.recycle(false);
  CHECK(space.take(64 * kKiB) != place);
  space.recycle(true);
  CHECK(space.take(64 * kKiB) == place);
  CHECK(kept == place + 64 * kKiB);
}

TEST_CASE("R2: what is freed in W is handed out again once W + 1 is durable, and not before") {
  for (const bool read : {false, true}) {
    Space space(kExtents, 512);
    const uint64_t place = space.take(64 * kKiB);
    space.advance(true);
    space.found(UnitSet(512));
    space.free(place, 64 * kKiB);  // while W is built
    CHECK(space.take(64 * kKiB) != place);
    space.advance(true);  // W is durable
    CHECK(space.take(64 * kKiB) != place);
    space.advance(!read);  // W + 1
    CHECK((space.take(64 * kKiB) == place) == !read);
    if (!read) continue;
    space.advance(true);
    CHECK(space.take(64 * kKiB) == place);
  }
}

TEST_CASE("R3: a block that something is still in is not free") {
  Space space(kExtents, 512);
  const uint64_t first = space.take(1024);
  const uint64_t second = space.take(3072);
  space.advance(true);
  UnitSet used(512);
  used.insert(first, 4096);
  space.found(used);
  space.free(second, 3072);
  for (int i = 0; i < 3; ++i) space.advance(true);
  CHECK(space.take_fresh(1).empty());
  CHECK(space.take(512) > second);
  space.free(first, 1024);
  for (int i = 0; i < 3; ++i) space.advance(true);
  CHECK(space.take(4096) == kExtents);
}

TEST_CASE("space is used again: an image that is rewritten for ever does not grow for ever") {
  Space space(kExtents, 512);
  space.advance(true);
  space.found(UnitSet(512));
  Rng rng("reuse");
  std::vector<Interval> live;
  for (int i = 0; i < 100; ++i) live.push_back({space.take(16 * kKiB), 16 * kKiB});
  for (int generation = 0; generation < 1000; ++generation) {
    for (int i = 0; i < 20; ++i) {
      Interval& one = live[rng.below(live.size())];
      space.free(one.offset, one.length);
      const uint64_t length = 512 * (1 + rng.below(32));
      one = {space.take(length), length};
    }
    space.advance(true);
  }
  CHECK(space.end() - kExtents < 4 * 100 * 16 * kKiB);
}

TEST_CASE("holes are found where every other cluster of 1 TiB is free") {
  constexpr uint64_t kTiB = uint64_t{1} << 40;
  UnitSet used(kBlock);
  for (uint64_t at = kExtents; at < kTiB; at += 128 * kKiB) used.insert(at, 64 * kKiB);
  CHECK(used.total() == (kTiB - kExtents) / 2);
  Space space(kTiB, kBlock);
  space.found(std::move(used));
  CHECK(space.take(64 * kKiB) == kExtents + 64 * kKiB);
  CHECK(space.take(128 * kKiB) == kTiB);  // no hole is as large
}

TEST_CASE("R4: the end goes down to the last block that is used, not before it is known what is") {
  Space space(kExtents + 10 * kBlock, 512);
  const uint64_t place = space.take(kBlock);
  CHECK(space.settle() == kExtents + 11 * kBlock);
  space.found(UnitSet(512));
  CHECK(space.settle() == kExtents + 11 * kBlock);
  space.free(place, kBlock);
  CHECK(space.settle() == kExtents);
  CHECK(space.take_large(3 * kBlock) == kExtents);
}

}  // namespace
}  // namespace varve::test
