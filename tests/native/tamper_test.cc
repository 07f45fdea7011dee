// One bit of an encrypted image changes. Then it is refused as damaged, or the bit did not matter; nothing else is ever read. Nothing is
// unsupported: a copy of header or key area that has a wrong bit does not count, whatever it says.
#include <algorithm>
#include <string>
#include <vector>

#include "native/reachable.h"
#include "native/victim.h"
#include "support/seeds.h"
#include "support/storages.h"

namespace varve::test {
namespace {

constexpr uint64_t kStep = 64;
/// So often the flips that lie outside the superblocks are also read with accept_older_state, which changes nothing for them.
constexpr uint64_t kAcceptEvery = 32;

/// An image, and what may be read of it once a part of it does not count.
struct Target {
  std::unique_ptr<Victim> victim;
  Contents older;         ///< through the older superblock
  Contents before_flush;  ///< without the last record of the journal
};

Target closed(std::unique_ptr<Victim> victim) {
  victim->close();
  return {std::move(victim), {}, {}};
}

void fill(Victim& v) {
  v.write(0, 50 * kKiB);
  v.write(100 * kKiB + 512, 20 * kKiB);
  v.zero(16 * kKiB, 4 * kKiB);
}

std::unique_ptr<Victim> filled(OptionMap options, bool child = false) {
  auto victim = std::make_unique<Victim>(std::move(options), child);
  victim->open();
  fill(*victim);
  return victim;
}

Target plain(const OptionMap& options) { return closed(filled(options)); }

Target with_snapshots(const OptionMap& options) {
  auto v = filled(options);
  v->snapshot("one");
  v->write(8 * kKiB, 9 * kKiB);
  v->snapshot("two");
  v->zero(100 * kKiB, 8 * kKiB);
  v->write(200 * kKiB, 3000);
  return closed(std::move(v));
}

Target with_attachment() {
  auto v = filled({{"cluster_size", "4K"}, {"compression", "zstd"}});
  v->attach("memory", 30000);
  v->attach("note", 100);
  return closed(std::move(v));
}

Target over_parent() {
  auto v = filled({{"cluster_size", "4K"}}, true);
  v->snapshot("one");
  v->write(150 * kKiB, 10 * kKiB);
  return closed(std::move(v));
}

/// A second slot, and a second master key, under which all has been encrypted anew.
Target with_keys() {
  auto v = filled({{"cluster_size", "64K"}, {"compression", "zstd"}});
  v->snapshot("one");
  v->image().add_key(raw_key(9));
  RotateOptions how;
  how.also.push_back(raw_key(9));
  v->image().rotate_key(how);
  v->write(0, 4096);
  return closed(std::move(v));
}

/// Two generations with records of their own; the program did not end as it should.
Target unclean(const OptionMap& options, bool snapshots) {
  auto v = filled(options);
  v->flush();  // a commit
  v->write(180 * kKiB, 4096);
  v->flush();  // a commit with a journal
  v->write(188 * kKiB, 4096);
  v->flush();  // a record
  v->write(192 * kKiB, 4096);
  v->flush();
  const Contents older = v->now();
  if (snapshots)
    v->snapshot("one");
  else
    v->attach("note", 100);
  v->write(208 * kKiB, 8192);
  v->flush();
  v->write(220 * kKiB, 4096);
  v->zero(212 * kKiB + 512, 1024);  // whole clusters would be a commit
  v->flush();
  const Contents before_flush = v->now();
  v->write(224 * kKiB, 4096);
  v->flush();
  v->cut();
  return {std::move(v), older, before_flush};
}

struct Counts {
  uint64_t all = 0, refused = 0, older = 0, cut_off = 0, same = 0, unread = 0;
};

bool within(const Interval& range, uint64_t place) { return place >= range.offset && place < range.end(); }

class Tampering {
 public:
  explicit Tampering(Target target) : target_(std::move(target)), v_(*target_.victim) {
    const Reachable found = reachable(v_.storage());
    current_ = found.superblocks.current;
    live_ = found.current;
    records_ = records_of(*v_.storage(), current_);
    if (current_.journal_length != 0) live_.erase(current_.journal_offset, current_.journal_length);
    trace();
  }

  void run() {
    const uint64_t size = v_.file().size();
    REQUIRE(size <= 512 * kKiB);
    REQUIRE(v_.outcome().contents == v_.now());
    for (uint64_t step = 0; step * kStep < size; step += stride()) {
      const uint64_t place = step * kStep + step * 29 % kStep;
      const auto mask = static_cast<std::byte>(1U << (step * 5 + step / 8) % 8);
      const Bytes before = v_.part(place, 1);
      v_.put(place, Bytes{before[0] ^ mask});
      const std::string wrong = judge(place, step);
      v_.put(place, before);
      if (!wrong.empty()) FAIL_CHECK("bit " << static_cast<int>(mask) << " of byte " << place << ": " << wrong);
      ++counts.all;
    }
    CHECK(v_.outcome().contents == v_.now());
  }
  uint64_t live_bytes() const { return live_.total(); }
  size_t records() const { return records_.size(); }

