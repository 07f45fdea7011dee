#include "crash/vhdx_layouts.h"

#include <utility>

#include "support/bytes.h"
#include "vhdx/builder.h"

namespace varve::test {
namespace {

constexpr uint64_t kBlock = kMiB;
constexpr uint64_t kSeen = 3 * kBlock;
/// What a region of 1 MiB has entries for: of a child every 4096 blocks, which are a chunk, take one more.
constexpr uint64_t kBlocksOfTable = kMiB / 8;
constexpr uint64_t kBlocksOfChildTable = kMiB / 8 / 4097 * 4096;

Layout layout(const char* name, uint64_t size, OptionMap options = {}, std::optional<uint64_t> parent = std::nullopt) {
  const bool large_sectors = options.contains("logical_sector_size");
  options.emplace("block_size", "1M");
  Layout made;
  made.config = {name, "vhdx", std::move(options), size, parent, large_sectors ? uint64_t{4096} : uint64_t{512}};
  made.block = kBlock;
  return made;
}

const OptionMap kLargeSectors = {{"logical_sector_size", "4096"}};
const OptionMap kFixed = {{"subformat", "fixed"}};

/// Makes the region of the table as small as one can be: 1 MiB.
void shrink_table_region(TestDisk& disk) {
  const auto file = disk.files().find(TestDisk::kPath);
  for (const uint64_t at : {192 * kKiB, 256 * kKiB}) {
    Bytes table = read(*file, at, 64 * kKiB);
    for (uint64_t entry = 16; entry < 16 + 2 * 32; entry += 32)
      if (get_guid(table, entry) == kBat) put(table, entry + 24, kMiB, 4);
    seal(table, 0, table.size());
    file->write_at(at, table);
  }
}

/// The model knows the disk that is created, and it stays that small.
template <uint64_t Blocks>
void fill_table(TestDisk& disk) {
  shrink_table_region(disk);
  Image image = disk.open();
  image.resize(Blocks * kBlock - 512);
  image.close();
}

template <uint64_t At>
void flip_bit(TestDisk& disk) {
  const auto file = disk.files().find(TestDisk::kPath);
  Bytes byte = read(*file, At, 1);
  byte[0] ^= std::byte{1};
  file->write_at(At, byte);
}

}  // namespace

std::vector<Layout> vhdx_layouts_to_write() {
  const uint64_t size = 2 * kBlock + 5 * 512;
  const uint64_t large = 2 * kBlock + 3 * 4096;
  return {layout("dynamic", size),
          layout("dynamic, 4096-byte sectors", large, kLargeSectors),
          layout("fixed", size, kFixed),
          layout("differencing", size, {}, size),
          layout("differencing over a shorter parent", size, {}, kBlock + 512),
          layout("differencing, 4096-byte sectors, over a shorter parent", large, kLargeSectors, kBlock + 4096)};
}

std::vector<Layout> vhdx_layouts_to_grow() {
  const uint64_t size = kBlock + 5 * 512;
  return {layout("dynamic", size),
          layout("dynamic, 4096-byte sectors", kBlock + 3 * 4096, kLargeSectors),
          layout("fixed", size, kFixed),
          layout("differencing under a longer parent", size, {}, 3 * kBlock),
          layout("differencing under a longer parent, 4096-byte sectors", kBlock + 3 * 4096, kLargeSectors, 3 * kBlock),
          layout("differencing over a shorter parent", size, {}, 512 * 1024)};
}

std::vector<Layout> vhdx_layouts_with_full_tables() {
  std::vector<Layout> all = {layout("dynamic", kSeen), layout("differencing", kSeen, {}, kSeen)};
  all[0].prepare = fill_table<kBlocksOfTable>;
  all[1].prepare = fill_table<kBlocksOfChildTable>;
  for (Layout& one : all) one.seen = kSeen;
  return all;
}

std::vector<Layout> vhdx_layouts_to_repair() {
  std::vector<Layout> all;
  for (const auto& damage :
       {flip_bit<64 * kKiB + 4000>, flip_bit<128 * kKiB + 4000>, flip_bit<192 * kKiB + 60000>, flip_bit<256 * kKiB + 60000>}) {
    for (Layout one : vhdx_layouts_to_write()) {
      one.damage = damage;
      all.push_back(std::move(one));
    }
  }
  return all;
}

}  // namespace varve::test
