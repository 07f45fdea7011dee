// The metadata region: what the disk is [MS-VHDX 2.6].
#include "vhdx/metadata.h"

#include "vhdx/builder.h"

namespace varve::test {
namespace {

const vhdx::Region kRegion{vhdx::kMetadataRegion, VhdxSpec::kMetadataAt, kMiB};

vhdx::Metadata read(const VhdxSpec& spec, uint64_t* size_offset = nullptr, const Limits& limits = {}) {
  return vhdx::read_metadata(*spec.build(), kRegion, limits, size_offset);
}

const Pairs kLink = {{"parent_linkage", "{" + kDataGuid + "}"}, {"relative_path", ".\\base.vhdx"}};

TEST_CASE("metadata is read from where the specification says, and written there") {
  VhdxSpec spec(64 * kGiB, 32 * kMiB);
  uint64_t size_offset = 0;
  const vhdx::Metadata metadata = read(spec, &size_offset);
  CHECK(metadata.disk_size == 64 * kGiB);
  CHECK(metadata.block_size == 32 * kMiB);
  CHECK(metadata.logical_sector == 512);
  CHECK(metadata.physical_sector == 4096);
  CHECK_FALSE(metadata.fixed);
  CHECK_FALSE(metadata.parent);
  CHECK(format_uuid(metadata.disk_id) == "d15c0000-0000-4000-8000-000000000003");
  CHECK(size_offset == VhdxSpec::kMetadataAt + 64 * kKiB + 8);

  Bytes hand_made(kMiB);
  spec.build()->read_at(VhdxSpec::kMetadataAt, hand_made);
  CHECK(vhdx::encode(metadata) == hand_made);
}

TEST_CASE("a parent locator and the flags are written as the specification says") {
  VhdxSpec spec;
  spec.set_parent(kLink);
  const vhdx::Metadata metadata = read(spec);
  REQUIRE(metadata.parent);
  CHECK(metadata.parent->at("relative_path") == ".\\base.vhdx");
  const Bytes region = vhdx::encode(metadata);
  CHECK(get(region, 64 * kKiB + 4, 4) == 2);
  // The sixth entry: flags required only.
  CHECK(get_guid(region, 32 + 5 * 32) == kParentLocator);
  CHECK(get(region, 32 + 5 * 32 + 24, 4) == 4);
  CHECK(get(region, 32 + 24, 4) == 4);
  for (unsigned i = 1; i < 5; ++i) CHECK(get(region, 32 + i * 32 + 24, 4) == 6);
}

TEST_CASE("each mandatory item may not be missing, stand twice or have another length") {
  for (const std::string& id : {kFileParameters, kDiskSize, kDiskId, kLogicalSector, kPhysicalSector}) {
    INFO(id);
    VhdxSpec missing;
    missing.drop_item(id);
    CHECK_ERRC(read(missing), Errc::corrupt);
    VhdxSpec twice;
    twice.items.push_back(twice.item(id));
    CHECK_ERRC(read(twice), Errc::corrupt);
    for (const int more : {-1, 1}) {
      VhdxSpec other;
      other.item(id).length = static_cast<uint32_t>(other.item(id).value.size() + more);
      other.item(id).value.resize(other.item(id).value.size() + 1);
      CHECK_ERRC(read(other), Errc::corrupt);
    }
    VhdxSpec empty;
    empty.item(id).value.clear();
    CHECK_ERRC(read(empty), Errc::corrupt);
  }
}

TEST_CASE("an item of a user that bears a system item's name does not stand in for it") {
  VhdxSpec spec;
  spec.item(kDiskSize).flags |= 1;
  CHECK_ERRC(read(spec), Errc::corrupt);
}

TEST_CASE("MEM-3: items lie behind the table, within the region, and not on each other") {
  for (const uint32_t offset : {0U, 32U, 65535U, 1048576U, 1048569U, UINT32_MAX, UINT32_MAX - 7}) {
    VhdxSpec spec;
    spec.item(kDiskSize).offset = offset;
    CHECK_ERRC(read(spec), Errc::corrupt);
  }
  for (const uint32_t offset : {65536U + 200, 1048568U}) {
    VhdxSpec spec;
    spec.item(kDiskSize).offset = offset;
    CHECK_NOTHROW(read(spec));
  }
  VhdxSpec overlap;
  overlap.item(kDiskSize).offset = 65536 + 7;
  CHECK_ERRC(read(overlap), Errc::corrupt);
}

TEST_CASE("an unknown item is refused if it is required, else passed over; one of length 0 takes no place") {
  VhdxSpec spec;
  spec.items.push_back({kUnknown, 0, filled(100, 7)});
  spec.items.push_back({kUnknown, 1, {}});
  spec.items.push_back({kUnknown, 1, {}});
  CHECK_NOTHROW(read(spec));
  spec.items.push_back({kUnknown, 4, filled(8, 7)});
  CHECK_ERRC(read(spec), Errc::unsupported);
  VhdxSpec large;
  large.items.push_back({kUnknown, 0, filled(8, 7), 65536 + 500, static_cast<uint32_t>(kMiB + 1)});
  CHECK_ERRC(read(large), Errc::corrupt);
}

TEST_CASE("MEM-3: the metadata table has its signature and at most 2047 entries") {
  VhdxSpec spec;
  while (spec.items.size() < 2047) spec.items.push_back({kUnknown, 1, {}});
  CHECK_NOTHROW(read(spec));
  spec.items.push_back({kUnknown, 1, {}});
  CHECK_ERRC(read(spec), Errc::corrupt);
  VhdxSpec unsigned_one;
  unsigned_one.data[VhdxSpec::kMetadataAt + 3] = filled(1, 0);
  CHECK_ERRC(read(unsigned_one), Errc::corrupt);
}

TEST_CASE("MEM-7: blocks are powers of two from 1 MiB to 256 MiB") {
  for (const uint32_t block : {1U << 20, 1U << 21, 1U << 25, 1U << 28}) {
    VhdxSpec spec;
    spec.set_parameters(block, 0);
    CHECK(read(spec).block_size == block);
  }
  for (const uint32_t block : {0U, 1U, 512U, 1U << 19, (1U << 20) - 1, (1U << 20) + 1, 3U << 20, 1U << 29, 1U << 31, UINT32_MAX}) {
    VhdxSpec spec;
    spec.set_parameters(block, 0);
    CHECK_ERRC(read(spec), Errc::corrupt);
  }
}

TEST_CASE("MEM-7: sectors have 512 or 4096 bytes") {
  for (const std::string& id : {kLogicalSector, kPhysicalSector}) {
    for (const uint32_t sector : {0U, 1U, 256U, 511U, 513U, 1024U, 2048U, 8192U, UINT32_MAX}) {
      VhdxSpec spec;
      spec.item(id).value = number(sector, 4);
      CHECK_ERRC(read(spec), Errc::corrupt);
    }
    for (const uint32_t sector : {512U, 4096U}) {
      VhdxSpec spec;
      spec.item(id).value = number(sector, 4);
      CHECK_NOTHROW(read(spec));
    }
  }
}

TEST_CASE("MEM-7: a disk has whole sectors, at least one, and at most 64 TiB") {
  const auto with_size = [](uint64_t size, uint64_t sector) {
    VhdxSpec spec(size, 256 * kMiB, sector);
    return read(spec).disk_size;
  };
  CHECK(with_size(512, 512) == 512);
  CHECK(with_size(4096, 4096) == 4096);
  CHECK(with_size(64 * kTiB, 512) == 64 * kTiB);
  for (const uint64_t size : {uint64_t{0}, uint64_t{511}, uint64_t{513}, 64 * kTiB + 512, uint64_t{1} << 63, UINT64_MAX - 511, UINT64_MAX})
    CHECK_ERRC(with_size(size, 512), Errc::corrupt);
  for (const uint64_t size : {uint64_t{512}, uint64_t{4096 + 512}}) CHECK_ERRC(with_size(size, 4096), Errc::corrupt);
  Limits limits;
  limits.virtual_size = kGiB;
  CHECK_ERRC(read(VhdxSpec(2 * kGiB), nullptr, limits), Errc::limit);
}

TEST_CASE("flags: fixed, and a parent locator exactly if there is a parent, which no fixed disk has") {
  VhdxSpec fixed;
  fixed.set_parameters(kMiB, 1);
  CHECK(read(fixed).fixed);
  VhdxSpec unlocated;
  unlocated.set_parameters(kMiB, 2);
  CHECK_ERRC(read(unlocated), Errc::corrupt);
  VhdxSpec child;
  child.set_parent(kLink);
  CHECK(read(child).parent);
  child.set_parameters(kMiB, 0);
  CHECK_ERRC(read(child), Errc::corrupt);
  child.set_parameters(kMiB, 3);
  CHECK_ERRC(read(child), Errc::corrupt);
}

}  // namespace
}  // namespace varve::test
