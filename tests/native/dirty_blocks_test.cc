// Dirty blocks against a model of a disk and a journal.
#include "native/dirty_blocks.h"

#include <algorithm>
#include <map>
#include <set>

#include "native/builder.h"
#include "support/seeds.h"

namespace varve::test {
namespace {

using native::DirtyBlocks;

constexpr uint64_t kCluster = 16384;
constexpr uint64_t kSize = 12 * kCluster - 1000;  ///< ends within a block

/// A tree of plain bytes below, the blocks above, and what a reader and a replayed journal must see.
class Exercise {
 public:
  explicit Exercise(Rng& rng) : rng_(rng), tree_(12 * kCluster), disk_(12 * kCluster), journal_(12 * kCluster), blocks_(kCluster) {
    for (size_t i = 0; i < kSize; ++i) tree_[i] = static_cast<std::byte>(i * 7 >> 5);
    disk_ = journal_ = tree_;
  }

  void run(int steps) {
    for (int i = 0; i < steps; ++i) {
      switch (rng_.below(8)) {
        case 0: write_back(); break;
        case 1: flush(); break;
        case 2: drop(); break;
        default: write(); break;
      }
      require_same();
    }
    flush(false);
    REQUIRE(blocks_.unjournaled() == 0);
    while (!blocks_.empty()) write_back(false);
    REQUIRE(blocks_.all().empty());
    REQUIRE_FALSE(blocks_.next(0));
    REQUIRE(tree_ == disk_);
  }

 private:
  DirtyBlocks::Base base() {
    return
        [this](uint64_t offset, MutableBytes out) { std::copy_n(tree_.begin() + static_cast<ptrdiff_t>(offset), out.size(), out.begin()); };
  }

  void write() {
    const uint64_t offset = rng_.below(kSize);
    uint64_t length = std::min(kCluster - offset % kCluster, kSize - offset);
    length = rng_.one_in(3) ? length : 1 + rng_.below(std::min<uint64_t>(length, 5000));
    const Bytes data(length, static_cast<std::byte>(rng_.next()));
    blocks_.write(offset, data, base());
    put_bytes(disk_, offset, data);
    for (uint64_t b = offset / kBlock; b <= (offset + length - 1) / kBlock; ++b) unjournaled_.insert(b);
    for (uint64_t b = offset / kBlock; b <= (offset + length - 1) / kBlock; ++b) dirty_.insert(b);
    last_written_[offset / kCluster] = ++time_;
  }

  Bytes read(uint64_t offset, uint64_t length) {
    Bytes out(length);
    uint64_t last = offset;
    for (const DirtyBlocks::Gap& gap : blocks_.read(offset, out)) {
      REQUIRE(gap.offset >= last);
      REQUIRE(gap.length > 0);
      last = gap.offset + gap.length;
      base()(gap.offset, MutableBytes(out).subspan(gap.offset - offset, gap.length));
    }
    REQUIRE(last <= offset + length);
    return out;
  }

  void write_back(bool may_race = true) {
    auto tickets = blocks_.oldest(1 + rng_.below(3));
    // The least recently written first.
    for (size_t i = 1; i < tickets.size(); ++i) REQUIRE(last_written_[tickets[i - 1].cluster] < last_written_[tickets[i].cluster]);
    std::vector<Bytes> encoded;
    for (const auto& ticket : tickets) encoded.push_back(read(ticket.cluster * kCluster, kCluster));
    const bool race = may_race && rng_.one_in(3);
    if (race) write();  // while the clusters are on their way
    for (size_t i = 0; i < tickets.size(); ++i) {
      const auto& ticket = tickets[i];
      bool journaled = true;
      for (uint64_t b = 0; b < 4; ++b) journaled = journaled && !unjournaled_.contains(ticket.cluster * 4 + b);
      if (!race) REQUIRE(ticket.journaled == journaled);
      put_bytes(tree_, ticket.cluster * kCluster, encoded[i]);
      blocks_.written_back(ticket);
      if (blocks_.has(ticket.cluster)) {
        REQUIRE(race);
        continue;
      }
      for (uint64_t b = 0; b < 4; ++b) {
        if (unjournaled_.erase(ticket.cluster * 4 + b) != 0) forget_in_journal(ticket.cluster * 4 + b);
        dirty_.erase(ticket.cluster * 4 + b);
      }
    }
  }

  /// What goes into the tree without the journal makes a commit necessary: the model takes one for granted.
  void forget_in_journal(uint64_t block) {
    std::copy_n(disk_.begin() + static_cast<ptrdiff_t>(block * kBlock), kBlock, journal_.begin() + static_cast<ptrdiff_t>(block * kBlock));
  }

