// The arithmetic and the entries of the block allocation table [MS-VHDX 2.5].
#include "vhdx/block_map.h"

#include "vhdx/builder.h"

namespace varve::test {
namespace {

using vhdx::BatEntry;
using vhdx::BlockState;

vhdx::Metadata disk(uint64_t size, uint64_t block, uint64_t sector = 512, bool child = false) {
  vhdx::Metadata metadata;
  metadata.disk_size = size;
  metadata.block_size = block;
  metadata.logical_sector = sector;
  if (child) metadata.parent.emplace();
  return metadata;
}

TEST_CASE("a chunk has 2^23 sectors: the ratio for every block and sector size") {
  for (uint64_t block = kMiB; block <= 256 * kMiB; block *= 2) {
    CHECK(vhdx::Geometry(disk(kTiB, block, 512)).blocks_a_chunk == 4096 / (block / kMiB));
    CHECK(vhdx::Geometry(disk(kTiB, block, 4096)).blocks_a_chunk == 32768 / (block / kMiB));
  }
}

TEST_CASE("after each chunk comes a bitmap's entry: indexes by counting one by one") {
  for (const uint64_t block : {kMiB, 32 * kMiB, 256 * kMiB}) {
    for (const uint64_t sector : {512, 4096}) {
      const vhdx::Geometry geometry(disk(64 * kTiB, block, sector));
      uint64_t index = 0;
      uint64_t payload = 0;
      for (uint64_t chunk = 0; chunk < 3; ++chunk) {
        for (uint64_t i = 0; i < geometry.blocks_a_chunk; ++i) REQUIRE(geometry.payload_index(payload++) == index++);
        CHECK(geometry.bitmap_index(chunk) == index++);
      }
    }
  }
}

TEST_CASE("MEM-8: how many entries the table has, fixed and dynamic, and differencing") {
  struct Row {
    uint64_t size, block, sector, blocks, plain, child;
  };
  for (const Row& row : std::vector<Row>{{512, kMiB, 512, 1, 1, 4097},
                                         {kMiB + 512, kMiB, 512, 2, 2, 4097},
                                         {4 * kGiB, kMiB, 512, 4096, 4096, 4097},
                                         {4 * kGiB + 512, kMiB, 512, 4097, 4098, 8194},
                                         {8 * kGiB, kMiB, 512, 8192, 8193, 8194},
                                         {32 * kGiB, 256 * kMiB, 4096, 128, 128, 129},
                                         {64 * kTiB, kMiB, 512, 67108864, 67125247, 67125248},
                                         {64 * kTiB, 256 * kMiB, 4096, 262144, 264191, 264192}}) {
    const vhdx::Geometry plain(disk(row.size, row.block, row.sector));
    CHECK(plain.blocks() == row.blocks);
    CHECK(plain.entries() == row.plain);
    CHECK(vhdx::Geometry(disk(row.size, row.block, row.sector, true)).entries() == row.child);
  }
  const vhdx::Geometry cut(disk(3 * kMiB + 512, 2 * kMiB));
  CHECK(cut.bytes_of_block(0) == 2 * kMiB);
  CHECK(cut.bytes_of_block(1) == kMiB + 512);
}

TEST_CASE("an entry: 3 bits of state, 17 reserved, 44 of offset in MiB") {
  const BatEntry entry = vhdx::unpack(0x123456789ab00006);
  CHECK(entry.state == BlockState::fully_present);
  CHECK(entry.offset == 0x123456789ab00000);
  CHECK(entry.reserved == 0);
  CHECK(vhdx::unpack(0xffff8).reserved == 0xffff8);
  CHECK(vhdx::unpack(0xffff8).offset == 0);
  CHECK(vhdx::unpack(0x100000).offset == kMiB);
  for (unsigned state = 0; state < 8; ++state) {
    const BatEntry one = vhdx::unpack(state);
    CHECK(static_cast<unsigned>(one.state) == state);
    CHECK(one.has_place() == (state >= 6));
    CHECK(vhdx::pack({one.state, 7 * kMiB}) == (7 * kMiB | state));
  }
}

TEST_CASE("MEM-24: offsets above 4 GiB and 2 TiB, to the last that an entry can say, keep all their bits") {
  for (const uint64_t offset : {4 * kGiB, 4 * kGiB + kMiB, 2 * kTiB + kMiB, 64 * kTiB + 5 * kMiB, uint64_t{0xfffffffffff} << 20}) {
    CHECK(vhdx::unpack(offset | 6).offset == offset);
    CHECK(vhdx::unpack(vhdx::pack({BlockState::partially_present, offset})).offset == offset);
  }
}

/// A table of 1 MiB at 1 MiB of a file.
struct Table {
  explicit Table(const vhdx::Metadata& metadata)
      : file(std::make_shared<MemoryStorage>("table")),
        pages(file, kMiB),
        map((file->resize(2 * kMiB), pages), vhdx::Geometry(metadata), kRegion) {}
  static inline const vhdx::Region kRegion{vhdx::kBatRegion, kMiB, kMiB};