  Counts counts;

 private:
  /// What is read when all is read: nothing else can matter.
  void trace() {
    std::vector<std::shared_ptr<TracedStorage>> traced;
    WrappingFileSystem through(v_.files(), [&](std::shared_ptr<Storage> below) {
      if (below->name() != Victim::kPath) return below;
      traced.push_back(std::make_shared<TracedStorage>(std::move(below)));
      return std::shared_ptr<Storage>(traced.back());
    });
    v_.through = &through;
    REQUIRE_FALSE(v_.outcome().error);
    v_.through = nullptr;
    for (const auto& one : traced)
      for (const Interval& read : one->reads) read_.insert(read.offset, read.length);
  }

  bool is_superblock(uint64_t place) const {
    return within({native::superblock_offset(0), kBlock}, place) || within({native::superblock_offset(1), kBlock}, place);
  }

  std::string judge(uint64_t place, uint64_t step) {
    const bool live = live_.contains(place, 1);
    if (!read_.contains(place, 1)) {
      ++counts.unread;
      return live ? "a live extent is not read" : "";
    }
    OpenOptions accepting;
    accepting.accept_older_state = true;
    const Outcome outcome = v_.outcome();
    const bool in_record = std::any_of(records_.begin(), records_.end(), [&](const Interval& r) { return within(r, place); });
    if (live || is_superblock(place) || (in_record && !within(records_.back(), place))) {
      if (std::string wrong = expect_refused(outcome); !wrong.empty()) return wrong;
      if (is_superblock(place)) return judge_accepted(v_.outcome(accepting), place);
      return step % kAcceptEvery != 0 ? "" : expect_refused(v_.outcome(accepting));
    }
    if (outcome.error) return "refused, though another copy is whole or nothing uses the place: " + outcome.message;
    if (in_record) {
      // The end of the journal can't be told from a flush that a power cut stopped.
      ++counts.cut_off;
      return outcome.contents == target_.before_flush ? "" : "not the state before the last flush";
    }
    ++counts.same;
    return outcome.contents == v_.now() ? "" : "other bytes";
  }

  std::string expect_refused(const Outcome& outcome) {
    if (!outcome.error) return "it reads";
    ++counts.refused;
    const bool right = outcome.error == Errc::corrupt || outcome.error == Errc::authentication;
    return right ? "" : "another error: " + outcome.message;
  }

  /// With one superblock the image is what the other one says, as a whole.
  std::string judge_accepted(const Outcome& outcome, uint64_t place) {
    if (outcome.error) return "refused though an older state is accepted: " + outcome.message;
    const bool newer = within({native::superblock_offset(current_.generation), kBlock}, place);
    ++counts.older;
    const Contents& expected = newer && !current_.clean ? target_.older : v_.now();
    return outcome.contents == expected ? "" : "neither the newer state nor the older one";
  }

  const Target target_;
  Victim& v_;
  native::Superblock current_;
  IntervalSet live_;  ///< extents of the newer superblock
  IntervalSet read_;
  std::vector<Interval> records_;
};

TEST_CASE("varve, encrypted: a flipped bit in every 64th byte is refused or does not matter") {
  const std::vector<std::pair<std::string, std::function<Target()>>> targets = {
      {"clusters of 4 KiB",
       [] {
         return plain({{"cluster_size", "4K"}});
       }},
      {"clusters of 64 KiB, zlib",
       [] {
         return plain({{"compression", "zlib:1"}});
       }},
      {"snapshots, clusters of 64 KiB", [] { return with_snapshots({}); }},
      {"attachments, zstd", [] { return with_attachment(); }},
      {"a parent", [] { return over_parent(); }},
      {"another slot, another master key, zstd", [] { return with_keys(); }},
      {"a journal, clusters of 4 KiB, zlib",
       [] {
         return unclean({{"cluster_size", "4K"}, {"compression", "zlib:1"}}, false);
       }},
      {"a journal and a snapshot, clusters of 64 KiB", [] { return unclean({}, true); }},
  };
  for (const auto& target : targets) {
    const std::string name = target.first;
    CAPTURE(name);
    Tampering tampering(target.second());
    tampering.run();
    const Counts& n = tampering.counts;
    INFO(name << ": " << n.all << " flips, " << n.refused << " refused, " << n.older << " an older state, " << n.cut_off
              << " the last flush cut off, " << n.same << " the same, " << n.unread << " not read");
    CHECK(tampering.live_bytes() > 30000);
    CHECK(n.refused >= tampering.live_bytes() / kStep / stride() / 2);
    CHECK(n.older >= 2 * (kBlock / kStep) / stride());
    CHECK(n.same >= 2 * (native::kRegions[1] - kBlock) / kStep / stride() * 9 / 10);
    CHECK((n.cut_off > 0) == (tampering.records() > 0));
  }
}

}  // namespace
}  // namespace varve::test
