// Whole images made by hand, read and written through the public interface.
#include <algorithm>
#include <functional>

#include "io/memory_file_system.h"
#include "native/builder.h"
#include "support/bytes.h"
#include "support/image_kit.h"
#include "support/storages.h"

namespace varve::test {
namespace {

constexpr uint64_t kDisk = 4 * kBlock;

Bytes filled(size_t size, int value) { return Bytes(size, static_cast<std::byte>(value)); }

/// A disk of three and a half clusters of 4 KiB under one node: data, zero, absent, data.
struct HandMade {
  HandMade() {
    superblock.generation = 5;
    put_bytes(node, 0, cluster(0, filled(kBlock, 0xaa)));
    PointerSpec zero;
    zero.kind = 1;
    zero.birth = 2;
    put_bytes(node, 32, pointer_bytes(zero));
    put_bytes(node, 96, cluster(1, filled(kBlock / 2, 0xdd) + Bytes(kBlock / 2)));
  }

  /// Stored behind the node; the pointer to it.
  Bytes cluster(unsigned number, const Bytes& bytes) {
    PointerSpec spec;
    spec.address = kExtents + kNode + number * kBlock;
    spec.length = kBlock;
    spec.birth = 3;
    spec.tag = xxh3(bytes);
    put_bytes(clusters, number * kBlock, bytes);
    return pointer_bytes(spec);
  }

  std::shared_ptr<MemoryStorage> file() {
    PointerSpec root;
    root.address = kExtents;
    root.length = kNode;
    root.birth = 4;
    root.kind = 3;
    root.level = 1;
    root.tag = xxh3(node);
    superblock.head = object_bytes(size, 1, pointer_bytes(root), parent);
    superblock.end = kExtents + kNode + 4 * kBlock + superblock.journal_length;
    auto storage = file_of(header, superblock);
    SuperblockSpec before = superblock;  // whoever makes an image writes both
    before.generation -= 1;
    storage->write_at(4096, superblock_bytes(before));
    storage->write_at(kExtents, node);
    storage->write_at(kExtents + kNode, clusters);
    if (!catalog.empty()) storage->write_at(kExtents + kNode + 3 * kBlock, catalog);
    return storage;
  }

  void set_catalog(const std::vector<CatalogRecordSpec>& records) {
    Bytes bytes = catalog_bytes(records);
    const size_t used = bytes.size();
    bytes.resize(kBlock);
    superblock.catalog = object_bytes(used, 0, cluster(2, bytes));
  }
  /// Right behind the clusters.
  void set_journal() {
    superblock.journal = kExtents + kNode + 4 * kBlock;
    superblock.journal_length = 16 * kBlock;
  }
  uint64_t half() const { return superblock.journal + 8 * kBlock; }