  void raw(uint64_t index, uint64_t value) { file->write_at(kMiB + 8 * index, number(value, 8)); }

  std::shared_ptr<MemoryStorage> file;
  vhdx::PageCache pages;
  vhdx::BlockMap map;
};

TEST_CASE("MEM-8: a table larger than its region is corrupt; one that just fits is taken") {
  // 131072 entries in 1 MiB; 131040 blocks of 1 MiB have 31 bitmaps' entries between them.
  const auto fits = [](const vhdx::Metadata& metadata) { vhdx::require_room(vhdx::Geometry(metadata), Table::kRegion); };
  CHECK_NOTHROW(fits(disk(131041 * kMiB, kMiB)));
  CHECK_ERRC(fits(disk(131042 * kMiB, kMiB)), Errc::corrupt);
  CHECK_ERRC(fits(disk(64 * kTiB, kMiB)), Errc::corrupt);
  CHECK_NOTHROW(fits(disk(31 * 4 * kGiB, kMiB, 512, true)));
  CHECK_ERRC(fits(disk(31 * 4 * kGiB + 512, kMiB, 512, true)), Errc::corrupt);
}

TEST_CASE("a run is of one state without places, or of blocks side by side, over bitmaps' entries and pages") {
  Table table(disk(10000 * kMiB, kMiB));
  for (uint64_t i = 100; i < 5000; ++i) table.raw(i + i / 4096, (8 + i) * kMiB | 6);
  table.raw(4096, 0xdeadbeef00000007);  // a bitmap's entry is no block's
  table.raw(5000 + 1, 8 * kMiB | 6);
  table.raw(5001 + 1, 2);
  CHECK(table.map.run_at(0, 10000).blocks == 100);
  CHECK(table.map.run_at(0, 7).blocks == 7);
  const auto run = table.map.run_at(100, 10000);
  CHECK(run.blocks == 4900);
  CHECK(run.entry.offset == 108 * kMiB);
  CHECK(table.map.run_at(5000, 10000).blocks == 1);
  CHECK(table.map.run_at(5001, 10000).blocks == 1);
  CHECK(table.map.run_at(5002, 100000).blocks == 10000 - 5002);
}

TEST_CASE("a partially present block is a run of its own") {
  Table table(disk(100 * kMiB, kMiB, 512, true));
  for (uint64_t i = 0; i < 3; ++i) table.raw(i, (8 + i) * kMiB | 7);
  CHECK(table.map.run_at(0, 100).blocks == 1);
  CHECK(table.map.run_at(2, 100).blocks == 1);
}

TEST_CASE("setting an entry changes that one and nothing beside it") {
  Table table(disk(10000 * kMiB, kMiB, 512, true));
  table.raw(4095, 0x1111);
  table.raw(4097, 0x2222);
  table.map.set_bitmap(0, {BlockState::fully_present, 2 * kTiB});
  CHECK(table.map.bitmap(0).offset == 2 * kTiB);
  for (const auto& item : table.pages.take().pages) table.file->write_at(item.offset, *item.page);
  CHECK(get(table.file->contents(), kMiB + 8 * 4095, 8) == 0x1111);
  CHECK(get(table.file->contents(), kMiB + 8 * 4096, 8) == (2 * kTiB | 6));
  CHECK(get(table.file->contents(), kMiB + 8 * 4097, 8) == 0x2222);
}

}  // namespace
}  // namespace varve::test
