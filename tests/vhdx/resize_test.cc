// Growing and shrinking.
#include "support/image_kit.h"
#include "support/pattern.h"
#include "support/seeds.h"
#include "support/shadow_disk.h"
#include "support/storages.h"
#include "vhdx/builder.h"

namespace varve::test {
namespace {

Bytes zeros(uint64_t length) { return Bytes(length); }

/// Whatever was done, the file opens, is sound and has the model's contents.
void require_same(World& world, const ShadowDisk& model) {
  Image image = world.open();
  REQUIRE(image.size() == model.size());
  CHECK(model.difference(image) == "");
  CHECK(damages(image) == "");
}

TEST_CASE("growth shows zeros, and shrinking followed by growth does too, within a block and over blocks") {
  VhdxSpec spec(4 * kMiB);
  for (uint64_t block = 0; block < 4; ++block) spec.set_block(block, 6, (4 + block) * kMiB);
  spec.data[4 * kMiB] = pattern(0, 1, 4 * kMiB);
  World world(spec);
  ShadowDisk model(4 * kMiB);
  model.write(0, pattern(0, 1, 4 * kMiB));
  for (const uint64_t size : {5 * kMiB, 2 * kMiB + 512, 2 * kMiB + 1024, 9 * kMiB, uint64_t{512}, 4 * kMiB, 3 * kMiB, 4 * kMiB}) {
    INFO("size " << size);
    Image image = world.open(Access::read_write);
    image.resize(size);
    model.resize(size);
    CHECK(model.difference(image) == "");
    image.write_at(size - 512, filled(512, 7));
    model.write(size - 512, filled(512, 7));
    image.close();
    require_same(world, model);
  }
}

TEST_CASE("sizes that a VHDX can't have are refused, and the image stays as it was") {
  World world{VhdxSpec(4 * kMiB, kMiB, 4096)};
  Image image = world.open(Access::read_write);
  for (const uint64_t size : {uint64_t{0}, uint64_t{512}, 5 * kMiB + 512}) CHECK_ERRC(image.resize(size), Errc::invalid_argument);
  CHECK_ERRC(image.resize(64 * kTiB + 4096), Errc::limit);
  CHECK(image.size() == 4 * kMiB);
}

TEST_CASE("growth beyond the table's region moves the table, in both copies of the region table, and the old place is used again") {
  VhdxSpec spec(4 * kMiB);
  spec.set_block(0, 6, 4 * kMiB);
  spec.data[4 * kMiB] = pattern(0, 1, kMiB);
  World world(spec);
  Image image = world.open(Access::read_write);
  image.resize(200000 * kMiB);
  CHECK(read_some(image, 0, kMiB) == pattern(0, 1, kMiB));
  image.write_at(199999 * kMiB, filled(512, 5));
  image.close();
  const Bytes file = world.bytes();
  for (const uint64_t at : {192 * kKiB, 256 * kKiB}) {
    const Bytes copy(file.begin() + static_cast<ptrdiff_t>(at), file.begin() + static_cast<ptrdiff_t>(at + 64 * kKiB));
    CHECK(get(copy, 16 + 16, 8) != VhdxSpec::kBatAt);
    CHECK(get(copy, 16 + 24, 4) == 2 * kMiB);
    CHECK(region_table({{kBat, get(copy, 32, 8), static_cast<uint32_t>(2 * kMiB)}, {kMetadata, 2 * kMiB}}) == copy);
  }
  Image again = world.open(Access::read_write);
  CHECK(damages(again) == "");
  CHECK(read_some(again, 199999 * kMiB, 512) == filled(512, 5));
  CHECK(read_some(again, 0, kMiB) == pattern(0, 1, kMiB));
  const uint64_t size = world.files.find(World::kPath)->size();
  again.write_at(kMiB, filled(1, 1));
  again.flush();
  CHECK(world.files.find(World::kPath)->size() == size);
}

TEST_CASE("moving the table keeps regions that nobody knows, also where the region table has hundreds of them or more behind them") {
  for (const size_t count : {size_t{3}, size_t{200}, size_t{2047}}) {
    INFO(count << " regions");
    VhdxSpec spec(4 * kMiB);
    while (spec.regions.size() < count) spec.regions.push_back({kUnknown, (100 + spec.regions.size()) * kMiB, kMiB, 0});
    World world(spec);
    Image image = world.open(Access::read_write);
    image.resize(200000 * kMiB);
    image.close();
    Image again = world.open();
    CHECK(again.size() == 200000 * kMiB);
    CHECK(damages(again) == "");
  }
  VhdxSpec spec(4 * kMiB);
  World world(spec);
  // The reserved part of the table holds something, in both copies.
  Bytes table = region_table(spec.regions);
  table[50000] = std::byte{1};
  seal(table, 0, table.size());
  for (const uint64_t at : {192 * kKiB, 256 * kKiB}) world.files.find(World::kPath)->write_at(at, table);
  Image image = world.open(Access::read_write);
  image.resize(200000 * kMiB);
  image.close();
  CHECK_NOTHROW(world.open());
}

TEST_CASE("moving the table mends a torn copy of the region table") {
  VhdxSpec spec(4 * kMiB);
  spec.torn_regions[0] = true;
  World world(spec);
  Image image = world.open(Access::read_write);
  image.resize(200000 * kMiB);
  CHECK(damages(image, false) == "");
  image.close();
  Image again = world.open();
  CHECK(damages(again, false) == "");
}

TEST_CASE("a fixed disk grows by blocks that are fully present, and shrinks") {
  MemoryFileSystem files;
  create_image(files, World::kPath, "vhdx", 3 * kMiB + 512, {{"subformat", "fixed"}, {"block_size", "1M"}});
  World world;
  world.files.add(World::kPath, files.find(World::kPath));
  ShadowDisk model(3 * kMiB + 512);
  for (const uint64_t size : {6 * kMiB + 1024, 2 * kMiB, 5 * kMiB}) {
    Image image = world.open(Access::read_write);
    image.write_at(0, pattern(0, size, image.size()));
    model.write(0, pattern(0, size, image.size()));
    image.resize(size);
    model.resize(size);
    CHECK(model.difference(image) == "");
    CHECK(image.extent_at(size - 512).kind == ExtentKind::data);
    image.close();
    require_same(world, model);
  }
}

TEST_CASE("WRT-8: a differencing disk that grows, or shrinks and grows, over a longer parent shows zeros") {
  for (const char* sector : {"512", "4096"}) {
    World world;
    create_image(world.files, "dir/base.vhdx", "vhdx", 8 * kMiB, {{"block_size", "2M"}, {"logical_sector_size", sector}});
    {
      Image base = world.open(Access::read_write, "dir/base.vhdx");
      base.write_at(0, pattern(0, 1, 8 * kMiB));
      base.close();
    }
    CreateOptions how;
    how.file_system = &world.files;
    how.parent = "base.vhdx";
    how.options = {{"block_size", "1M"}, {"logical_sector_size", sector}};
    Image::create(World::kPath, "vhdx", 3 * kMiB + 4096, how).close();
    ShadowDisk model(3 * kMiB + 4096);
    model.write(0, pattern(0, 1, 3 * kMiB + 4096));
    for (const uint64_t size : {5 * kMiB + 8192, 4 * kMiB, kMiB + 4096, 2 * kMiB, 12 * kMiB, 5 * kMiB}) {
      INFO("size " << size << ", sectors of " << sector);
      Image image = world.open(Access::read_write);
      image.resize(size);
      model.resize(size);
      CHECK(model.difference(image) == "");
      image.write_at(size - 700, filled(500, 9));
      model.write(size - 700, filled(500, 9));
      image.close();
      require_same(world, model);
    }
  }
}

TEST_CASE("growth over a last block that the file cut short: the rest of it is zeros") {
  VhdxSpec spec(2 * kMiB + 512, 2 * kMiB);
  spec.set_block(1, 6, 4 * kMiB);
  spec.data[4 * kMiB] = pattern(2 * kMiB, 1, 512);
  spec.file_size = 4 * kMiB + 512;
  World world(spec);
  Image image = world.open(Access::read_write);
  image.resize(6 * kMiB);
  CHECK(read_some(image, 2 * kMiB, 512) == pattern(2 * kMiB, 1, 512));
  CHECK(read_some(image, 2 * kMiB + 512, 3 * kMiB) == zeros(3 * kMiB));
  image.close();
  Image again = world.open();
  CHECK(damages(again) == "");
}

TEST_CASE("the size in the metadata and the entries behind the end: after shrinking nothing is left in the table") {
  VhdxSpec spec(8 * kMiB);
  for (uint64_t block = 0; block < 4; ++block) spec.set_block(block + 4, 6, (4 + block) * kMiB);
  World world(spec);
  Image image = world.open(Access::read_write);
  image.resize(5 * kMiB);
  image.close();
  const Bytes file = world.bytes();
  CHECK(get(file, VhdxSpec::kMetadataAt + 64 * kKiB + 8, 8) == 5 * kMiB);
  CHECK(get(file, VhdxSpec::kBatAt + 8 * 4, 8) == (4 * kMiB | 6));
  for (uint64_t block = 5; block < 8; ++block) CHECK(get(file, VhdxSpec::kBatAt + 8 * block, 8) == 0);
  CHECK(file.size() == 5 * kMiB);
}

TEST_CASE("a growth that fails leaves the old size or the new one, also where the size lies on two pages of which one can't be read") {
  VhdxSpec spec(4 * kMiB);
  spec.item(kDiskSize).offset = static_cast<uint32_t>(128 * kKiB - 4);
  spec.set_block(0, 6, 4 * kMiB);
  constexpr uint64_t kGrown = 4 * kGiB + 8 * kMiB;  // both halves change
  for (uint64_t read = 0;; ++read) {
    INFO("read " << read);
    World world(spec);
    const auto plan = std::make_shared<FaultPlan>(read, FaultKind::io, false, Hit::read);
    FaultyFileSystem faulty(world.files, plan);
    OpenOptions how;
    how.access = Access::read_write;
    how.format = "vhdx";
    how.file_system = &faulty;
    uint64_t size = 4 * kMiB;
    try {
      Image image = Image::open(World::kPath, how);
      try {
        image.resize(kGrown);
      } catch (const Error& error) {
        CHECK(error.code() == Errc::io);
      }
      size = image.size();
      image.write_at(0, filled(512, 1));
      image.close();
    } catch (const Error& error) {
      CHECK(error.code() == Errc::io);
    }
    Image again = world.open();
    CHECK(again.size() == size);
    CHECK(damages(again) == "");
    if (!plan->struck()) break;
  }
}

TEST_CASE("a repair ends its session; the growth behind it begins another, whose log starts anew, and moves the table") {
  VhdxSpec spec(4 * kMiB);
  spec.set_block(3, 7, 4 * kMiB);
  World world(spec);
  Image image = world.open(Access::read_write);
  CHECK_ERRC(image.resize(200000 * kMiB), Errc::corrupt);
  image.check({.data = false, .repair = Repair::all, .progress = {}, .cancel = nullptr});
  image.resize(200000 * kMiB);
  image.write_at(0, filled(1, 1));
  const Bytes file = world.bytes();
  CHECK(get_guid(file, 64 * kKiB + 48) == get_guid(file, kMiB + 32));
  CHECK(get(file, kMiB + 16, 8) == 1);
  CHECK(get(file, kMiB + 64 + 16, 8) == VhdxSpec::kMetadataAt);
}

}  // namespace
}  // namespace varve::test
