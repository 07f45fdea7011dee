// The region tables [MS-VHDX 2.2.3].
#include "vhdx/regions.h"

#include "support/seeds.h"
#include "support/storages.h"
#include "vhdx/builder.h"

namespace varve::test {
namespace {

const Interval kLog{kMiB, kMiB};

struct Tables {
  std::vector<RegionSpec> first = {{kBat, 3 * kMiB}, {kMetadata, 2 * kMiB}};
  std::optional<std::vector<RegionSpec>> second = std::nullopt;
  std::array<bool, 2> torn{};
  std::optional<uint32_t> count = std::nullopt;
  uint64_t file_size = 8 * kMiB;
};

vhdx::Regions read(const Tables& tables) {
  MemoryStorage file("regions");
  file.resize(tables.file_size);
  for (unsigned i = 0; i < 2; ++i) {
    Bytes table = region_table(i == 1 && tables.second ? *tables.second : tables.first, tables.count);
    if (tables.torn[i]) table[60000] ^= std::byte{1};
    file.write_at(64 * kKiB * (3 + i), table);
  }
  return vhdx::read_regions(file, kLog);
}

vhdx::Regions read(std::vector<RegionSpec> regions) { return read(Tables{.first = std::move(regions)}); }

TEST_CASE("a region table lies as the specification says, byte by byte") {
  const vhdx::Regions regions = read({{kBat, 0x300000, 0x200000, 1}, {kMetadata, 0x200000, 0x100000, 0}});
  REQUIRE(regions.all.size() == 2);
  CHECK(regions.bat() == vhdx::Region{vhdx::kBatRegion, 3 * kMiB, 2 * kMiB, true});
  CHECK(regions.metadata() == vhdx::Region{vhdx::kMetadataRegion, 2 * kMiB, kMiB, false});
  CHECK(vhdx::encode(regions.all) == region_table({{kBat, 0x300000, 0x200000, 1}, {kMetadata, 0x200000, 0x100000, 0}}));
}

TEST_CASE("either copy of the region table may be torn; both are corrupt") {
  const vhdx::Regions first_torn = read(Tables{.torn = {true, false}});
  CHECK(first_torn.faults[0] == "its checksum is wrong");
  CHECK(first_torn.faults[1].empty());
  CHECK(first_torn.bat().offset == 3 * kMiB);
  CHECK(read(Tables{.torn = {false, true}}).faults[1] == "its checksum is wrong");
  CHECK_ERRC(read(Tables{.torn = {true, true}}), Errc::corrupt);
}

TEST_CASE("a copy of the region table that the host can't read is as good as torn, but without the other the error is the host's") {
  for (const bool sticky : {false, true}) {
    auto file = std::make_shared<MemoryStorage>("regions");
    file->resize(8 * kMiB);
    for (const uint64_t at : {192 * kKiB, 256 * kKiB}) file->write_at(at, region_table({{kBat, 3 * kMiB}, {kMetadata, 2 * kMiB}}));
    FaultyStorage faulty(file, std::make_shared<FaultPlan>(0, FaultKind::io, sticky, Hit::read));
    if (sticky)
      CHECK_ERRC(vhdx::read_regions(faulty, kLog), Errc::io);
    else
      CHECK(vhdx::read_regions(faulty, kLog).bat().offset == 3 * kMiB);
  }
}

TEST_CASE("copies that differ: the first counts, and that they differ is known") {
  const vhdx::Regions regions = read(Tables{.second = {{{kBat, 5 * kMiB}, {kMetadata, 2 * kMiB}}}});
  CHECK(regions.copies_differ);
  CHECK(regions.bat().offset == 3 * kMiB);
  CHECK_FALSE(read(Tables{}).copies_differ);
}

TEST_CASE("MEM-17: regions overlap neither each other nor the log") {
  CHECK_ERRC(read({{kBat, 2 * kMiB}, {kMetadata, 2 * kMiB}}), Errc::corrupt);
  CHECK_ERRC(read({{kBat, 2 * kMiB, 2 * kMiB}, {kMetadata, 3 * kMiB}}), Errc::corrupt);
  CHECK_ERRC(read({{kBat, 3 * kMiB}, {kMetadata, 2 * kMiB, 2 * kMiB}}), Errc::corrupt);
  CHECK_ERRC(read({{kBat, 3 * kMiB}, {kMetadata, kMiB}}), Errc::corrupt);
  CHECK_ERRC(read({{kBat, 3 * kMiB}, {kMetadata, 2 * kMiB}, {kUnknown, 2 * kMiB, kMiB, 0}}), Errc::corrupt);
}

TEST_CASE("MEM-17: of random regions exactly those are taken that are disjoint by a plain comparison") {
  Rng rng("vhdx regions");
  SHOW_SEED(rng);
  for (uint64_t round = scaled(300); round > 0; --round) {
    std::vector<RegionSpec> regions = {{kBat}, {kMetadata}, {kUnknown, 0, 0, 0}};
    std::vector<Interval> taken = {kLog};
    bool disjoint = true;
    for (RegionSpec& region : regions) {
      region.offset = rng.between(1, 11) * kMiB;
      region.length = static_cast<uint32_t>(rng.between(1, 3) * kMiB);
      for (const Interval& other : taken)
        if (region.offset < other.end() && other.offset < region.offset + region.length) disjoint = false;
      taken.push_back({region.offset, region.length});
    }
    if (disjoint)
      CHECK_NOTHROW(read(Tables{.first = regions, .file_size = 16 * kMiB}));
    else
      CHECK_ERRC(read(Tables{.first = regions, .file_size = 16 * kMiB}), Errc::corrupt);
  }
}

TEST_CASE("MEM-3: a region consists of whole MiB behind the first, within the file") {
  for (const uint64_t offset : {uint64_t{0}, kMiB / 2, 3 * kMiB + 4096, 8 * kMiB, uint64_t{UINT64_MAX}, UINT64_MAX - kMiB + 1})
    CHECK_ERRC(read({{kBat, offset}, {kMetadata, 2 * kMiB}}), Errc::corrupt);
  for (const uint64_t length : {uint64_t{0}, uint64_t{4096}, kMiB + 1, 6 * kMiB, uint64_t{UINT32_MAX}, 4095 * kMiB})
    CHECK_ERRC(read({{kBat, 3 * kMiB, static_cast<uint32_t>(length)}, {kMetadata, 2 * kMiB}}), Errc::corrupt);
  CHECK_NOTHROW(read({{kBat, 3 * kMiB, 5 * kMiB}, {kMetadata, 2 * kMiB}}));
}

TEST_CASE("an unknown region is refused if it is required, else passed over, also one outside the file") {
  CHECK_ERRC(read({{kBat, 3 * kMiB}, {kMetadata, 2 * kMiB}, {kUnknown, 4 * kMiB, kMiB, 1}}), Errc::unsupported);
  CHECK(read({{kBat, 3 * kMiB}, {kMetadata, 2 * kMiB}, {kUnknown, 4 * kMiB, kMiB, 0}}).all.size() == 3);
  CHECK_NOTHROW(read({{kBat, 3 * kMiB}, {kMetadata, 2 * kMiB}, {kUnknown, 4 * kTiB, kMiB, 0}}));
  // One whose end overflows would be found by no comparison.
  CHECK_ERRC(read({{kBat, 3 * kMiB}, {kMetadata, 2 * kMiB}, {kUnknown, UINT64_MAX - kMiB + 1, 2 * kMiB, 0}}), Errc::corrupt);
}

TEST_CASE("table and metadata stand in the region table once each") {
  CHECK_ERRC(read({{kMetadata, 2 * kMiB}}), Errc::corrupt);
  CHECK_ERRC(read({{kBat, 3 * kMiB}}), Errc::corrupt);
  CHECK_ERRC(read(std::vector<RegionSpec>{}), Errc::corrupt);
  CHECK_ERRC(read({{kBat, 3 * kMiB}, {kMetadata, 2 * kMiB}, {kBat, 4 * kMiB}}), Errc::corrupt);
}

TEST_CASE("MEM-3: 2047 entries are taken, 2048 make a copy unusable") {
  std::vector<RegionSpec> regions = {{kBat, 3 * kMiB}, {kMetadata, 2 * kMiB}};
  while (regions.size() < 2047) regions.push_back({kUnknown, (8 + regions.size()) * kMiB, kMiB, 0});
  CHECK(read(regions).all.size() == 2047);
  for (const uint32_t count : {uint32_t{2048}, UINT32_MAX}) CHECK_ERRC(read(Tables{.count = count}), Errc::corrupt);
}

TEST_CASE("Required flags: bit 0 alone counts") {
  CHECK_FALSE(read({{kBat, 3 * kMiB, kMiB, 2}, {kMetadata, 2 * kMiB}}).bat().required);
  CHECK(read({{kBat, 3 * kMiB, kMiB, UINT32_MAX}, {kMetadata, 2 * kMiB}}).bat().required);
}

}  // namespace
}  // namespace varve::test
