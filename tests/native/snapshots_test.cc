// Snapshots: a tree of states against a model, with everything that may come between.
#include <array>

#include "native/reachable.h"
#include "native/world.h"
#include "support/image_kit.h"
#include "support/pattern.h"
#include "support/test.h"

namespace varve::test {
namespace {

constexpr const char* kPath = World::kPath;
constexpr uint64_t kSize = World::kSize;

void random_history(World& world, Rng& rng, int steps) {
  for (int step = 0; step < steps; ++step) {
    const uint64_t choice = rng.below(20);
    const auto generation = static_cast<uint64_t>(step) + 1;
    if (choice < 8) {
      world.random_change(rng, generation);
    } else if (choice < 10) {
      world.image().flush();
    } else if (choice < 13) {
      world.create("s" + std::to_string(step));
    } else if (choice < 14) {
      world.resize(rng.between(1, 2 * kSize));
    } else if (choice < 15) {
      world.reopen();
    } else if (!world.kept().empty()) {
      const std::string name = world.any_of(rng);
      if (choice < 17)
        world.revert(name);
      else
        world.remove(name);
    }
    world.expect_all();
    if (world.kept().empty()) continue;
    world.expect_diff(world.image(), world.any_of(rng), rng.one_in(2) ? std::string() : world.any_of(rng));
  }
}

TEST_CASE("random histories of writes, snapshots, reverts, branches and deletes: every state stays what it was") {
  Rng rng("snapshot histories");
  SHOW_SEED(rng);
  for (uint64_t round = 0; round < scaled(24); ++round) {
    INFO("round " << round);
    World world(world_options()[round % world_options().size()]);
    random_history(world, rng, 40);
    world.reopen();
    world.expect_all();
  }
}

TEST_CASE("space that deleted snapshots held is used again: a file does not grow with its history") {
  Rng rng("snapshot space");
  SHOW_SEED(rng);
  for (const OptionMap& options : world_options()) {
    World world(options);
    uint64_t early = 0;
    uint64_t late = 0;
    for (int round = 0; round < 40; ++round) {
      for (int i = 0; i < 12; ++i) {
        world.random_change(rng, static_cast<uint64_t>(i));
        world.create("s" + std::to_string(i));
        if (i % 4 == 3) world.revert("s" + std::to_string(i - 2));
      }
      while (!world.kept().empty()) world.remove(world.any_of(rng));
      CHECK(world.image().snapshots().empty());
      world.reopen();
      world.expect_all();
      uint64_t& most = round < 10 ? early : late;
      most = std::max<uint64_t>(most, world.files().find(kPath)->contents().size());
    }
    CHECK(late <= early * 3 / 2);
  }
}

TEST_CASE("a branch point stays while two are based on it, is nameless, and goes with the last but one") {
  World world(world_options()[0]);
  world.write(0, pattern(0, 1, 9000));
  world.create("base");
  world.write(4096, pattern(4096, 2, 9000));
  world.create("left");
  world.revert("base");
  world.write(8192, pattern(8192, 3, 9000));
  world.create("right");
  world.remove("base");
  const std::vector<SnapshotInfo> all = world.image().snapshots();
  REQUIRE(all.size() == 3);
  CHECK(all[0].branch_point);
  CHECK(all[0].name.empty());
  CHECK_FALSE(all[0].exclusive_bytes);
  CHECK(all[2].current);
  world.expect_all();
  world.create("base");  // its name is free again
  world.remove("base");
  world.remove("left");
  const std::vector<SnapshotInfo> left = world.image().snapshots();
  REQUIRE(left.size() == 1);
  CHECK(left[0].name == "right");
  CHECK(left[0].parent == 0);
  world.expect_all();
}

TEST_CASE("a snapshot whose tree is higher or lower than what is based on it gives its own back when it goes, and nothing else") {
  constexpr std::array<uint64_t, 3> kSizes = {1000, 200 * 1024, 3 * 1024 * 1024};  // of no node, one, and two levels of them
  const auto fill = [](World& world, uint64_t generation) {
    const uint64_t length = std::min<uint64_t>(world.size(), 9000);
    for (const uint64_t at : {uint64_t{0}, world.size() / 2, world.size() - length})
      world.write(at, pattern(at, generation, std::min(length, world.size() - at)));
    world.image().flush();
  };
  for (const uint64_t before : kSizes) {
    for (const uint64_t after : kSizes) {
      for (const bool child_is_snapshot : {false, true}) {
        INFO("from " << before << " to " << after << " bytes" << (child_is_snapshot ? ", under a snapshot" : ""));
        World world({{"cluster_size", "4K"}, {"journal_size", "0"}});
        world.resize(before);
        fill(world, 1);
        world.create("a");
        world.resize(after);
        const uint64_t end = std::min<uint64_t>(after, 500);
        world.write(after - end, pattern(after - end, 2, end));
        if (child_is_snapshot) world.create("b");
        world.remove("a");
        world.expect_all();
        for (uint64_t generation = 3; generation < 9; ++generation) {
          if (generation == 6) world.reopen();
          world.resize(after + 16 * 1024 * generation);  // what is free is used again, beside what is held
          world.write(after, pattern(after, generation, 16 * 1024));
          world.image().flush();
        }
        world.expect_all();
        world.close();
        CHECK(leaks_of_closed(world.files().find(kPath)) == "");
      }
    }
  }
}

TEST_CASE("exclusive bytes are what a delete frees") {
  World world({{"cluster_size", "4K"}, {"journal_size", "0"}});
  world.write(0, pattern(0, 1, 40960));
  world.create("one");
  world.write(0, pattern(0, 2, 8192));
  world.create("two");
  const std::vector<SnapshotInfo> all = world.image().snapshots();
  // Two clusters that "two" has replaced, and the nodes above them.
  REQUIRE(all[0].exclusive_bytes);
  CHECK(*all[0].exclusive_bytes >= 8192);
  CHECK(*all[0].exclusive_bytes <= 8192 + 2 * 16384);
  CHECK(*all[1].exclusive_bytes == 0);
}

TEST_CASE("names: taken, unknown and impossible ones are refused, and the image goes on") {
  World world(world_options()[0]);
  world.create("a");
  CHECK_ERRC(world.image().create_snapshot("a", 1), Errc::exists);
  CHECK_ERRC(world.image().delete_snapshot("b"), Errc::not_found);
  CHECK_ERRC(world.image().revert_to_snapshot("b"), Errc::not_found);
  CHECK_ERRC(world.image().rename_snapshot("b", "c"), Errc::not_found);
  for (const std::string& name : {std::string(), std::string("\xff"), std::string(1025, 'x'), std::string("a\0b", 3)})
    CHECK_ERRC(world.image().create_snapshot(name, 1), Errc::invalid_argument);
  world.image().rename_snapshot("a", "b");
  CHECK(world.image().snapshots().front().name == "b");
  world.write(0, pattern(0, 1, 100));
  world.close();
  OpenOptions how = world.options(Access::read_only);
  how.snapshot = "a";
  CHECK_ERRC(Image::open(kPath, how), Errc::not_found);
  how.snapshot = "b";
  how.access = Access::read_write;
  CHECK_ERRC(Image::open(kPath, how), Errc::invalid_argument);
}

TEST_CASE("formats without snapshots say so, to each call") {
  MemoryFileSystem files;
  create_image(files, "dir/disk.vmdk", "vmdk", kSize);
  OpenOptions how;
  how.format = "vmdk";
  how.file_system = &files;
  how.access = Access::read_write;
  Image image = Image::open("dir/disk.vmdk", how);
  CHECK_ERRC(image.snapshots(), Errc::unsupported);
  CHECK_ERRC(image.create_snapshot("a", 1), Errc::unsupported);
  how.access = Access::read_only;
  how.snapshot = "a";
  CHECK_ERRC(Image::open("dir/disk.vmdk", how), Errc::unsupported);
}

}  // namespace
}  // namespace varve::test
