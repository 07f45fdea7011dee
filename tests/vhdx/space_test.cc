// Who owns which place in the file, where it is easily got wrong: across sessions, beside what is damaged, at the file's end.
#include "support/image_kit.h"
#include "support/pattern.h"
#include "support/storages.h"
#include "vhdx/builder.h"

namespace varve::test {
namespace {

CheckReport repair_all(Image& image) { return image.check({.data = false, .repair = Repair::all, .progress = {}, .cancel = nullptr}); }

/// A child with damage that a repair drops and that keeps nobody from writing: the state of a bitmap that no block needs.
VhdxSpec repairable(uint64_t size) {
  VhdxSpec spec(size);
  for (HeaderSpec& copy : spec.headers) copy.data_guid = kUnknown;
  spec.set_parent({{"parent_linkage", "{" + kDataGuid + "}"}, {"relative_path", "base.vhdx"}});
  spec.set_bitmap(0, 1);
  return spec;
}

TEST_CASE("MEM-19: a block that waits to be free when a repair ends the session is not given to two") {
  VhdxSpec spec = repairable(16 * kMiB);
  spec.file_size = 7 * kMiB;
  for (uint64_t block = 1; block < 4; ++block) spec.set_block(block, 6, (3 + block) * kMiB);
  World world(spec);
  world.add(VhdxSpec(16 * kMiB), "dir/base.vhdx");
  Image image = world.open(Access::read_write);
  image.discard(2 * kMiB, 2 * kMiB);
  CHECK(repair_all(image).repaired == 1);
  for (uint64_t block = 4; block < 12; ++block) {
    image.write_at(block * kMiB, pattern(block * kMiB, 1, kMiB));
    image.flush();
  }
  for (uint64_t block = 4; block < 12; ++block) CHECK(read_some(image, block * kMiB, kMiB) == pattern(block * kMiB, 1, kMiB));
  image.close();
  Image again = world.open();
  CHECK(damages(again) == "");
}

TEST_CASE("the old place of a table that moved holds blocks in a later session of the same image") {
  VhdxSpec spec = repairable(4 * kMiB);
  spec.file_size = 4 * kMiB;
  World world(spec);
  world.add(VhdxSpec(4 * kMiB), "dir/base.vhdx");
  Image image = world.open(Access::read_write);
  image.resize(200000 * kMiB);
  CHECK(repair_all(image).repaired == 1);
  for (uint64_t block = 0; block < 3; ++block) image.write_at(block * kMiB, pattern(block * kMiB, 1, kMiB));
  CHECK(read_some(image, 0, 3 * kMiB) == pattern(0, 1, 3 * kMiB));
}

TEST_CASE("MEM-18: new blocks and a table that moves keep off a region that lies behind the file's end") {
  VhdxSpec spec(64 * kMiB);
  spec.regions.push_back({kUnknown, 10 * kMiB, 3 * kMiB, 0});
  World world(spec);
  Image image = world.open(Access::read_write);
  image.write_at(0, pattern(0, 1, 16 * kMiB));
  CHECK(read_some(image, 0, 16 * kMiB) == pattern(0, 1, 16 * kMiB));
  image.close();
  Image again = world.open();
  CHECK(damages(again) == "");
  CHECK(read_some(again, 0, 16 * kMiB) == pattern(0, 1, 16 * kMiB));

  World moved(spec);
  Image grown = moved.open(Access::read_write);
  grown.resize(4000000 * kMiB);  // a table of 31 MiB
  grown.close();
  CHECK_NOTHROW(moved.open());
}

TEST_CASE("a block whose bitmap is missing keeps others from being written: a new bitmap would make the parent's data of it") {
  VhdxSpec base(4 * kMiB);
  VhdxSpec spec;
  for (HeaderSpec& copy : spec.headers) copy.data_guid = kUnknown;
  spec.set_parent({{"parent_linkage", "{" + kDataGuid + "}"}, {"relative_path", "base.vhdx"}});
  spec.set_block(1, 7, 5 * kMiB);
  World world(spec);
  world.add(base, "dir/base.vhdx");
  const Bytes before = world.bytes();
  Image image = world.open(Access::read_write);
  CHECK_ERRC(image.write_at(0, filled(1, 1)), Errc::corrupt);
  CHECK_ERRC(read_some(image, kMiB, 512), Errc::corrupt);
  CHECK(world.bytes() == before);
  CHECK(repair_all(image).repaired == 1);
  CHECK_NOTHROW(image.write_at(0, filled(1, 1)));
}

TEST_CASE("MEM-19: a partially present block without a parent: what lies where a bitmap might be is not changed") {
  for (const bool whole : {false, true}) {
    VhdxSpec spec;
    spec.set_block(1, 7, 5 * kMiB);
    spec.set_bitmap(0, 6, 6 * kMiB);  // in a disk of its own this means nothing: the place is block 2's
    spec.set_block(2, 6, 6 * kMiB);
    World world(spec);
    const Bytes before = world.bytes();
    Image image = world.open(Access::read_write);
    CHECK_ERRC(image.zero(kMiB, whole ? kMiB : 512), Errc::corrupt);
    image.abort();
    CHECK(world.bytes() == before);
  }
}

TEST_CASE("MEM-19: a last block that was cut short and a region behind the file's end share a place: check says what writing says") {
  VhdxSpec spec(8 * kMiB + 512, 4 * kMiB);
  spec.set_block(2, 6, 4 * kMiB);
  spec.file_size = 4 * kMiB + 512;
  spec.regions.push_back({kUnknown, 6 * kMiB, kMiB, 0});
  World world(spec);
  Image image = world.open(Access::read_write);
  CHECK_ERRC(image.write_at(0, filled(1, 1)), Errc::corrupt);
  CHECK(repair_all(image).repaired == 1);
  CHECK_NOTHROW(image.write_at(0, filled(1, 1)));
}

/// As a block device: its size is what it is.
class Device final : public PassingStorage {
 public:
  using PassingStorage::PassingStorage;
  void resize(uint64_t) override { throw Error(Errc::unsupported, "a block device cannot be resized").in(name()); }
  StorageLimits limits() const override {
    StorageLimits limits = below_->limits();
    limits.fixed_size = true;
    return limits;
  }
};

Image open_device(const std::shared_ptr<MemoryStorage>& medium) {
  OpenOptions how;
  how.access = Access::read_write;
  how.format = "vhdx";
  return Image::open(std::make_shared<Device>(medium), how);
}

TEST_CASE("on a block device free places are used, also if it ends within a MiB, and closing does not cut it") {
  VhdxSpec spec;
  spec.file_size = 8 * kMiB + 512;
  spec.set_block(0, 6, 4 * kMiB);
  const auto medium = spec.build();
  Image image = open_device(medium);
  for (uint64_t block = 1; block < 4; ++block) image.write_at(block * kMiB, filled(kMiB, 7));
  image.flush();
  image.discard(0, 4 * kMiB);
  CHECK_NOTHROW(image.close());
  Image again = open_device(medium);
  CHECK(damages(again) == "");
  CHECK(read_all(again) == Bytes(4 * kMiB));
}

TEST_CASE("on a block device that ends within a MiB a log is replayed") {
  VhdxSpec spec;
  spec.file_size = 8 * kMiB + 512;
  const auto medium = spec.build();
  {
    Image image = open_device(medium);
    image.write_at(0, filled(kMiB, 7));
    image.flush();
    image.abort();
  }
  Image again = open_device(medium);
  CHECK(read_some(again, 0, kMiB) == filled(kMiB, 7));
}

TEST_CASE("RES-5: discarding, zeroing and checking a disk of a million blocks costs each of them once") {
  VhdxSpec spec(uint64_t{1} << 40);
  spec.regions = {{kBat, 4 * kMiB, 9 * kMiB}, {kMetadata, 2 * kMiB}};
  spec.file_size = 14 * kMiB;
  Bytes table(9 * kMiB);
  for (uint64_t entry = 0; entry < table.size() / 8; ++entry) put(table, 8 * entry, 3, 8);  // unmapped
  spec.data[4 * kMiB] = table;
  World world(spec);
  Image image = world.open(Access::read_write);
  image.discard(0, image.size());
  CHECK(image.check({.data = true, .repair = Repair::none, .progress = {}, .cancel = nullptr}).clean());
}

TEST_CASE("what was given up a moment ago is no leak") {
  World world{VhdxSpec()};
  Image image = world.open(Access::read_write);
  image.write_at(0, filled(3 * kMiB, 1));
  image.flush();
  image.discard(kMiB, kMiB);
  CHECK(describe(image.check({})) == "");
}

TEST_CASE("blocks that are given up and written again and again without a flush do not fill the host") {
  World world{VhdxSpec()};
  Image image = world.open(Access::read_write);
  for (unsigned round = 0; round < 2000; ++round) {
    image.zero(0, kMiB);
    image.write_at(0, filled(512, round % 256));
  }
  CHECK(world.files.find(World::kPath)->size() < kGiB);
  CHECK(read_some(image, 0, 512) == filled(512, 1999 % 256));
  image.close();
  Image again = world.open();
  CHECK(damages(again) == "");
}

TEST_CASE("a block in a state that does not exist is not made zero by zeroing it, in part or whole, but by a repair") {
  VhdxSpec spec;
  spec.set_block(1, 4);
  World world(spec);
  Image image = world.open(Access::read_write);
  CHECK_ERRC(image.zero(kMiB, 512), Errc::corrupt);
  CHECK_ERRC(image.zero(kMiB, kMiB), Errc::corrupt);
  CHECK_ERRC(read_some(image, kMiB, 512), Errc::corrupt);
  CHECK(repair_all(image).repaired == 1);
  CHECK(read_some(image, kMiB, 512) == Bytes(512));
  CHECK_NOTHROW(image.zero(kMiB, 512));
}

TEST_CASE("a new image is sound before it is closed, too") {
  World world;
  CreateOptions how;
  how.file_system = &world.files;
  Image image = Image::create(World::kPath, "vhdx", 4 * kMiB, how);
  image.write_at(0, filled(512, 1));
  CHECK(damages(image) == "");
}

}  // namespace
}  // namespace varve::test
