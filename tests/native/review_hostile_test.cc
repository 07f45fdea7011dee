// Images that were made to cost much: bounded in time, memory and reads.
#include <algorithm>
#include <atomic>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "native/catalog.h"
#include "native/extents.h"
#include "native/journal.h"
#include "native/object.h"
#include "native/superblock.h"
#include "native/tag.h"
#include "support/image_kit.h"
#include "support/pattern.h"
#include "support/storages.h"
#include "support/test.h"

namespace varve::test {
namespace {

using Bytes = std::vector<std::byte>;
constexpr uint64_t kKiB = 1024;
constexpr uint64_t kMiB = 1024 * kKiB;

/// A file whose next superblock a test makes up.
struct Forged {
  TestDisk disk;
  std::shared_ptr<MemoryStorage> file;
  native::Header header;
  native::Superblock next;

  explicit Forged(const char* cluster = "4K", const char* journal = "128K")
      : disk({"forged", "varve", {{"cluster_size", cluster}, {"journal_size", journal}}, kMiB, std::nullopt}) {
    {
      Image image = disk.open();
      for (uint64_t i = 0; i < 2; ++i) {  // the second flush is the first that could use a journal
        image.write_at(0, pattern(0, 1 + i, 512));
        image.flush();
      }
    }
    file = disk.files().find(TestDisk::kPath);
    header = native::read_headers(*file).header;
    next = native::read_superblocks(*file, header).current;
    ++next.generation;
  }
  void seal() {
    if (file->size() < next.end) file->resize(next.end);
    file->write_at(native::superblock_offset(next.generation), bytes_of(native::encode(next, header)));
  }
  std::optional<Errc> error_of_open(const Limits& limits = {}) {
    OpenOptions how = disk.open_options(Access::read_only);
    how.limits = limits;
    try {
      Image image = Image::open(TestDisk::kPath, how);
      Bytes byte(1);
      image.read_at(0, byte);
    } catch (const Error& error) {
      return error.code();
    }
    return std::nullopt;
  }
};

/// A tree of the greatest height whose every node holds the same one 512 times.
void tangle(Forged& forged) {
  native::Superblock& s = forged.next;
  native::Pointer below;
  below.kind = native::Kind::data;
  below.birth = s.generation;
  below.offset = s.end;
  below.length = 4096;
  const Bytes data = pattern(0, 1, 4096);
  below.tag = native::tag_of(data);
  forged.file->write_at(s.end, data);
  s.end += 4096;
  for (unsigned level = 1; level <= 5; ++level) {
    native::NodeRaw node;
    node.entries.fill(native::encode(below, forged.header.unit));
    below.kind = native::Kind::node;
    below.level = static_cast<uint8_t>(level);
    below.offset = s.end;
    below.length = native::kNodeSize;
    below.tag = native::tag_of(bytes_of(node));
    forged.file->write_at(s.end, bytes_of(node));
    s.end += native::kNodeSize;
  }
  s.head.size = native::clusters_under(5) * 4096;
  s.head.height = 5;
  s.head.root = below;
  s.journal_offset = 0;
  s.journal_length = 0;
  forged.seal();
}

TEST_CASE("varve: a tree that leads to the same nodes again and again is checked, written to and discarded in no time") {
  Forged forged;
  tangle(forged);
  {
    Image image = forged.disk.open(Access::read_only);
    CHECK(image.check().damages > 0);
  }
  Image image = forged.disk.open();
  image.write_at(0, pattern(0, 1, 512));
  image.flush();
  CHECK_THROWS_AS(image.discard(0, image.size()), Error);
  Bytes seen(512);
  CHECK_NOTHROW(image.read_at(2 * kMiB, seen));
}

TEST_CASE("varve: snapshots of such a tree are listed, compared and deleted in no time") {
  Forged forged;
  tangle(forged);
  native::Superblock& s = forged.next;
  native::Catalog catalog;
  native::Snapshot snapshot;
  snapshot.id = 1;
  snapshot.generation = s.generation;
  snapshot.name = "s";
  snapshot.object = s.head;
  catalog.snapshots = {snapshot};
  const Bytes bytes = native::encode(catalog, forged.header.unit);
  Bytes cluster = bytes;
  cluster.resize(4096);
  s.catalog = {};
  s.catalog.size = bytes.size();
  s.catalog.root.kind = native::Kind::data;
  s.catalog.root.birth = s.generation;
  s.catalog.root.offset = s.end;
  s.catalog.root.length = cluster.size();
  s.catalog.root.tag = native::tag_of(cluster);
  forged.file->write_at(s.end, cluster);
  s.end += cluster.size();
  s.head.root = {};
  s.head_parent = s.last_snapshot_id = 1;
  forged.seal();
  {
    Image image = forged.disk.open(Access::read_only);
    REQUIRE(image.snapshots().size() == 1);
    CHECK_FALSE(image.snapshots().front().exclusive_bytes);
    CHECK_ERRC(image.diff_snapshots("s", "", [](const Extent&) {}), Errc::corrupt);
  }
  Image image = forged.disk.open();
  CHECK_THROWS_AS(image.delete_snapshot("s"), Error);
}

TEST_CASE("varve: such a tree is repaired in no time, and is sound then") {
  Forged forged;
  tangle(forged);
  Image image = forged.disk.open();
  const CheckReport report = image.check({.data = true, .repair = Repair::all, .progress = {}, .cancel = nullptr});
  CHECK(report.damages == 0);
  CHECK(report.repaired > 0);
  image.close();
  Image again = forged.disk.open(Access::read_only);
  CHECK(again.check().clean());
  Bytes seen(512);
  CHECK_NOTHROW(again.read_at(0, seen));
}

/// As many snapshots as a catalog has room for, each based on the one before. All are empty.
native::Catalog many_snapshots(uint64_t count) {
  native::Catalog catalog;
  for (uint64_t id = 1; id <= count; ++id) {
    native::Snapshot s;
    s.id = id;
    s.parent = id - 1;
    s.generation = id;
    s.hidden = true;
    s.object.size = 4096;
    catalog.snapshots.push_back(s);
  }
  return catalog;
}

TEST_CASE("varve: a hundred thousand snapshots in a chain are checked and repaired in no time") {
  Forged forged("2M");
  const Bytes bytes = native::encode(many_snapshots(100000), forged.header.unit);
  REQUIRE(bytes.size() < native::kMaxCatalog);
  native::Superblock& s = forged.next;
  s.generation = 200000 + s.generation % 2;
  s.journal_offset = s.journal_length = 0;
  s.head_parent = s.last_snapshot_id = 100000;
  s.head.root = {};
  Bytes padded = bytes;
  padded.resize((bytes.size() + 2 * kMiB - 1) / (2 * kMiB) * 2 * kMiB);
  native::NodeRaw node{};
  native::Pointer part;
  part.kind = native::Kind::data;
  part.birth = s.generation;
  for (uint64_t at = 0; at < padded.size(); at += 2 * kMiB) {
    part.offset = s.end;
    part.length = 2 * kMiB;
    part.tag = native::tag_of(ConstBytes(padded).subspan(at, part.length));
    node.entries[at / (2 * kMiB)] = native::encode(part, forged.header.unit);
    forged.file->write_at(s.end, ConstBytes(padded).subspan(at, part.length));
    s.end += part.length;
  }
  part.kind = native::Kind::node;
  part.level = 1;
  part.offset = s.end;
  part.length = native::kNodeSize;
  part.tag = native::tag_of(bytes_of(node));
  forged.file->write_at(s.end, bytes_of(node));
  s.end += native::kNodeSize;
  s.catalog.size = bytes.size();
  s.catalog.height = 1;
  s.catalog.root = part;
  forged.seal();
  Image image = forged.disk.open();
  CHECK(image.check().damages == 0);
  forged.file->write_at(0, Bytes(8));
  Image again = forged.disk.open();
  CHECK(again.check({.data = true, .repair = Repair::all, .progress = {}, .cancel = nullptr}).damages == 0);
}

TEST_CASE("varve: a journal of more than 1 GiB is refused, whatever the file's size") {
  Forged forged;
  forged.next.journal_offset = forged.next.end;
  forged.next.journal_length = uint64_t{1} << 40;
  forged.next.end += forged.next.journal_length;
  forged.seal();
  CHECK(forged.error_of_open() == Errc::corrupt);
}

TEST_CASE("varve: records of many small changes don't take a hundred times their size of memory") {
  for (const uint32_t type : {native::kChangeWrite, native::kChangeZero}) {
    Forged forged("4K", "256K");
    forged.next.head.size = uint64_t{1} << 40;
    forged.next.head.height = static_cast<uint8_t>(native::height_of(forged.next.head.size, 4096));
    forged.next.head.root = {};
    forged.seal();
    const Bytes byte(1, std::byte{1});
    std::vector<native::JournalChange> changes;
    for (uint64_t i = 0; i < 4000; ++i) {
      native::JournalChange change{type, i << 22, 4096, {}};
      if (type == native::kChangeWrite) change.length = 1, change.data = byte;
      changes.push_back(change);
    }
    native::JournalWriter journal(*forged.file, forged.next, nullptr);
    REQUIRE(journal.append(changes));
    Limits limits;
    limits.metadata_bytes = kMiB;
    // Of less than a block none is taken. Zeros over nothing leave no nodes without a parent; what they read is bounded all the same.
    const std::optional<Errc> found = forged.error_of_open(limits);
    CHECK((type == native::kChangeZero ? !found || found == Errc::limit : found == Errc::corrupt));
  }
}

TEST_CASE("varve: a journal full of broken records is not read over and over") {
  Forged forged("4K", "4M");
  forged.seal();
  const uint64_t half = forged.next.journal_length / 2;
  const uint64_t begin = forged.next.journal_offset + forged.next.generation % 2 * half;
  for (uint64_t at = begin; at < begin + half; at += native::kBlock) {
    native::JournalRecordRaw head{};
    head.magic = native::kJournalMagic;
    head.length = static_cast<uint32_t>(begin + half - at);
    head.generation = forged.next.generation;
    head.chain = forged.next.chain;
    head.sequence = 100;
    forged.file->write_at(at, bytes_of(head));
  }
  std::atomic<uint64_t> read{0};
  WrappingFileSystem counting(forged.disk.files(),
                              [&](std::shared_ptr<Storage> below) { return std::make_shared<CountingStorage>(std::move(below), read); });
  forged.disk.through = &counting;
  CHECK_THROWS_AS(forged.disk.open(Access::read_only), Error);
  CHECK(read < 16 * kMiB);
}

TEST_CASE("varve: a newest superblock that reads as zeros is told, and the older state is not shown unannounced") {
  TestDisk disk({"lost", "varve", {}, kMiB, std::nullopt});
  {
    Image image = disk.open();
    image.write_at(0, pattern(0, 1, 512));
    image.close();
  }
  const auto file = disk.files().find(TestDisk::kPath);
  const native::Superblock newest = native::read_superblocks(*file, native::read_headers(*file).header).current;
  file->write_at(native::superblock_offset(newest.generation), Bytes(4096));
  Image image = disk.open(Access::read_only);
  CHECK(image.info().warnings.size() == 1);
  CHECK(image.check().damages == 1);
}

}  // namespace
}  // namespace varve::test
