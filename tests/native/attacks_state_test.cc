// Encrypted images whose superblocks or journal come from older copies of the file, or from other images: refused, or an older state as a
// whole.
#include "native/victim.h"

namespace varve::test {
namespace {

// ---- superblocks -------------------------------------------------------------------------------------

Bytes superblocks(const Bytes& file, uint64_t parity) {
  const auto begin = file.begin() + static_cast<ptrdiff_t>(native::superblock_offset(parity));
  return {begin, begin + kBlock};
}

void put_superblocks(Victim& v, const Bytes& from) {
  for (const uint64_t parity : {0, 1}) v.put(native::superblock_offset(parity), superblocks(from, parity));
}

uint64_t generation_of(Storage& file) { return unlocked(file).superblocks.current.generation; }

TEST_CASE("varve, encrypted: superblocks of an older commit show that commit at most, and a minimum generation refuses it") {
  const auto v = make_victim();
  const Bytes first = v->file();
  const Contents then = v->now();
  const uint64_t old_generation = generation_of(*v->storage());
  v->open();
  v->write(0, 16 * kKiB);
  v->flush();
  v->cut();
  const Bytes second = v->file();
  const uint64_t generation = generation_of(*v->storage());
  REQUIRE(generation == old_generation + 1);
  OpenOptions accepting;
  accepting.accept_older_state = true;
  OpenOptions at_least;
  at_least.min_generation = generation;
  expect_all(v->outcome(at_least), v->now());

  SUBCASE("in both slots") {
    put_superblocks(*v, first);
    expect_all(v->outcome(), then);  // docs/security.md: nothing in the file can tell
    CHECK(v->outcome(at_least).error == Errc::authentication);
    at_least.min_generation = old_generation;
    expect_all(v->outcome(at_least), then);
  }
  SUBCASE("the older one in both slots") {
    v->put(native::superblock_offset(generation), superblocks(first, old_generation));
    v->put(native::superblock_offset(old_generation), superblocks(first, old_generation));
    expect_refused(v->outcome());
    expect_all(v->outcome(accepting), then);
    at_least.accept_older_state = true;
    CHECK(v->outcome(at_least).error == Errc::authentication);
  }
  SUBCASE("the newer one in both slots") {
    v->put(native::superblock_offset(old_generation), superblocks(second, generation));
    expect_refused(v->outcome());
    expect_all(v->outcome(accepting), v->now());
  }
  SUBCASE("zeros in the newer slot, or in both") {
    v->put(native::superblock_offset(generation), Bytes(kBlock));
    expect_refused(v->outcome());
    expect_all(v->outcome(accepting), then);
    v->put(native::superblock_offset(old_generation), Bytes(kBlock));
    expect_refused(v->outcome(accepting));
  }
  SUBCASE("much later, when space has been used again") {
    size_t refused = 0;
    for (int session = 0; session < 6; ++session) {
      rewrite(*v);
      const Bytes now = v->file();
      put_superblocks(*v, first);
      const Outcome outcome = v->outcome(accepting);
      if (outcome.error)
        expect_refused(outcome), ++refused;
      else
        CHECK(outcome.contents == then);
      CHECK(v->outcome(at_least).error == Errc::authentication);
      v->put(now);
    }
    CHECK(refused > 0);
  }
}

TEST_CASE("varve, encrypted: a superblock of another image, or of another copy of this one, is refused") {
  const auto v = make_victim();
  const Bytes before = v->file();
  rewrite(*v);
  const Bytes mine = v->file();
  const Contents expected = v->now();
  const uint64_t generation = generation_of(*v->storage());
  OpenOptions accepting;
  accepting.accept_older_state = true;
  SUBCASE("another image with the same key") {
    const auto other = make_victim();
    rewrite(*other);
    REQUIRE(generation_of(*other->storage()) == generation);
    const Bytes its = superblocks(other->file(), generation);
    v->put(native::superblock_offset(generation), its);
    expect_refused(v->outcome());
    expect_all(v->outcome(accepting), expected);  // a clean close: both superblocks show it
    // With the UUID that is expected.
    v->put(native::superblock_offset(generation) + 8, ConstBytes(mine).subspan(48, 16));
    expect_refused(v->outcome());
    put_superblocks(*v, other->file());
    expect_refused(v->outcome(accepting));
  }
  SUBCASE("a copy of this one that was written to") {
    v->put(before);
    rewrite(*v);
    REQUIRE(generation_of(*v->storage()) == generation);
    const Bytes sibling = v->file();
    v->put(mine);
    v->put(native::superblock_offset(generation), superblocks(sibling, generation));
    expect_refused(v->outcome(accepting));
    put_superblocks(*v, sibling);
    expect_refused(v->outcome(accepting));
  }
}

// ---- the journal -------------------------------------------------------------------------------------

/// Three records in the newest generation, and what the disk held before each of them.
struct Journaled {
  std::unique_ptr<Victim> v;
  std::vector<Interval> records;
  std::vector<Contents> before;
  Bytes older;  ///< the file when the generation before the last but one had records of the same size at the same places
};

Journaled make_journaled() {
  Journaled j;
  j.v = std::make_unique<Victim>(OptionMap{{"cluster_size", "4K"}});
  Victim& v = *j.v;
  v.open();
  v.write(0, 16 * kKiB);
  v.flush();
  v.write(16 * kKiB, 4096);
  v.flush();  // makes the journal
  const auto three_records = [&] {
    j.before.clear();
    for (uint64_t i = 0; i < 3; ++i) {
      j.before.push_back(v.now());
      v.write((8 + i) * 4096, 4096);
      v.flush();
    }
  };
  three_records();
  j.older = v.file();
  const uint64_t generation = generation_of(*v.storage());
  v.snapshot("one");  // one commit or two; the same half of the journal again
  if (generation_of(*v.storage()) % 2 != generation % 2) v.attach("note", 10);
  three_records();
  v.cut();
  j.records = records_of(*v.storage(), unlocked(*v.storage()).superblocks.current);
  REQUIRE(j.records.size() == 3);
  REQUIRE(j.records[0].length == j.records[1].length);
  expect_all(v.outcome(), v.now());
  return j;
}

TEST_CASE("varve, encrypted: records of the journal stay where they are") {
  const Journaled j = make_journaled();
  Victim& v = *j.v;
  const Bytes file = v.file();
  const auto put_record = [&](size_t onto, const Bytes& from, uint64_t at) {
    v.put(j.records[onto].offset, ConstBytes(from).subspan(at, j.records[onto].length));
  };
  SUBCASE("swapped") {
    for (const auto& [a, b] : {std::pair<size_t, size_t>{0, 1}, {1, 2}, {0, 2}}) {
      v.put(file);
      put_record(a, file, j.records[b].offset);
      put_record(b, file, j.records[a].offset);
      expect_refused(v.outcome());
    }
  }
  SUBCASE("one put twice") {
    for (size_t onto = 0; onto < 2; ++onto) {
      v.put(file);
      put_record(onto, file, j.records[2].offset);
      expect_refused(v.outcome());
    }
    v.put(file);
    put_record(2, file, j.records[1].offset);
    expect_all(v.outcome(), j.before[2]);
  }
  SUBCASE("one taken away") {
    for (size_t i = 0; i < 2; ++i) {
      v.put(file);
      v.put(j.records[i].offset, Bytes(j.records[i].length));
      expect_refused(v.outcome());
    }
  }
  SUBCASE("an older generation's in their places") {
    for (size_t i = 0; i < 2; ++i) {
      v.put(file);
      put_record(i, j.older, j.records[i].offset);
      expect_refused(v.outcome());
    }
    v.put(file);
    put_record(2, j.older, j.records[2].offset);
    expect_all(v.outcome(), j.before[2]);
    for (size_t i = 0; i < 3; ++i) put_record(i, j.older, j.records[i].offset);
    expect_all(v.outcome(), j.before[0]);
  }
  SUBCASE("an older generation's with generation and chain of the newer one") {
    for (size_t i = 0; i < 3; ++i) {
      put_record(i, j.older, j.records[i].offset);
      v.put(j.records[i].offset + 8, ConstBytes(file).subspan(j.records[i].offset + 8, 8));
      v.put(j.records[i].offset + 32, ConstBytes(file).subspan(j.records[i].offset + 32, 16));
    }
    expect_all(v.outcome(), j.before[0]);
  }
}

TEST_CASE("varve, encrypted: the last records of the journal can be cut off, and show an earlier flush as a whole") {
  const Journaled j = make_journaled();
  Victim& v = *j.v;
  for (size_t left = 3; left-- > 0;) {
    const Interval& record = j.records[left];
    // Cut in the middle, as a power cut would; then all of it.
    v.put(record.offset + 2048, Bytes(record.length - 2048));
    expect_all(v.outcome(), j.before[left]);
    v.put(record.offset, Bytes(record.length));
    expect_all(v.outcome(), j.before[left]);
  }
}

}  // namespace
}  // namespace varve::test