  HeaderSpec header;
  SuperblockSpec superblock;
  uint64_t size = 3 * kBlock + kBlock / 2;
  uint32_t parent = 0;
  Bytes node = Bytes(kNode);
  Bytes clusters = Bytes(4 * kBlock);
  Bytes catalog;
};

OpenOptions with(Access access) {
  OpenOptions options;
  options.access = access;
  options.format = "varve";
  return options;
}

Bytes disk_of(const std::shared_ptr<Storage>& file) {
  Image image = Image::open(file, with(Access::read_only));
  return contents_of(image);
}

const Bytes kContents = filled(kBlock, 0xaa) + Bytes(2 * kBlock) + filled(kBlock / 2, 0xdd);

TEST_CASE("an image made by hand from the specification reads, checks, and is written to") {
  HandMade made;
  const auto file = made.file();
  CHECK(disk_of(file) == kContents);
  Image image = Image::open(file, with(Access::read_write));
  CHECK(damages(image) == "");
  image.write_at(kBlock + 5, filled(3, 1));
  image.close();
  Bytes expected = kContents;
  put_bytes(expected, kBlock + 5, filled(3, 1));
  CHECK(disk_of(file) == expected);
  Image again = Image::open(file, with(Access::read_only));
  CHECK(damages(again).empty());
}

TEST_CASE("section 6: what stands behind the disk's end is found by a check, and does not come to light when the disk grows") {
  HandMade made;
  SUBCASE("an entry") { put_bytes(made.node, 32 * 7, made.cluster(2, filled(kBlock, 0xee))); }
  SUBCASE("bytes of the last cluster") { put_bytes(made.node, 96, made.cluster(1, filled(kBlock / 2, 0xdd) + filled(kBlock / 2, 0xee))); }
  const auto file = made.file();
  CHECK(disk_of(file) == kContents);
  Image image = Image::open(file, with(Access::read_write));
  CHECK_FALSE(damages(image).empty());
  image.resize(10 * kBlock);
  Bytes expected = kContents;
  expected.resize(10 * kBlock);
  CHECK(contents_of(image) == expected);
  image.close();
  CHECK(disk_of(file) == expected);
  Image again = Image::open(file, with(Access::read_only));
  CHECK(damages(again).empty());
}

TEST_CASE("section 9: a journal is applied over the tree, also over a disk that ends within a block") {
  HandMade made;
  made.set_journal();
  const auto file = made.file();
  RecordSpec record;
  record.generation = 5;
  record.changes = {
      {3 * kBlock, kBlock / 2, 1, filled(kBlock / 2, 0x77)}, {0, kBlock, 3, {}}, {2 * kBlock, kBlock, 1, filled(kBlock, 0x66)}};
  file->write_at(made.half(), record_bytes(record));
  const Bytes expected = Bytes(2 * kBlock) + filled(kBlock, 0x66) + filled(kBlock / 2, 0x77);
  const Bytes before = read(*file, 0, file->size());
  CHECK(disk_of(file) == expected);
  CHECK(read(*file, 0, file->size()) == before);  // reading changes nothing
  Image image = Image::open(file, with(Access::read_write));
  image.write_at(0, filled(1, 1));
  image.flush();
  Bytes later = expected;
  later[0] = std::byte{1};
  CHECK(disk_of(file) == later);
  CHECK(file->size() % kBlock == 0);
}

TEST_CASE("section 9: of a clean image the journal is not looked at") {
  HandMade made;
  made.set_journal();
  made.superblock.flags = 1;
  const auto file = made.file();
  RecordSpec record;
  record.generation = 5;
  record.changes = {{0, kBlock, 2, {}}};
  file->write_at(made.half(), record_bytes(record));
  CHECK(disk_of(file) == kContents);
}

/// A child of a raw parent, which comes from memory.
struct Child {
  Child() {
    files.add("base.raw", filled(6 * kBlock, 0x99));
    made.parent = 1;
    made.set_catalog({parent_record(1, "raw", "base.raw", "")});
    made.set_journal();
  }
  OpenOptions options(Access access) {
    OpenOptions options = with(access);
    options.parent = "base.raw";
    options.file_system = &files;
    return options;
  }
  Bytes disk() {
    Image image = Image::open(file, options(Access::read_only));
    return contents_of(image);
  }
  MemoryFileSystem files;
  HandMade made;
  std::shared_ptr<MemoryStorage> file;
};

TEST_CASE("a child shows its parent where it is absent, zeros where it says so, and its journal over both") {
  Child child;
  child.file = child.made.file();
  CHECK(child.disk() == filled(kBlock, 0xaa) + Bytes(kBlock) + filled(kBlock, 0x99) + filled(kBlock / 2, 0xdd));
  RecordSpec record;
  record.generation = 5;
  record.changes = {{2 * kBlock, kBlock, 3, {}}, {3 * kBlock, kBlock / 2, 2, {}}};
  child.file->write_at(child.made.half(), record_bytes(record));
  CHECK(child.disk() == filled(kBlock, 0xaa) + Bytes(2 * kBlock + kBlock / 2));
  Image image = Image::open(child.file, child.options(Access::read_write));
  image.write_at(1, filled(1, 1));
  image.flush();
  CHECK(child.disk() == filled(1, 0xaa) + filled(1, 1) + filled(kBlock - 2, 0xaa) + Bytes(2 * kBlock + kBlock / 2));
}

TEST_CASE("section 9: a journal changes blocks of a large cluster, and the rest of it still comes from the parent") {
  Child child;
  child.made.header.cluster = 8 * kKiB;
  child.made.size = 24 * kKiB;
  child.made.node = Bytes(kNode);  // all of it is absent
  Bytes catalog = catalog_bytes({parent_record(1, "raw", "base.raw", "")});
  const size_t used = catalog.size();
  catalog.resize(8 * kKiB);
  PointerSpec spec;
  spec.address = kExtents + kNode;
  spec.length = 8 * kKiB;
  spec.tag = xxh3(catalog);
  put_bytes(child.made.clusters, 0, catalog);
  child.made.superblock.catalog = object_bytes(used, 0, pointer_bytes(spec));
  child.file = child.made.file();
  RecordSpec record;
  record.generation = 5;
  record.changes = {{kBlock, kBlock, 1, filled(kBlock, 0x11)}, {3 * kBlock, kBlock, 2, {}}};
  child.file->write_at(child.made.half(), record_bytes(record));
  CHECK(child.disk() == filled(kBlock, 0x99) + filled(kBlock, 0x11) + filled(kBlock, 0x99) + Bytes(kBlock) + filled(2 * kBlock, 0x99));
}

TEST_CASE("section 7: references to parents and ids of snapshots that are not there") {
  const auto judged = [](const std::function<void(HandMade&)>& change, std::optional<Errc> expected) {
    HandMade made;
    change(made);
    const auto file = made.file();
    OpenOptions options = with(Access::read_only);
    options.ignore_parent = true;
    if (expected)
      CHECK_ERRC(Image::open(file, options), *expected);
    else
      CHECK_NOTHROW(Image::open(file, options));
  };
  judged([](HandMade& m) { m.parent = 1; }, Errc::corrupt);
  judged([](HandMade& m) { m.superblock.head_parent = 1; }, Errc::corrupt);
  const auto snapshot = [](uint64_t last_id) {
    return [=](HandMade& m) {
      m.set_catalog({snapshot_record({})});
      m.superblock.head_parent = 1;
      m.superblock.last_id = last_id;
    };
  };
  judged(snapshot(1), std::nullopt);
  judged(snapshot(0), Errc::corrupt);
}

TEST_CASE("what is not known for writing, and a generation that has no successor, still reads") {
  HandMade made;
  Errc expected = Errc::unsupported;
  SUBCASE("a read-only-compatible feature") { made.header.read_only = 1; }
  SUBCASE("a record") { made.set_catalog({{77, 2, {}, {}}}); }
  SUBCASE("a generation") {
    made.superblock.generation = (uint64_t{1} << 48) - 65535;
    expected = Errc::limit;
  }
  const auto file = made.file();
  const Bytes before = read(*file, 0, file->size());
  CHECK(disk_of(file) == kContents);
  Image image = Image::open(file, with(Access::read_write));
  CHECK_ERRC(image.write_at(0, filled(1, 1)), expected);
  CHECK_ERRC(image.zero(0, kBlock), expected);
  CHECK_ERRC(image.resize(kBlock), expected);
  image.close();
  CHECK(read(*file, 0, file->size()) == before);
}

TEST_CASE("section 3: a copy of the header that does not count is mended by the first commit, and not before") {
  HandMade made;
  const auto file = made.file();
  HeaderSpec other;
  SUBCASE("torn") { other.torn = true; }
  SUBCASE("older") {
    made.header.sequence = 2;
    file->write_at(0, header_bytes(made.header));
  }
  file->write_at(65536, header_bytes(other));
  Image image = Image::open(file, with(Access::read_write));
  CHECK_FALSE(damages(image).empty());
  CHECK(read(*file, 65536, 4096) == header_bytes(other));
  image.write_at(0, filled(1, 1));
  image.close();
  CHECK(read(*file, 65536, 4096) == header_bytes(made.header));
  CHECK(read(*file, 0, 4096) == header_bytes(made.header));
}

TEST_CASE("a damaged node or cluster fails what needs it and nothing else; the check names it") {
  HandMade made;
  const auto file = made.file();
  SUBCASE("a cluster") {
    file->write_at(kExtents + kNode + 100, filled(1, 1));
    Image image = Image::open(file, with(Access::read_only));
    CHECK_ERRC(contents_of(image), Errc::corrupt);
    Bytes rest(kDisk - kBlock - kBlock / 2);
    image.read_at(kBlock, rest);
    CHECK(rest == Bytes(kContents.begin() + kBlock, kContents.end()));
    CHECK_FALSE(damages(image).empty());
    CHECK(damages(image, false) == "");
  }
  SUBCASE("the node") {
    file->write_at(kExtents + 5000, filled(1, 1));
    Image image = Image::open(file, with(Access::read_only));
    CHECK_ERRC(contents_of(image), Errc::corrupt);
    CHECK_FALSE(damages(image, false).empty());
  }
  SUBCASE("two pointers to one place") {
    Bytes twice(made.node.begin(), made.node.begin() + 32);
    put_bytes(made.node, 64, twice);
    Image image = Image::open(made.file(), with(Access::read_write));
    CHECK_FALSE(damages(image, false).empty());
    CHECK_ERRC(image.zero(0, 3 * kBlock), Errc::corrupt);  // its space would be used for one while the other has it
  }
  SUBCASE("a pointer into the journal") {
    made.set_journal();
    put_bytes(made.node, 64, made.cluster(4, Bytes(kBlock)));
    Image image = Image::open(made.file(), with(Access::read_only));
    CHECK_FALSE(damages(image, false).empty());
  }
}

TEST_CASE("a repair gives a place of two owners to the first, and drops what can't stand where it does") {
  HandMade made;
  Bytes expected = kContents;
  SUBCASE("two pointers to one cluster") { put_bytes(made.node, 64, Bytes(made.node.begin(), made.node.begin() + 32)); }
  SUBCASE("a pointer into the journal") {
    made.set_journal();
    PointerSpec inside;
    inside.address = made.superblock.journal;
    inside.length = kBlock;
    put_bytes(made.node, 64, pointer_bytes(inside));
  }
  SUBCASE("an entry behind the end") { put_bytes(made.node, 32 * 7, made.cluster(2, filled(kBlock, 0xee))); }
  SUBCASE("bytes of the last cluster behind the end") {
    put_bytes(made.node, 96, made.cluster(1, filled(kBlock / 2, 0xdd) + filled(kBlock / 2, 0xee)));
  }
  const auto file = made.file();
  for (const bool again : {false, true}) {
    Image image = Image::open(file, with(Access::read_write));
    const CheckReport report = image.check({.data = false, .repair = Repair::all, .progress = {}, .cancel = nullptr});
    CHECK(report.repaired == (again ? 0 : 1));
    CHECK(report.damages == 0);
    image.close();
  }
  CHECK(disk_of(file) == expected);
  Image image = Image::open(file, with(Access::read_write));
  CHECK(damages(image) == "");
  image.resize(10 * kBlock);
  expected.resize(10 * kBlock);
  CHECK(contents_of(image) == expected);
}

/// One place can't be read.
class BadPlace final : public PassingStorage {
 public:
  BadPlace(std::shared_ptr<Storage> below, uint64_t at) : PassingStorage(std::move(below)), at_(at) {}
  void read_at(uint64_t offset, MutableBytes out) override {
    if (offset <= at_ && at_ < offset + out.size()) throw Error(Errc::io, "a bad place").at(at_);
    below_->read_at(offset, out);
  }

