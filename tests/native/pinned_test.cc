// Children over a snapshot of their parent: what they name, what they read, and what holds the snapshot (section 12).
#include <algorithm>

#include "native/builder.h"
#include "native/world.h"
#include "support/image_kit.h"
#include "support/pattern.h"
#include "support/secrets.h"
#include "support/storages.h"

namespace varve::test {
namespace {

constexpr const char* kChild = "dir/child.varve";

CreateOptions over(FileSystem& files, const std::string& snapshot, std::vector<std::string>* warnings = nullptr) {
  CreateOptions how;
  how.file_system = &files;
  how.parent = "disk.varve";
  how.parent_snapshot = snapshot;
  if (warnings != nullptr) how.warn = [warnings](const std::string& line) { warnings->push_back(line); };
  return how;
}

OpenOptions reading(FileSystem& files) {
  OpenOptions how;
  how.secret = test_key();
  how.file_system = &files;
  return how;
}

Bytes child_contents(World& world) {
  Image child = Image::open(kChild, reading(world.files()));
  return contents_of(child);
}

/// A world with one snapshot that its disk has left behind.
struct Parent {
  World world{{{"cluster_size", "4K"}, {"journal_size", "0"}}};
  Bytes golden;

  Parent() {
    world.write(0, pattern(0, 1, 50000));
    world.create("golden");
    golden = world.held("golden");
    world.write(8192, pattern(8192, 2, 9000));
    world.close();
  }
  void make_child() { Image::create(kChild, "varve", std::nullopt, over(world.files(), "golden")).close(); }
};

TEST_CASE("section 12: a child reads the snapshot whatever becomes of its parent, and of the snapshot's name") {
  Parent parent;
  World& world = parent.world;
  parent.make_child();
  CHECK(child_contents(world) == parent.golden);
  world.open();
  const SnapshotInfo info = world.image().snapshots().front();
  CHECK(info.held);
  world.write(0, pattern(0, 3, 70000));
  world.resize(500000);
  world.create("later");
  world.image().rename_snapshot("golden", "tarnished");
  world.image().create_snapshot("golden", 1);
  world.close();
  CHECK(child_contents(world) == parent.golden);

  Image child = Image::open(kChild, reading(world.files()));
  const std::optional<ParentInfo> named = child.info().parent;
  REQUIRE(named);
  CHECK(named->name == "disk.varve");
  CHECK(named->format == "varve");
  CHECK(named->identity.starts_with("snapshot " + info.uuid + " root "));
  CHECK(named->identity.size() == 9 + 36 + 6 + 32);
  CHECK(child.chain().size() == 2);
}

TEST_CASE("a held snapshot is deleted on the user's word only, and its child says what is missing") {
  Parent parent;
  World& world = parent.world;
  parent.make_child();
  world.open();
  CHECK_ERRC(world.image().delete_snapshot("golden"), Errc::invalid_argument);
  world.write(0, pattern(0, 3, 100));  // the image goes on
  world.image().delete_snapshot("golden", true);
  CHECK(world.image().snapshots().empty());
  world.close();
  CHECK_ERRC(child_contents(world), Errc::not_found);
  OpenOptions alone = reading(world.files());
  alone.ignore_parent = true;
  CHECK(Image::open(kChild, alone).size() == parent.golden.size());
}

TEST_CASE("a branch point still serves the children of what it was") {
  Parent parent;
  World& world = parent.world;
  parent.make_child();
  world.open();
  world.image().create_snapshot("left", 1);
  world.revert("golden");
  world.image().create_snapshot("right", 1);
  world.image().delete_snapshot("golden", true);
  CHECK(world.image().snapshots().front().branch_point);
  CHECK_FALSE(world.image().snapshots().front().held);
  world.close();
  CHECK(child_contents(world) == parent.golden);
}

TEST_CASE("what can't be pinned: no such snapshot, a format without, no parent; and nothing is held or made") {
  Parent parent;
  World& world = parent.world;
  MemoryFileSystem& files = world.files();
  CHECK_ERRC(Image::create(kChild, "varve", std::nullopt, over(files, "silver")), Errc::not_found);
  create_image(files, "dir/base.vmdk", "vmdk", kMiB);
  CreateOptions how = over(files, "golden");
  CHECK_ERRC(Image::create("dir/child.vmdk", "vmdk", std::nullopt, how), Errc::unsupported);
  how.parent = "base.vmdk";
  how.parent_format = "vmdk";
  CHECK_ERRC(Image::create(kChild, "varve", std::nullopt, how), Errc::unsupported);
  how.parent.clear();
  CHECK_ERRC(Image::create(kChild, "varve", kMiB, how), Errc::invalid_argument);
  world.open();
  CHECK_FALSE(world.image().snapshots().front().held);
  CHECK(files.find(kChild) == nullptr);
}

TEST_CASE("the snapshot is held on the medium before the child has a name, also if the child is given up") {
  Parent parent;
  World& world = parent.world;
  const auto log = std::make_shared<EventLog>();
  WrappingFileSystem recorded(world.files(),
                              [&](std::shared_ptr<Storage> below) { return std::make_shared<RecordingStorage>(std::move(below), log); });
  {
    Image child = Image::create(kChild, "varve", std::nullopt, over(recorded, "golden"));
    const std::vector<StorageEvent> events = log->events();
    const auto is = [](StorageEvent::Kind kind) { return [kind](const StorageEvent& event) { return event.kind == kind; }; };
    const auto last = std::find_if(events.rbegin(), events.rend(), is(StorageEvent::Kind::flush));
    CHECK(std::find_if(events.begin(), events.end(), is(StorageEvent::Kind::write)) != events.end());
    CHECK(std::none_of(events.rbegin(), last, is(StorageEvent::Kind::write)));
    world.open();
    CHECK(world.image().snapshots().front().held);
    world.close();
    child.abort();
  }
  CHECK(world.files().find(kChild) == nullptr);
  log->clear();
  // It is held already: nothing is written any more.
  Image::create(kChild, "varve", std::nullopt, over(recorded, "golden")).abort();
  CHECK(log->count(StorageEvent::Kind::write) == 0);
}

TEST_CASE("a parent that can't be written to serves all the same, with a warning") {
  Parent parent;
  World& world = parent.world;
  const auto plan = std::make_shared<FaultPlan>(0, FaultKind::io, true, Hit::write);
  WrappingFileSystem failing(world.files(), [&](std::shared_ptr<Storage> below) {
    return below->name() == World::kPath ? std::static_pointer_cast<Storage>(std::make_shared<FaultyStorage>(std::move(below), plan))
                                         : below;
  });
  std::vector<std::string> warnings;
  Image::create(kChild, "varve", std::nullopt, over(failing, "golden", &warnings)).close();
  REQUIRE(warnings.size() == 1);
  CHECK(warnings.front().find("can't be marked as held") != std::string::npos);
  CHECK(child_contents(world) == parent.golden);
}

TEST_CASE("another image, another root and no UUID at all are refused") {
  Parent parent;
  World& world = parent.world;
  parent.make_child();
  Image image = Image::open(kChild, reading(world.files()));
  const std::string identity = image.info().parent->identity;
  const auto judged = [&](const std::string& text, Errc expected) {
    const Bytes catalog = catalog_bytes({parent_record(1, "varve", "disk.varve", text)});
    HeaderSpec header;
    SuperblockSpec superblock;
    PointerSpec root;
    root.address = kExtents;
    root.length = 4096;
    Bytes cluster = catalog;
    cluster.resize(4096);
    root.tag = xxh3(cluster);
    superblock.catalog = object_bytes(catalog.size(), 0, pointer_bytes(root));
    superblock.head = object_bytes(4096, 0, kAbsent, 1);
    superblock.end = kExtents + 4096;
    const auto file = file_of(header, superblock);
    file->resize(superblock.end);
    file->write_at(kExtents, cluster);
    world.files().add("dir/forged.varve", file);
    OpenOptions how = reading(world.files());
    INFO(text);
    CHECK_ERRC(Image::open("dir/forged.varve", how), expected);
    how.ignore_parent = true;
    CHECK_NOTHROW(Image::open("dir/forged.varve", how).info());
  };
  std::string other = identity;
  other.back() = other.back() == '0' ? '1' : '0';
  judged(other, Errc::corrupt);
  other = identity;
  other[9] = other[9] == '0' ? '1' : '0';
  judged(other, Errc::not_found);
  judged("snapshot ", Errc::corrupt);  // no snapshot is named, and the disk as it is has another identity
  judged("snapshot x", Errc::not_found);
  judged(identity.substr(0, 45), Errc::corrupt);
  judged(identity + "0", Errc::corrupt);
}

TEST_CASE("section 12: a rebase leaves snapshots over their parent, and the disk reads as before") {
  MemoryFileSystem files;
  const auto make = [&](const char* path, uint64_t generation) {
    create_image(files, path, "varve", kMiB);
    OpenOptions how = reading(files);
    how.access = Access::read_write;
    how.format = "varve";
    Image image = Image::open(path, how);
    image.write_at(0, pattern(0, generation, 200000));
    image.close();
  };
  make("dir/a.varve", 1);
  make("dir/b.varve", 2);
  CreateOptions over_a;
  over_a.file_system = &files;
  over_a.parent = "a.varve";
  Image::create(kChild, "varve", std::nullopt, over_a).close();
  OpenOptions how = reading(files);
  how.format = "varve";
  how.access = Access::read_write;
  {
    Image child = Image::open(kChild, how);
    child.write_at(100000, pattern(100000, 3, 5000));
    child.create_snapshot("before", 1);
    child.close();
  }
  how.access = Access::read_only;
  Image before = Image::open(kChild, how);
  const Bytes contents = contents_of(before);
  RebaseOptions to_b;
  to_b.parent = "b.varve";
  to_b.open = how;
  RebaseOptions nowhere;
  nowhere.parent_snapshot = "before";
  nowhere.open = how;
  CHECK_ERRC(rebase(kChild, nowhere), Errc::invalid_argument);
  rebase(kChild, to_b);
  Image after = Image::open(kChild, how);
  CHECK(after.info().parent->name == "b.varve");
  CHECK(contents_of(after) == contents);
  CHECK(damages(after) == "");
  how.snapshot = "before";
  Image snapshot = Image::open(kChild, how);
  CHECK(snapshot.chain().back().path == "dir/a.varve");
  CHECK(contents_of(snapshot) == contents);
}

TEST_CASE("an increment holds what changed since a snapshot, and reads as the later one") {
  Rng rng("increments");
  SHOW_SEED(rng);
  for (uint64_t round = 0; round < scaled(12); ++round) {
    World world(world_options()[round % world_options().size()]);
    for (int i = 0; i < 5; ++i) world.random_change(rng, 1);
    world.create("monday");
    for (int i = 0; i < 4; ++i) world.random_change(rng, 2);
    if (rng.one_in(2)) world.resize(rng.between(1, 2 * World::kSize));
    world.create("tuesday");
    for (int i = 0; i < 4; ++i) world.random_change(rng, 3);
    world.close();
    ConvertOptions how;
    how.source_format = "varve";
    how.open.file_system = &world.files();
    how.open.snapshot = "tuesday";
    how.open.secret = how.create.parent_secret = test_key();
    how.create.file_system = &world.files();
    how.create.parent = "disk.varve";
    how.since = "monday";
    convert(World::kPath, kChild, how);
    CHECK(child_contents(world) == world.held("tuesday"));
    how.create.parent = "other.varve";
    create_image(world.files(), "dir/other.varve", "varve", 1);
    how.create.force = true;
    CHECK_ERRC(convert(World::kPath, kChild, how), Errc::not_found);  // it has no such snapshot
    CHECK(child_contents(world) == world.held("tuesday"));
  }
}

}  // namespace
}  // namespace varve::test
