// Disks over parents: hand-made ones with bitmaps, and chains of three against a model.
#include "support/image_kit.h"
#include "support/pattern.h"
#include "support/seeds.h"
#include "support/shadow_disk.h"
#include "vhdx/builder.h"

namespace varve::test {
namespace {

const Pairs kLink = {{"parent_linkage", "{" + kDataGuid + "}"}, {"relative_path", ".\\base.vhdx"}};

/// All of the disk is of one generation.
VhdxSpec parent(uint64_t generation, uint64_t sector = 512) {
  VhdxSpec spec(4 * kMiB, kMiB, sector);
  for (uint64_t block = 0; block < 4; ++block) spec.set_block(block, 6, (4 + block) * kMiB);
  spec.data[4 * kMiB] = pattern(0, generation, 4 * kMiB);
  return spec;
}

/// Block 1 is here in part: at 5 MiB, its bitmap at 4 MiB says which sectors.
VhdxSpec child(const Bytes& bitmap, uint64_t sector = 512) {
  VhdxSpec spec(4 * kMiB, kMiB, sector);
  spec.headers[0].data_guid = spec.headers[1].data_guid = kUnknown;
  spec.set_parent(kLink);
  spec.set_bitmap(0, 6, 4 * kMiB);
  spec.set_block(1, 7, 5 * kMiB);
  // Of the chunk's sectors those of block 1.
  spec.data[4 * kMiB + kMiB / sector / 8] = bitmap;
  spec.data[5 * kMiB] = pattern(kMiB, 2, kMiB);
  return spec;
}

TEST_CASE("sectors of a partially present block come from here or from the parent, by the bitmap, at 512 and 4096 bytes") {
  for (const uint64_t sector : {512, 4096}) {
    Rng rng("vhdx bitmap");
    SHOW_SEED(rng);
    Bytes bitmap(kMiB / sector / 8);
    for (std::byte& bits : bitmap)
      bits = rng.one_in(3) ? std::byte{0} : rng.one_in(2) ? std::byte{0xff} : static_cast<std::byte>(rng.below(256));
    Bytes disk = pattern(0, 1, 4 * kMiB);
    for (uint64_t i = 0; i < kMiB / sector; ++i) {
      const uint64_t at = kMiB + i * sector;
      if ((std::to_integer<unsigned>(bitmap[i / 8]) >> (i % 8) & 1) != 0) fill_pattern(at, 2, MutableBytes(disk).subspan(at, sector));
    }
    World world;
    world.add(parent(1, sector), "dir/base.vhdx");
    world.add(child(bitmap, sector));
    Image image = world.open();
    CHECK(read_all(image) == disk);
    CHECK(damages(image) == "");
    for (int i = 0; i < 200; ++i) {
      const uint64_t offset = kMiB - 5000 + rng.below(kMiB);
      const uint64_t length = 1 + rng.below(9000);
      REQUIRE(read_some(image, offset, length) ==
              Bytes(disk.begin() + static_cast<ptrdiff_t>(offset), disk.begin() + static_cast<ptrdiff_t>(offset + length)));
    }
  }
}

TEST_CASE("not present reads the parent; zero, undefined and unmapped hide it") {
  for (const unsigned state : {0U, 1U, 2U, 3U, 5U}) {
    INFO("state " << state);
    VhdxSpec spec = child(filled(256, 0xff));
    spec.set_block(2, state);
    World world;
    world.add(parent(1), "dir/base.vhdx");
    world.add(spec);
    Image image = world.open();
    CHECK(read_some(image, 2 * kMiB, kMiB) == (state == 0 ? pattern(2 * kMiB, 1, kMiB) : Bytes(kMiB)));
    CHECK(image.extent_at(2 * kMiB).depth == (state == 0 ? 1 : 0));
  }
}

TEST_CASE("a partially present block without its bitmap, or with one where none can be, is corrupt, and check says so") {
  for (const uint64_t entry :
       {uint64_t{0}, 4 * kMiB | 7, 4 * kMiB | 2, uint64_t{6}, kMiB | 6, VhdxSpec::kBatAt | 6, 8 * kMiB | 6, kTiB | 6}) {
    INFO("entry " << entry);
    VhdxSpec spec = child(filled(256, 0xff));
    spec.set_bitmap(0, static_cast<unsigned>(entry & 7), entry & ~uint64_t{7});
    World world;
    world.add(parent(1), "dir/base.vhdx");
    world.add(spec);
    Image image = world.open();
    CHECK(read_some(image, 0, kMiB) == pattern(0, 1, kMiB));
    CHECK_ERRC(read_some(image, kMiB, 512), Errc::corrupt);
    CHECK_ERRC(image.extent_at(kMiB), Errc::corrupt);
    CHECK(damages(image) != "");
  }
}

TEST_CASE("WRT-12: a parent whose DataWriteGuid is another one is refused, and both GUIDs are named") {
  VhdxSpec changed = parent(1);
  for (HeaderSpec& header : changed.headers) header.data_guid = kLogGuid;
  World world;
  world.add(changed, "dir/base.vhdx");
  world.add(child(filled(256, 0xff)));
  try {
    world.open();
    FAIL("a changed parent was taken");
  } catch (const Error& error) {
    CHECK(error.code() == Errc::corrupt);
    CHECK(std::string(error.what()).find(kLogGuid) != std::string::npos);
    CHECK(std::string(error.what()).find(kDataGuid) != std::string::npos);
  }
  world.files.remove("dir/base.vhdx");
  CHECK_ERRC(world.open(), Errc::not_found);
}

TEST_CASE("a parent that parent_linkage2 names is accepted") {
  VhdxSpec changed = parent(1);
  for (HeaderSpec& header : changed.headers) header.data_guid = kLogGuid;
  VhdxSpec spec = child(filled(256, 0));
  Pairs link = kLink;
  link.emplace_back("parent_linkage2", "{" + kLogGuid + "}");
  spec.set_parent(link);
  World world;
  world.add(changed, "dir/base.vhdx");
  world.add(spec);
  Image image = world.open();
  CHECK(read_all(image) == pattern(0, 1, 4 * kMiB));
}

TEST_CASE("the parent is found by the second name if the first one is not there") {
  VhdxSpec spec = child(filled(256, 0));
  spec.set_parent({{"parent_linkage", "{" + kDataGuid + "}"}, {"relative_path", "moved\\base.vhdx"}, {"absolute_win32_path", "base.vhdx"}});
  World world;
  world.add(parent(1), "dir/base.vhdx");
  world.add(spec);
  CHECK_NOTHROW(world.open());
}

TEST_CASE("a parent with a pending log is read as after replay, and stays untouched") {
  VhdxSpec below = parent(1);
  Bytes table(4096);
  put(table, 0, 7 * kMiB | 6, 8);  // block 0 is now what block 3 is
  below.set_log({{0, log_entry({.changes = {{VhdxSpec::kBatAt, table, 0}}})}});
  World world;
  world.add(below, "dir/base.vhdx");
  world.add(child(filled(256, 0)));
  const Bytes before = world.bytes("dir/base.vhdx");
  Image image = world.open(Access::read_write);
  CHECK(read_some(image, 0, kMiB) == pattern(3 * kMiB, 1, kMiB));
  image.write_at(0, filled(3, 3));
  image.close();
  CHECK(world.bytes("dir/base.vhdx") == before);
}

TEST_CASE("an unaligned write into what the parent has: of the sector the rest comes from there, and its bit is set") {
  for (const uint64_t sector : {512, 4096}) {
    World world;
    world.add(parent(1, sector), "dir/base.vhdx");
    world.add(child(filled(kMiB / sector / 8, 0), sector));
    Bytes disk = pattern(0, 1, 4 * kMiB);
    Image image = world.open(Access::read_write);
    for (const auto& [offset, length] : std::vector<std::pair<uint64_t, uint64_t>>{
             {kMiB + 100, 3}, {kMiB + sector * 5 + 1, 3 * sector}, {2 * kMiB - 1, 2}, {3 * kMiB, kMiB}}) {
      image.write_at(offset, filled(length, 0x77));
      std::fill_n(disk.begin() + static_cast<ptrdiff_t>(offset), length, std::byte{0x77});
    }
    image.close();
    Image again = world.open();
    CHECK(read_all(again) == disk);
    CHECK(damages(again) == "");
    const Bytes file = world.bytes();
    CHECK(get(file, VhdxSpec::kBatAt + 8 * 3, 8) % 8 == 6);  // written as a whole
    CHECK(get(file, VhdxSpec::kBatAt + 8 * 2, 8) % 8 == 7);
    CHECK(get(file, 4 * kMiB + kMiB / sector / 8, 1) == (1 | 0xe0));
  }
}

TEST_CASE("WRT-8: neither discarding nor zeroing, whole or in part, uncovers the parent") {
  World world;
  world.add(parent(1), "dir/base.vhdx");
  VhdxSpec spec = child(filled(256, 0xff));
  spec.set_block(2, 6, 6 * kMiB);
  spec.data[6 * kMiB] = pattern(2 * kMiB, 2, kMiB);
  world.add(spec);
  ShadowDisk model(4 * kMiB);
  model.write(0, pattern(0, 1, 4 * kMiB));
  model.write(kMiB, pattern(kMiB, 2, 2 * kMiB));
  Image image = world.open(Access::read_write);
  for (const auto& [offset, length] : std::vector<std::pair<uint64_t, uint64_t>>{{2 * kMiB, kMiB}, {kMiB, kMiB}, {0, 4 * kMiB}}) {
    image.discard(offset, length);
    Bytes now = read_some(image, offset, length);
    CHECK(model.settle_discard(offset, now) == std::nullopt);
  }
  for (const auto& [offset, length] :
       std::vector<std::pair<uint64_t, uint64_t>>{{512, 1024}, {kMiB - 512, 1024}, {3 * kMiB + 7, 100}, {3 * kMiB, kMiB}}) {
    image.zero(offset, length);
    model.zero(offset, length);
    CHECK(model.difference(image) == "");
  }
  image.close();
  Image again = world.open();
  CHECK(model.difference(again) == "");
  CHECK(damages(again) == "");
}

TEST_CASE("random work on the top of a chain of three, over parents of other sizes, against a model") {
  Rng rng("vhdx chain");
  SHOW_SEED(rng);
  for (const char* sector : {"512", "4096"}) {
    MemoryFileSystem files;
    ShadowDisk model(3 * kMiB + 4096);
    std::string below;
    for (int layer = 0; layer < 3; ++layer) {
      const std::string name = "layer" + std::to_string(layer) + ".vhdx";
      const uint64_t size = layer == 0 ? 3 * kMiB + 4096 : layer == 1 ? 2 * kMiB + 4096 : 4 * kMiB;
      CreateOptions how;
      how.file_system = &files;
      how.options = {{"block_size", layer == 1 ? "2M" : "1M"}, {"logical_sector_size", sector}};
      how.parent = below;
      Image::create("dir/" + name, "vhdx", size, how).close();
      model = layer == 0 ? ShadowDisk(size) : ShadowDisk(size, model);
      OpenOptions open;
      open.access = Access::read_write;
      open.format = "vhdx";
      open.file_system = &files;
      for (int session = 0; session < 4; ++session) {
        Image image = Image::open("dir/" + name, open);
        Workload work(image, model, rng);
        work.set_generation(static_cast<uint64_t>(100 * layer + 10 * session + 1));
        REQUIRE(work.run(60) == "");
        image.close();
      }
      open.access = Access::read_only;
      Image image = Image::open("dir/" + name, open);
      REQUIRE(model.difference(image) == "");
      REQUIRE(damages(image) == "");
      CHECK(image.chain().size() == static_cast<size_t>(layer) + 1);
      below = name;
    }
  }
}

}  // namespace
}  // namespace varve::test