 private:
  const uint64_t at_;
};

TEST_CASE("a repair leaves an image alone that it does not wholly understand") {
  HandMade made;
  SUBCASE("a record that no program may write to which does not know it") { made.set_catalog({{77, 2, {}, {}}}); }
  SUBCASE("a codec that is not known") {
    PointerSpec odd;
    odd.address = kExtents + kNode;
    odd.length = kBlock;
    odd.codec = 9;
    put_bytes(made.node, 64, pointer_bytes(odd));
  }
  const auto file = made.file();
  std::shared_ptr<Storage> through = file;
  SUBCASE("a cluster that the host can't read now") { through = std::make_shared<BadPlace>(file, kExtents + kNode + kBlock); }
  file->write_at(kExtents + kNode + 100, filled(1, 1));
  const Bytes before = read(*file, 0, file->size());
  try {
    Image image = Image::open(through, with(Access::read_write));
    const CheckReport report = image.check({.data = true, .repair = Repair::all, .progress = {}, .cancel = nullptr});
    CHECK(report.repaired == 0);
    CHECK(report.damages != 0);
    image.close();
  } catch (const Error& error) {
    CHECK(error.code() == Errc::unsupported);
  }
  CHECK(read(*file, 0, file->size()) == before);
}

}  // namespace
}  // namespace varve::test
