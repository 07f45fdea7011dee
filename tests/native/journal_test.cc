// Records of the journal: byte by byte, which of them are applied, and what is damage (section 9).
#include "native/journal.h"

#include <algorithm>
#include <functional>

#include "native/builder.h"

namespace varve::test {
namespace {

constexpr uint64_t kJournal = kExtents + kBlock;
constexpr uint64_t kLength = 16 * kBlock;
constexpr uint64_t kDisk = kMiB + 5;
const Bytes kChain(16, std::byte{0xc4});

/// A file with a journal, and the superblock of `generation` that leads to it.
struct Journal {
  explicit Journal(uint64_t number = 7) : generation(number), file(std::make_shared<MemoryStorage>("image")) {
    file->resize(kJournal + kLength);
    superblock.generation = generation;
    superblock.head.size = kDisk;
    superblock.journal_offset = kJournal;
    superblock.journal_length = kLength;
    superblock.chain.fill(0xc4);
    superblock.end = kJournal + kLength;
  }

  uint64_t half() const { return kJournal + generation % 2 * (kLength / 2); }
  /// At a block of the half.
  void place(uint64_t block, const Bytes& record) { file->write_at(half() + block * kBlock, record); }

  /// What is applied, as text: "w5+3=aa z0+8 d0+8".
  std::string applied() const {
    std::string out;
    native::replay_journal(*file, superblock, [&](const native::JournalChange& change) {
      out += out.empty() ? "" : " ";
      out += std::string(1, " wzd"[change.type]) + std::to_string(change.offset) + "+" + std::to_string(change.length);
      if (!change.data.empty()) out += "=" + to_hex(change.data.first(1));
    });
    return out;
  }

