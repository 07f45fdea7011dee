// Where two states differ: against models, what it costs, and over parents.
#include "native/diff.h"

#include <atomic>
#include <utility>

#include "native/builder.h"
#include "native/world.h"
#include "support/image_kit.h"
#include "support/pattern.h"
#include "support/storages.h"

namespace varve::test {
namespace {

using native::Kind;
using native::Pointer;
using native::Tree;

constexpr uint64_t kCluster = 4096;
constexpr uint64_t kBeyond = uint64_t{1} << 40;

native::Header header() {
  native::Header header;
  header.cluster_size = kCluster;
  header.unit = 4096;
  return header;
}

/// Two trees that have a past in common, their nodes in a file or in memory, and what each cluster shows.
struct Pair {
  std::shared_ptr<MemoryStorage> file = std::make_shared<MemoryStorage>("tree");
  native::Extents extents{file, header(), kMiB / 2, kMiB / 2};
  uint64_t next = kExtents;
  uint64_t birth = 1;

  Tree tree(const native::Object& object) {
    return Tree(extents, object, [] { return kBeyond; });
  }
  native::Object store(Tree& tree) {
    return tree.store(birth++, [this] {
      file->resize(std::max(file->size(), next + kNode));
      return std::exchange(next, next + kNode);
    });
  }
  void change(Tree& tree, Rng& rng) {
    const auto nothing = [](const Pointer&) {};
    if (rng.one_in(6)) tree.resize(rng.between(1, 1500) * kCluster - rng.below(kCluster), nothing);
    const uint64_t first = rng.below(tree.clusters());
    const uint64_t count = std::min(tree.clusters() - first, rng.between(1, rng.one_in(5) ? 700 : 5));
    if (rng.one_in(2)) return tree.clear(first, count, rng.one_in(2) ? birth : 0, nothing);
    for (uint64_t i = first; i < first + count; ++i) {
      Pointer p;
      p.kind = Kind::data;
      p.birth = birth;
      p.offset = std::exchange(next, next + kCluster);
      p.length = kCluster;
      tree.set(i, p, nothing);
    }
  }
};

/// What must be told of a cluster.
bool differs(const Tree& from, const Tree& to, uint64_t cluster, bool same_parent) {
  const bool behind = cluster >= from.clusters();
  const Pointer a = behind ? Pointer() : from.run_at(cluster, 1).pointer;
  const Pointer b = to.run_at(cluster, 1).pointer;
  const bool over_parent_a = a.kind == Kind::absent && from.parent() != 0 && !behind;
  const bool over_parent_b = b.kind == Kind::absent && to.parent() != 0;
  const bool ends_here = cluster == from.whole_clusters() && from.size() < to.size();
  if (over_parent_a) return !over_parent_b || !same_parent || ends_here;
  if (over_parent_b) return true;
  return (a.kind == Kind::data || b.kind == Kind::data) && a != b;
}

TEST_CASE("the difference of two trees is that of their clusters, at all heights, over all parents, stored or in memory") {
  Rng rng("tree differences");
  SHOW_SEED(rng);
  for (uint64_t round = 0; round < scaled(300); ++round) {
    INFO("round " << round);
    Pair pair;
    native::Object object;
    object.size = rng.between(1, 1500) * kCluster - rng.below(kCluster);
    object.height = static_cast<uint8_t>(native::height_of(object.size, kCluster));
    object.parent = rng.one_in(2) ? 1 : 0;
    Tree from = pair.tree(object);
    for (uint64_t i = rng.below(6); i > 0; --i) pair.change(from, rng);
    const native::Object stored = pair.store(from);
    Tree to = pair.tree(stored);
    if (rng.one_in(4)) to.set_parent(2);
    for (uint64_t i = rng.below(6); i > 0; --i) {
      pair.change(to, rng);
      if (rng.one_in(3)) pair.store(to);
    }
    const bool same_parent = from.parent() == to.parent() || (from.parent() != 0 && rng.one_in(2));
    std::vector<Kind> told(to.clusters(), static_cast<Kind>(7));
    uint64_t last = 0;
    native::diff_trees(from, to, same_parent, kBeyond, [&](uint64_t first, uint64_t count, const Pointer& pointer) {
      CHECK(first >= last);
      last = first + count;
      REQUIRE(last <= told.size());
      for (uint64_t i = first; i < last; ++i) told[i] = pointer.kind;
    });
    for (uint64_t i = 0; i < told.size(); ++i) {
      const bool expected = differs(from, to, i, same_parent);
      if (expected == (told[i] != static_cast<Kind>(7)) && (!expected || told[i] == to.run_at(i, 1).pointer.kind)) continue;
      FAIL("cluster " << i << " of " << from.size() << " and " << to.size() << " bytes, expected " << expected);
    }
  }
}

TEST_CASE("a difference costs what changed, not what the disk holds") {
  MemoryFileSystem files;
  create_image(files, "disk.varve", "varve", uint64_t{1} << 40, {{"cluster_size", "4K"}});
  OpenOptions how;
  how.format = "varve";
  how.file_system = &files;
  how.access = Access::read_write;
  {
    Image image = Image::open("disk.varve", how);
    for (uint64_t i = 0; i < 400; ++i) image.write_at(i << 31, pattern(0, i, 4096));  // each has nodes of its own
    image.create_snapshot("one", 1);
    image.write_at(uint64_t{7} << 31, pattern(0, 1000, 4096));
    image.close();
  }
  std::atomic<uint64_t> read{0};
  WrappingFileSystem counting(files,
                              [&](std::shared_ptr<Storage> below) { return std::make_shared<CountingStorage>(std::move(below), read); });
  how.access = Access::read_only;
  how.file_system = &counting;
  Image image = Image::open("disk.varve", how);
  read = 0;
  std::vector<uint64_t> places;
  image.diff_snapshots("one", "", [&](const Extent& range) { places.push_back(range.offset); });
  CHECK(places == std::vector<uint64_t>{uint64_t{7} << 31});
  CHECK(read <= 8 * kNode);  // the way down in both trees
}

TEST_CASE("blocks in memory and in a journal are in the difference; what was reverted is not") {
  World world({{"cluster_size", "4K"}, {"journal_size", "128K"}});
  world.write(0, pattern(0, 1, 20000));
  world.create("one");
  world.expect_diff(world.image(), "one", "");
  world.write(5000, pattern(5000, 2, 100));
  world.expect_diff(world.image(), "one", "");
  world.image().flush();
  world.write(40000, pattern(40000, 3, 100));
  world.image().flush();
  world.write(45000, pattern(45000, 3, 100));
  world.image().flush();  // a record
  Image other = Image::open(World::kPath, world.options(Access::read_only));
  world.expect_diff(other, "one", "");
  world.create("two");
  world.revert("one");
  uint64_t ranges = 0;
  world.image().diff_snapshots("one", "", [&](const Extent&) { ++ranges; });
  world.image().diff_snapshots("one", "one", [&](const Extent&) { ++ranges; });
  CHECK(ranges == 0);
  world.expect_diff(world.image(), "two", "");
  world.expect_diff(world.image(), "one", "two");
}

TEST_CASE("a difference between what is not there, and one that its reader ends") {
  World world(OptionMap{{"cluster_size", "4K"}});
  world.create("one");
  world.write(0, pattern(0, 1, 5000));
  const auto nothing = [](const Extent&) {};
  CHECK_ERRC(world.image().diff_snapshots("two", "one", nothing), Errc::not_found);
  CHECK_ERRC(world.image().diff_snapshots("one", "two", nothing), Errc::not_found);
  CHECK_ERRC(world.image().diff_snapshots("one", "", [](const Extent&) { throw Error(Errc::cancelled, "enough"); }), Errc::cancelled);
  world.write(9000, pattern(9000, 1, 5000));  // it goes on
  world.expect_diff(world.image(), "one", "");
}

TEST_CASE("trees whose nodes stand at more than one place end a difference soon") {
  Pair pair;
  Pointer below;
  below.kind = Kind::data;
  below.birth = 1;
  below.offset = kExtents;
  below.length = kCluster;
  native::Object object;
  object.size = native::clusters_under(5) * kCluster;
  object.height = 5;
  uint64_t at = kExtents + kNode;
  for (unsigned level = 1; level <= 5; ++level, at += kNode) {
    native::NodeRaw node;
    node.entries.fill(native::encode(below, 4096));
    below.kind = Kind::node;
    below.level = static_cast<uint8_t>(level);
    below.offset = at;
    below.length = kNode;
    below.tag = tag_bytes(bytes_of(node));
    pair.file->resize(at + kNode);
    pair.file->write_at(at, bytes_of(node));
  }
  object.root = below;
  native::Object nothing = object;
  nothing.root = {};
  const Tree from = pair.tree(nothing);
  const Tree to = pair.tree(object);
  CHECK_ERRC(native::diff_trees(from, to, true, at, [](uint64_t, uint64_t, const Pointer&) {}), Errc::corrupt);
}

}  // namespace
}  // namespace varve::test
