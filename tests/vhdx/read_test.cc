// What hand-made images read as: every state of a block, either sector size, cut files, places far out.
#include "support/image_kit.h"
#include "support/pattern.h"
#include "vhdx/builder.h"

namespace varve::test {
namespace {

/// A disk of one block of each state, and something in the file that each could point at.
VhdxSpec with_state(unsigned state, uint64_t offset) {
  VhdxSpec spec;
  spec.set_block(1, state, offset);
  spec.data[4 * kMiB] = pattern(0, 1, 4 * kMiB);
  return spec;
}

TEST_CASE("states without a place read as zeros, whatever offset they name") {
  for (const unsigned state : {0U, 1U, 2U, 3U, 5U}) {
    for (const uint64_t offset : {uint64_t{0}, 5 * kMiB, 64 * kTiB}) {
      INFO("state " << state << ", offset " << offset);
      World world(with_state(state, offset));
      Image image = world.open();
      CHECK(read_all(image) == Bytes(4 * kMiB));
      CHECK(image.extent_at(kMiB).kind != ExtentKind::data);
      CHECK(damages(image) == "");
    }
  }
}

TEST_CASE("a block that is fully present reads from its place") {
  World world(with_state(6, 5 * kMiB));
  Image image = world.open();
  CHECK(read_some(image, kMiB, kMiB) == pattern(kMiB, 1, kMiB));
  CHECK(read_some(image, 2 * kMiB - 3, 5)[3] == std::byte{0});
  CHECK(image.extent_at(kMiB + 512).host_offset == 5 * kMiB + 512);
  CHECK(damages(image) == "");
}

TEST_CASE("state 4 does not exist, and state 7 not without a parent: corrupt where it is read, and check says so") {
  for (const unsigned state : {4U, 7U}) {
    World world(with_state(state, 5 * kMiB));
    Image image = world.open();
    CHECK(read_some(image, 0, kMiB) == Bytes(kMiB));
    CHECK_ERRC(read_some(image, kMiB, 1), Errc::corrupt);
    CHECK_ERRC(read_some(image, 2 * kMiB - 1, 2), Errc::corrupt);
    CHECK_ERRC(image.extent_at(kMiB), Errc::corrupt);
    CHECK(damages(image) != "");
  }
}

TEST_CASE("reserved bits of an entry are passed over") {
  VhdxSpec spec = with_state(6, 5 * kMiB);
  spec.bat[1] |= 0xffff8;
  World world(spec);
  Image image = world.open();
  CHECK(read_some(image, kMiB, kMiB) == pattern(kMiB, 1, kMiB));
}

TEST_CASE("the last block may end with the disk, as some writers leave it; not before") {
  for (const uint64_t missing : {uint64_t{0}, uint64_t{1}}) {
    VhdxSpec spec(3 * kMiB + 5 * 512, 2 * kMiB);
    spec.set_block(1, 6, 4 * kMiB);
    const uint64_t length = kMiB + 5 * 512 - missing;
    spec.data[4 * kMiB] = pattern(2 * kMiB, 1, length);
    spec.file_size = 4 * kMiB + length;
    World world(spec);
    Image image = world.open();
    if (missing == 0) {
      CHECK(read_some(image, 2 * kMiB, length) == pattern(2 * kMiB, 1, length));
      CHECK(damages(image) == "");
    } else {
      CHECK_ERRC(read_some(image, 2 * kMiB, 512), Errc::corrupt);
      CHECK(damages(image) != "");
    }
  }
}

TEST_CASE("a disk of one sector, and one of whole chunks of 4096-byte sectors") {
  VhdxSpec small(512, 256 * kMiB);
  small.set_block(0, 6, 4 * kMiB);
  small.data[4 * kMiB] = pattern(0, 3, 512);
  small.file_size = 4 * kMiB + 512;
  World world(small);
  Image image = world.open();
  CHECK(read_all(image) == pattern(0, 3, 512));

  VhdxSpec wide(64 * kGiB, 256 * kMiB, 4096);
  wide.regions[0].length = kMiB;
  wide.set_block(127, 6, 256 * kMiB);
  wide.set_block(128, 6, 512 * kMiB);  // its entry lies behind the first bitmap's
  wide.file_size = kGiB;
  wide.data[256 * kMiB] = pattern(0, 4, 4096);
  wide.data[512 * kMiB] = pattern(0, 5, 4096);
  world.add(wide);
  Image large = world.open();
  CHECK(read_some(large, 127 * 256 * kMiB, 4096) == pattern(0, 4, 4096));
  CHECK(read_some(large, 128 * 256 * kMiB, 4096) == pattern(0, 5, 4096));
  CHECK(damages(large, false) == "");
}

TEST_CASE("MEM-24: blocks above 4 GiB and above 2 TiB of the file are read and written where they lie") {
  for (const uint64_t place : {4 * kGiB, 4 * kGiB + 3 * kMiB, 2 * kTiB + kMiB, 60 * kTiB}) {
    INFO("place " << place);
    VhdxSpec spec;
    spec.set_block(2, 6, place);
    spec.data[place] = pattern(2 * kMiB, 1, kMiB);
    World world(spec);
    world.options.limits.metadata_bytes = kGiB;
    {
      Image image = world.open(Access::read_write);
      CHECK(read_some(image, 2 * kMiB, kMiB) == pattern(2 * kMiB, 1, kMiB));
      image.write_at(2 * kMiB + 100, filled(10, 9));
      image.write_at(0, pattern(0, 7, kMiB));
      image.close();
    }
    Bytes there(10);
    world.files.find(World::kPath)->read_at(place + 100, there);
    CHECK(there == filled(10, 9));
    Image image = world.open();
    CHECK(read_some(image, 0, kMiB) == pattern(0, 7, kMiB));
    CHECK(damages(image, false) == "");
  }
}

TEST_CASE("a request over many blocks takes each part from where it belongs") {
  VhdxSpec spec(8 * kMiB);
  spec.file_size = 12 * kMiB;
  const std::vector<uint64_t> places = {6, 5, 0, 8, 9, 10, 0, 4};
  Bytes disk(8 * kMiB);
  for (uint64_t block = 0; block < 8; ++block) {
    if (places[block] == 0) continue;
    spec.set_block(block, 6, places[block] * kMiB);
    spec.data[places[block] * kMiB] = pattern(block * kMiB, 1, kMiB);
    fill_pattern(block * kMiB, 1, MutableBytes(disk).subspan(block * kMiB, kMiB));
  }
  World world(spec);
  Image image = world.open();
  CHECK(read_all(image) == disk);
  CHECK(image.extent_at(3 * kMiB).length == 3 * kMiB);
  CHECK(image.extent_at(0).length == kMiB);
  for (uint64_t offset = kMiB - 700; offset < 7 * kMiB; offset += kMiB - 1000)
    CHECK(read_some(image, offset, 3000) ==
          Bytes(disk.begin() + static_cast<ptrdiff_t>(offset), disk.begin() + static_cast<ptrdiff_t>(offset + 3000)));
}

TEST_CASE("one torn copy of header and region table each: the image reads, and a warning says what to do") {
  VhdxSpec spec = with_state(6, 5 * kMiB);
  spec.headers[1].torn = true;
  spec.torn_regions[0] = true;
  World world(spec);
  std::string warnings;
  world.options.warn = [&](const std::string& line) { warnings += line + "\n"; };
  Image image = world.open();
  CHECK(read_some(image, kMiB, kMiB) == pattern(kMiB, 1, kMiB));
  CHECK(warnings.find("one copy of the header is not whole: its checksum is wrong") != std::string::npos);
  CHECK(warnings.find("one copy of the region table is not whole") != std::string::npos);
  CHECK(warnings.find("--repair=safe") != std::string::npos);
}

TEST_CASE("regions that are not marked as required are taken, and noted") {
  VhdxSpec spec;
  for (RegionSpec& region : spec.regions) region.required = 0;
  World world(spec);
  Image image = world.open();
  const CheckReport report = image.check({});
  CHECK(report.clean());
  CHECK(describe(report).find("VirtualBox") != std::string::npos);
}

}  // namespace
}  // namespace varve::test