  void flush(bool may_race = true) {
    std::vector<std::byte> storage;
    std::vector<DirtyBlocks::Ticket> tickets;
    const auto changes = blocks_.changes(kSize, storage, tickets);
    uint64_t end = 0;
    for (const native::JournalChange& change : changes) {
      REQUIRE(change.type == native::kChangeWrite);
      REQUIRE((change.offset > end || end == 0));  // ascending, and as few as can be
      end = change.offset + change.length;
      REQUIRE(end <= kSize);
      REQUIRE(change.data.size() == change.length);
      put_bytes(journal_, change.offset, change.data);
    }
    REQUIRE(std::equal(journal_.begin(), journal_.begin() + kSize, disk_.begin()));  // R6
    const bool race = may_race && rng_.one_in(3);
    if (race) write();  // while the record is written
    blocks_.journaled(tickets);
    if (!race) unjournaled_.clear();
    if (race) resync();
  }

  /// A cluster that was written to meanwhile goes into the journal again as a whole; the others do not.
  void resync() {
    const uint64_t touched =
        std::max_element(last_written_.begin(), last_written_.end(), [](auto& a, auto& b) { return a.second < b.second; })->first;
    std::erase_if(unjournaled_, [&](uint64_t b) { return b / 4 != touched; });
  }

  void drop() {
    const uint64_t first = rng_.below(12);
    const uint64_t count = rng_.one_in(4) ? UINT64_MAX - first : 1 + rng_.below(3);
    blocks_.drop(first, count);
    for (uint64_t c = first; c < 12 && c - first < count; ++c) {
      put_bytes(disk_, c * kCluster, ConstBytes(tree_).subspan(c * kCluster, kCluster));
      put_bytes(journal_, c * kCluster, ConstBytes(tree_).subspan(c * kCluster, kCluster));
      for (uint64_t b = 4 * c; b < 4 * c + 4; ++b) {
        unjournaled_.erase(b);
        dirty_.erase(b);
      }
    }
  }

  void require_same() {
    REQUIRE(blocks_.bytes() == dirty_.size() * kBlock);
    REQUIRE(blocks_.unjournaled() == unjournaled_.size() * kBlock);
    const uint64_t cluster = rng_.below(12);
    const uint64_t within = rng_.below(kCluster - 1);
    const uint64_t length = 1 + rng_.below(kCluster - within - 1);
    REQUIRE(read(cluster * kCluster + within, length) ==
            Bytes(disk_.begin() + static_cast<ptrdiff_t>(cluster * kCluster + within),
                  disk_.begin() + static_cast<ptrdiff_t>(cluster * kCluster + within + length)));
    const auto first = dirty_.lower_bound(cluster * 4);
    REQUIRE(blocks_.next(cluster) == (first == dirty_.end() ? std::nullopt : std::optional(*first / 4)));
    REQUIRE(blocks_.has(cluster) == (first != dirty_.end() && *first / 4 == cluster));
  }

  Rng& rng_;
  Bytes tree_;     ///< what is written back
  Bytes disk_;     ///< what a reader sees
  Bytes journal_;  ///< what a program sees that opens the file
  DirtyBlocks blocks_;
  std::set<uint64_t> dirty_, unjournaled_;  ///< numbers of blocks
  std::map<uint64_t, uint64_t> last_written_;
  uint64_t time_ = 0;
};

TEST_CASE("R6: dirty blocks agree with a disk, and their changes bring a journal to where the disk is") {
  for (uint64_t round = 0; round < scaled(60); ++round) {
    Rng rng("dirty blocks " + std::to_string(round));
    SHOW_SEED(rng);
    Exercise(rng).run(200);
  }
}

TEST_CASE("what a journal holds already is dirty and not for the journal, until it is written to again") {
  DirtyBlocks blocks(kCluster);
  const Bytes data(kBlock, std::byte{5});
  const auto no_base = [](uint64_t, MutableBytes) { FAIL("no block is written in part"); };
  blocks.write(kBlock, data, no_base, true);
  CHECK(blocks.bytes() == kBlock);
  CHECK(blocks.unjournaled() == 0);
  CHECK(blocks.all().at(0).journaled);
  blocks.write(kBlock + 10, ConstBytes(data).first(1), no_base);  // the rest of the block is here
  CHECK(blocks.unjournaled() == kBlock);
  CHECK_FALSE(blocks.all().at(0).journaled);
}

}  // namespace
}  // namespace varve::test
