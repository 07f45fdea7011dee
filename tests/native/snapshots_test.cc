// Snapshots: a tree of states against a model, with everything that may come between.
#include <map>
#include <optional>

#include "io/memory_file_system.h"
#include "support/image_kit.h"
#include "support/pattern.h"
#include "support/seeds.h"
#include "support/test.h"
#include "varve/image.h"
#include "varve/ops.h"

namespace varve::test {
namespace {

using Bytes = std::vector<std::byte>;
constexpr const char* kPath = "dir/disk.varve";
constexpr uint64_t kSize = 300 * 1024 + 512;

/// An image in memory, and what it and each of its snapshots must hold.
class World {
 public:
  explicit World(const OptionMap& options) : disk_(kSize) {
    create_image(files_, kPath, "varve", kSize, options);
    open();
  }

  void open() { image_.emplace(Image::open(kPath, options(Access::read_write))); }
  void close() {
    image_->close();
    image_.reset();
  }
  void reopen() {
    close();
    open();
  }
  Image& image() { return *image_; }
  const std::map<std::string, Bytes>& kept() const { return kept_; }

  void write(uint64_t offset, const Bytes& data) {
    image_->write_at(offset, data);
    std::copy(data.begin(), data.end(), disk_.begin() + static_cast<ptrdiff_t>(offset));
  }
  void zero(uint64_t offset, uint64_t length) {
    image_->zero(offset, length);
    std::fill_n(disk_.begin() + static_cast<ptrdiff_t>(offset), length, std::byte{0});
  }
  void resize(uint64_t size) {
    image_->resize(size);
    disk_.resize(size);
  }
  void create(const std::string& name) {
    image_->create_snapshot(name, 1);
    kept_[name] = disk_;
  }
  void remove(const std::string& name) {
    image_->delete_snapshot(name);
    kept_.erase(name);
  }
  void revert(const std::string& name) {
    image_->revert_to_snapshot(name);
    disk_ = kept_.at(name);
  }

  /// The disk, each snapshot (of the file as it is), and the check.
  void expect_all() {
    CHECK(contents(*image_) == disk_);
    CHECK(damages(*image_) == "");
    image_->flush();
    for (const auto& one : kept_) {
      OpenOptions how = options(Access::read_only);
      how.snapshot = one.first;
      Image shown = Image::open(kPath, how);
      CHECK_MESSAGE(contents(shown) == one.second, "snapshot " << one.first);
    }
  }
  Bytes file() { return files_.find(kPath)->contents(); }
  uint64_t size() const { return disk_.size(); }

  OpenOptions options(Access access) {
    OpenOptions how;
    how.access = access;
    how.format = "varve";
    how.file_system = &files_;
    return how;
  }

 private:
  static Bytes contents(Image& image) {
    Bytes all(image.size());
    image.read_at(0, all);
    return all;
  }

  MemoryFileSystem files_;
  std::optional<Image> image_;
  Bytes disk_;
  std::map<std::string, Bytes> kept_;
};

const std::vector<OptionMap>& option_sets() {
  static const std::vector<OptionMap> all = {{{"cluster_size", "4K"}, {"journal_size", "128K"}},
                                             {{"cluster_size", "16K"}, {"compression", "zstd"}, {"journal_size", "64K"}},
                                             {{"cluster_size", "4K"}, {"compression", "zlib:1"}, {"journal_size", "0"}},
                                             {{"cluster_size", "64K"}, {"journal_size", "128K"}}};
  return all;
}

void random_write(World& world, Rng& rng, uint64_t generation) {
  const uint64_t offset = rng.below(world.size());
  const uint64_t length = std::min(world.size() - offset, rng.between(1, rng.one_in(4) ? 60000 : 5000));
  if (rng.one_in(5))
    world.zero(offset, length);
  else
    world.write(offset, pattern(offset, generation, length));
}

std::string any_of(const World& world, Rng& rng) {
  auto at = world.kept().begin();
  std::advance(at, static_cast<ptrdiff_t>(rng.below(world.kept().size())));
  return at->first;
}

void random_history(World& world, Rng& rng, int steps) {
  for (int step = 0; step < steps; ++step) {
    const uint64_t choice = rng.below(20);
    const auto generation = static_cast<uint64_t>(step) + 1;
    if (choice < 8) {
      random_write(world, rng, generation);
    } else if (choice < 10) {
      world.image().flush();
    } else if (choice < 13) {
      world.create("s" + std::to_string(step));
    } else if (choice < 14) {
      world.resize(rng.between(1, 2 * kSize));
    } else if (choice < 15) {
      world.reopen();
    } else if (!world.kept().empty()) {
      const std::string name = any_of(world, rng);
      if (choice < 17)
        world.revert(name);
      else
        world.remove(name);
    }
    world.expect_all();
  }
}

TEST_CASE("random histories of writes, snapshots, reverts, branches and deletes: every state stays what it was") {
  Rng rng("snapshot histories");
  SHOW_SEED(rng);
  for (uint64_t round = 0; round < scaled(24); ++round) {
    INFO("round " << round);
    World world(option_sets()[round % option_sets().size()]);
    random_history(world, rng, 40);
    world.reopen();
    world.expect_all();
  }
}

TEST_CASE("space that deleted snapshots held is used again: a file does not grow with its history") {
  Rng rng("snapshot space");
  SHOW_SEED(rng);
  for (const OptionMap& options : option_sets()) {
    World world(options);
    uint64_t early = 0;
    uint64_t late = 0;
    for (int round = 0; round < 12; ++round) {
      for (int i = 0; i < 12; ++i) {
        random_write(world, rng, static_cast<uint64_t>(i));
        world.create("s" + std::to_string(i));
        if (i % 4 == 3) world.revert("s" + std::to_string(i - 2));
      }
      while (!world.kept().empty()) world.remove(any_of(world, rng));
      CHECK(world.image().snapshots().empty());
      world.reopen();
      world.expect_all();
      uint64_t& most = round < 4 ? early : late;
      most = std::max<uint64_t>(most, world.file().size());
    }
    CHECK(late <= early * 3 / 2);
  }
}

TEST_CASE("a branch point stays while two are based on it, is nameless, and goes with the last but one") {
  World world(option_sets()[0]);
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
  World world(option_sets()[0]);
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