  const uint64_t generation;
  std::shared_ptr<MemoryStorage> file;
  native::Superblock superblock;
};

/// Record `sequence`, which zeros the block of that number.
RecordSpec small(uint64_t sequence, const Bytes& before = {}) {
  RecordSpec spec;
  spec.generation = 7;
  spec.sequence = sequence;
  if (!before.empty()) spec.previous = tag_of_record(before);
  spec.changes = {{sequence % 100 * kBlock, kBlock, 2, {}}};
  return spec;
}

/// What is applied of the first `count` such.
std::string upto(uint64_t count) {
  std::string out;
  for (uint64_t i = 1; i <= count; ++i) out += (i == 1 ? "z" : " z") + std::to_string(i * kBlock) + "+4096";
  return out;
}

/// `count` records, one behind the other, of one block each.
std::vector<Bytes> fill(Journal& journal, uint64_t count) {
  std::vector<Bytes> records;
  for (uint64_t i = 1; i <= count; ++i) {
    records.push_back(record_bytes(small(i, records.empty() ? Bytes() : records.back())));
    journal.place(i - 1, records.back());
  }
  return records;
}

TEST_CASE("section 9: what is appended lies as the specification says, byte by byte, in the half of its generation") {
  for (const uint64_t generation : {6, 7}) {
    Journal journal(generation);
    native::JournalWriter writer(*journal.file, journal.superblock, nullptr);
    const Bytes data(8192, std::byte{0xaa});
    const Bytes more(5, std::byte{0xbb});
    REQUIRE(writer.append({{1, 4096, 8192, data}, {2, 102400, 4096, {}}, {1, kMiB, 5, more}}));
    REQUIRE(writer.append({{3, 0, kDisk, {}}}));
    RecordSpec first;
    first.generation = generation;
    first.changes = {{4096, 8192, 1, data}, {102400, 4096, 2, {}}, {kMiB, 5, 1, more}};
    const Bytes one = record_bytes(first);
    CHECK(one.size() == 3 * kBlock);
    RecordSpec second;
    second.generation = generation;
    second.sequence = 2;
    second.previous = tag_of_record(one);
    second.changes = {{0, kDisk, 3, {}}};
    Bytes expected(kLength);
    put_bytes(expected, generation % 2 * (kLength / 2), one + record_bytes(second));
    Bytes found(kLength);
    journal.file->read_at(kJournal, found);
    CHECK(found == expected);
    CHECK(journal.applied() == "w4096+8192=aa z102400+4096 w1048576+5=bb d0+1048581");
  }
}

TEST_CASE("section 9: a half holds as much as it holds, and a record that has no room leaves no trace") {
  Journal journal;
  native::JournalWriter writer(*journal.file, journal.superblock, nullptr);
  const Bytes data(4096, std::byte{1});
  for (int i = 0; i < 3; ++i) REQUIRE(writer.append({{1, 0, 4096, data}}));  // of two blocks
  CHECK_FALSE(writer.append({{1, 0, 3 * 4096, Bytes(3 * 4096, std::byte{1})}}));
  CHECK(writer.append({{1, 0, 4096, data}}));
  CHECK_FALSE(writer.append({{2, 0, 4096, {}}}));
  const std::string applied = journal.applied();
  CHECK(std::count(applied.begin(), applied.end(), 'w') == 4);
}

TEST_CASE("section 9: no journal, an empty one, and records in order") {
  Journal journal;
  CHECK(journal.applied().empty());
  fill(journal, 8);  // to the very end of the half
  CHECK(journal.applied() == upto(8));
  journal.superblock.journal_length = 0;
  CHECK(journal.applied().empty());
}

TEST_CASE("section 9: a torn last record ends the journal, whatever is torn in it") {
  for (const unsigned at : {0, 4, 8, 16, 24, 28, 32, 48, 64, 79, 80, 100, 104, 4095}) {
    CAPTURE(at);
    Journal journal;
    const auto records = fill(journal, 3);
    Bytes torn = records[2];
    torn[at] ^= std::byte{0x40};
    journal.place(2, torn);
    CHECK(journal.applied() == upto(2));
  }
}

TEST_CASE("section 9: a lost record before others is damage") {
  for (const uint64_t lost : {0, 1, 2}) {
    for (const bool gone : {true, false}) {
      CAPTURE(lost);
      Journal journal;
      const auto records = fill(journal, 4);
      Bytes damaged = gone ? Bytes(kBlock) : records[lost];
      if (!gone) damaged[90] ^= std::byte{1};
      journal.place(lost, damaged);
      CHECK_ERRC(journal.applied(), Errc::corrupt);
    }
  }
}

TEST_CASE("section 9: a record of this journal that does not continue it is damage, where it stands and at any block behind") {
  for (const uint64_t block : {2, 3, 7}) {
    CAPTURE(block);
    const auto with = [&](RecordSpec spec) {
      auto journal = std::make_unique<Journal>();
      fill(*journal, 2);
      journal->place(block, record_bytes(spec));
      return journal->applied();
    };
    for (const uint64_t sequence : {3, 4, 1000}) CHECK_ERRC(with(small(sequence)), Errc::corrupt);  // its predecessor is another one
    for (const uint64_t sequence : {0, 1, 2}) CHECK(with(small(sequence)) == upto(2));
  }
}

TEST_CASE("section 9: records of another chain or generation, or of no length, are no records of this one") {
  const auto with = [](const std::function<void(RecordSpec&)>& change) {
    Journal journal;
    const auto records = fill(journal, 2);
    RecordSpec next = small(3, records[1]);
    change(next);
    const Bytes record = record_bytes(next);
    for (uint64_t block = 2; block < 8; ++block) journal.place(block, record);
    return journal.applied();
  };
  CHECK(with([](RecordSpec& r) { r.chain[15] ^= std::byte{1}; }) == upto(2));
  CHECK(with([](RecordSpec& r) { r.generation = 5; }) == upto(2));
  CHECK(with([](RecordSpec& r) { r.generation = 9; }) == upto(2));
  for (const uint64_t length : {uint64_t{0}, uint64_t{100}, kBlock + 512, 7 * kBlock, uint64_t{0xfffff000}}) {
    CAPTURE(length);
    Journal journal;
    Bytes record = record_bytes(small(3, fill(journal, 2)[1]));
    put(record, 4, length, 4);
    seal_record(record);
    journal.place(2, record);
    CHECK(journal.applied() == upto(2));
  }
  Journal other(6);  // the other half's are not looked at
  other.file->write_at(kJournal + kLength / 2, record_bytes(small(1)));
  CHECK(other.applied().empty());
}

TEST_CASE("section 9: a record that contradicts itself under a right tag is corrupt") {
  const auto with = [](const std::function<void(Bytes&)>& change, RecordSpec spec = small(1)) {
    Journal journal;
    Bytes record = record_bytes(spec);
    change(record);
    seal_record(record);
    journal.place(0, record);
    return journal.applied();
  };
  CHECK(with([](Bytes&) {}) == upto(1));
  CHECK_ERRC(with([](Bytes& r) { put(r, 28, 1, 4); }), Errc::corrupt);   // reserved
  CHECK_ERRC(with([](Bytes& r) { put(r, 100, 1, 4); }), Errc::corrupt);  // reserved, of a change
  for (const uint32_t type : {0U, 4U, UINT32_MAX}) CHECK_ERRC(with([=](Bytes& r) { put(r, 96, type, 4); }), Errc::corrupt);
  CHECK_ERRC(with([](Bytes& r) { put(r, 24, 200, 4); }), Errc::corrupt);  // more changes than bytes
  CHECK_ERRC(with([](Bytes& r) { put(r, 24, UINT32_MAX, 4); }), Errc::corrupt);
  CHECK_ERRC(with([](Bytes& r) { put(r, 24, 0, 4); }), Errc::corrupt);     // something behind the changes
  CHECK_ERRC(with([](Bytes& r) { put(r, 80, kMiB, 8); }), Errc::corrupt);  // behind the disk
  CHECK_ERRC(with([](Bytes& r) { put(r, 80, UINT64_MAX, 8); }), Errc::corrupt);
  RecordSpec write = small(1);
  write.changes = {{0, kBlock, 1, Bytes(kBlock, std::byte{9})}};
  CHECK_ERRC(with([](Bytes& r) { put(r, 88, 2 * kBlock, 8); }, write), Errc::corrupt);  // longer than the record
  CHECK_ERRC(with([](Bytes& r) { put(r, 88, UINT64_MAX, 8); }), Errc::corrupt);
  CHECK_ERRC(with([](Bytes& r) { r.back() = std::byte{1}; }), Errc::corrupt);  // no zeros to the end
  for (const auto& [at, value] : std::vector<std::pair<unsigned, uint64_t>>{{80, 512}, {80, 8191}, {88, 512}, {88, 4095}})
    CHECK_ERRC(with([at = at, value = value](Bytes& r) { put(r, at, value, 8); }), Errc::corrupt);  // a part of a block
  RecordSpec edge = small(1);
  edge.changes = {{kMiB, 5, 1, Bytes(5, std::byte{9})}, {0, kDisk, 2, {}}, {kMiB - kBlock, kBlock + 5, 3, {}}, {0, 0, 1, {}}};
  CHECK(with([](Bytes&) {}, edge) == "w1048576+5=09 z0+1048581 d1044480+4101 w0+0");
  edge.changes = {{kMiB, 4, 1, Bytes(4, std::byte{9})}};
  CHECK_ERRC(with([](Bytes&) {}, edge), Errc::corrupt);
  edge.changes = {{512, kBlock - 512, 2, {}}};  // only its end is one of a block
  CHECK_ERRC(with([](Bytes&) {}, edge), Errc::corrupt);
}

}  // namespace
}  // namespace varve::test
