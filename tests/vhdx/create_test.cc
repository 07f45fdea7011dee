// New images: what lies where, what the options do, and what is refused.
#include <sys/stat.h>

#include <array>
#include <set>

#include "base/random.h"
#include "support/image_kit.h"
#include "support/process.h"
#include "vhdx/builder.h"

namespace varve::test {
namespace {

Image create(World& world, std::optional<uint64_t> size, const OptionMap& options = {}, const CreateOptions& more = {}) {
  CreateOptions how = more;
  how.options = options;
  how.file_system = &world.files;
  return Image::create(World::kPath, "vhdx", size, how);
}

std::string detail(const Image& image, const std::string& wanted) {
  for (const auto& [key, value] : image.info().details) {
    if (key != wanted) continue;
    if (const auto* text = std::get_if<std::string>(&value)) return *text;
    if (const auto* number = std::get_if<uint64_t>(&value)) return std::to_string(*number);
  }
  return {};
}

/// The region with this GUID, as the copy of the table at `copy` names it.
RegionSpec region(const Bytes& file, uint64_t copy, const std::string& guid) {
  for (uint64_t i = 0; i < get(file, copy + 8, 4); ++i) {
    const uint64_t at = copy + 16 + 32 * i;
    if (get_guid(file, at) != guid) continue;
    return {guid, get(file, at + 16, 8), static_cast<uint32_t>(get(file, at + 24, 4)), static_cast<uint32_t>(get(file, at + 28, 4))};
  }
  FAIL("no such region");
  return {};
}

TEST_CASE("a new file: identifier, two headers without a log, two region tables with required regions, whole MiB") {
  World world;
  create(world, 10 * kMiB).close();
  const Bytes file = world.bytes();
  CHECK(file.size() % kMiB == 0);
  CHECK(get(file, 0, 8) == 0x656c696678646876);
  CHECK(get_guid(file, 64 * kKiB + 32) == get_guid(file, 128 * kKiB + 32));  // the data GUID
  CHECK(get(file, 64 * kKiB + 8, 8) != get(file, 128 * kKiB + 8, 8));
  for (const uint64_t header : {64 * kKiB, 128 * kKiB}) {
    CHECK(get_guid(file, header + 48) == kNoGuid);
    CHECK(get(file, header + 64, 2) == 0);
    CHECK(get(file, header + 66, 2) == 1);
    CHECK(get(file, header + 68, 4) == kMiB);
    CHECK(get(file, header + 72, 8) == kMiB);
  }
  for (const uint64_t copy : {192 * kKiB, 256 * kKiB}) {
    for (const std::string& guid : {kBat, kMetadata}) {
      const RegionSpec one = region(file, copy, guid);
      CHECK(one.required == 1);
      CHECK(one.offset % kMiB == 0);
      CHECK(one.length % kMiB == 0);
      CHECK(one.offset + one.length <= file.size());
    }
  }
  const uint64_t table = region(file, 192 * kKiB, kBat).offset;
  CHECK(get(file, table, 8) == 0);
}

TEST_CASE("the defaults are Windows': blocks of 32 MiB, sectors of 512 in 4096; the preset keeps them") {
  for (const OptionMap& options : {OptionMap{}, OptionMap{{"preset", "hyperv"}}}) {
    World world;
    create(world, kGiB, options).close();
    const Image image = world.open();
    CHECK(detail(image, "block_size") == std::to_string(32 * kMiB));
    CHECK(detail(image, "logical_sector_size") == "512");
    CHECK(detail(image, "physical_sector_size") == "4096");
    CHECK(detail(image, "subformat") == "dynamic");
  }
  World world;
  CHECK_ERRC(create(world, kGiB, {{"preset", "hyperv"}, {"block_size", "1M"}}), Errc::invalid_argument);
}

TEST_CASE("options say what the disk is, and values that it can't have are refused") {
  World world;
  const OptionMap all = {{"block_size", "256M"},
                         {"logical_sector_size", "4096"},
                         {"physical_sector_size", "4096"},
                         {"disk_id", "12345678-9abc-def0-1234-56789abcdef0"}};
  create(world, kGiB, all).close();
  const Image image = world.open();
  CHECK(detail(image, "block_size") == std::to_string(256 * kMiB));
  CHECK(detail(image, "logical_sector_size") == "4096");
  CHECK(detail(image, "disk_id") == "12345678-9abc-def0-1234-56789abcdef0");
  for (const OptionMap& wrong : {OptionMap{{"block_size", "512K"}}, OptionMap{{"block_size", "512M"}}, OptionMap{{"block_size", "3M"}},
                                 OptionMap{{"logical_sector_size", "1024"}}, OptionMap{{"physical_sector_size", "0"}},
                                 OptionMap{{"disk_id", "x"}}, OptionMap{{"subformat", "flat"}}, OptionMap{{"colour", "red"}}}) {
    World fresh;
    CHECK_ERRC(create(fresh, kGiB, wrong), Errc::invalid_argument);
    CHECK(fresh.files.paths().empty());
  }
}

TEST_CASE("sizes: whole sectors, rounded up with a word; none and more than 64 TiB are refused") {
  World world;
  std::string warned;
  CreateOptions how;
  how.warn = [&](std::string_view warning) { warned += warning; };
  create(world, kMiB + 1, {{"logical_sector_size", "4096"}}, how).close();
  CHECK(world.open().size() == kMiB + 4096);
  CHECK(warned.find("rounded up") != std::string::npos);
  World other;
  CHECK_ERRC(create(other, 0), Errc::invalid_argument);
  CHECK_ERRC(create(other, 64 * kTiB + 512), Errc::limit);
  create(other, 64 * kTiB).close();
  CHECK(other.open().size() == 64 * kTiB);
}

TEST_CASE("a fixed disk: every block fully present, each in a place of its own, and the file holds them all") {
  World world;
  create(world, 5 * kMiB + 512, {{"subformat", "fixed"}, {"block_size", "1M"}}).close();
  const Bytes file = world.bytes();
  const uint64_t table = region(file, 192 * kKiB, kBat).offset;
  std::set<uint64_t> places;
  for (uint64_t block = 0; block < 6; ++block) {
    const uint64_t entry = get(file, table + 8 * block, 8);
    CHECK((entry & (kMiB - 1)) == 6);
    CHECK((entry & ~(kMiB - 1)) + kMiB <= file.size());
    places.insert(entry);
  }
  CHECK(places.size() == 6);
  CHECK(get(file, table + 8 * 6, 8) == 0);
  Image image = world.open();
  CHECK(read_all(image) == Bytes(5 * kMiB + 512));
}

uint64_t taken_on_host(const std::string& path) {
  struct stat status {};
  REQUIRE(stat(path.c_str(), &status) == 0);
  return static_cast<uint64_t>(status.st_blocks) * 512;
}

TEST_CASE("a fixed disk takes its space on the host from the start and keeps it when it is zeroed; a dynamic one does not") {
  const TempDir dir;
  for (const std::string subformat : {"fixed", "dynamic"}) {
    const std::string path = dir / (subformat + ".vhdx");
    create_image(host_file_system(), path, "vhdx", 40 * kMiB, {{"subformat", subformat}});
    CHECK((taken_on_host(path) >= 64 * kMiB) == (subformat == "fixed"));  // two blocks of 32 MiB
    CHECK((taken_on_host(path) < 2 * kMiB) == (subformat == "dynamic"));
    OpenOptions how;
    how.format = "vhdx";
    how.access = Access::read_write;
    Image image = Image::open(path, how);
    image.write_at(0, filled(40 * kMiB, 7));
    image.zero(512, 40 * kMiB - 512);
    image.discard(0, 40 * kMiB);
    image.close();
    CHECK((taken_on_host(path) >= 64 * kMiB) == (subformat == "fixed"));
    CHECK(read_some(image, 512, 40 * kMiB - 512) == Bytes(40 * kMiB - 512));
  }
}

TEST_CASE("the same random numbers make the same file") {
  std::array<World, 2> worlds;
  for (World& world : worlds) {
    SeededRandom random(7);
    CreateOptions how;
    how.random = &random;
    Image image = create(world, 4 * kMiB, {{"block_size", "1M"}}, how);
    image.write_at(kMiB - 5, filled(9, 3));
    image.close();
  }
  CHECK(worlds[0].bytes() == worlds[1].bytes());
}

// ---- children ------------------------------------------------------------------------------------------

TEST_CASE("a child is the same disk as its parent: sectors and identifier are the parent's, its link is the parent's data GUID") {
  World world;
  create_image(world.files, "dir/base.vhdx", "vhdx", 8 * kMiB, {{"logical_sector_size", "4096"}});
  CreateOptions how;
  how.parent = "base.vhdx";
  create(world, std::nullopt, {{"block_size", "2M"}}, how).close();
  const Image parent = world.open(Access::read_only, "dir/base.vhdx");
  const Image child = world.open();
  CHECK(child.size() == 8 * kMiB);
  CHECK(detail(child, "subformat") == "differencing");
  CHECK(detail(child, "logical_sector_size") == "4096");
  CHECK(detail(child, "disk_id") == detail(parent, "disk_id"));
  CHECK(detail(child, "data_write_guid") != detail(parent, "data_write_guid"));
  CHECK(child.info().parent->identity == "DataWriteGuid {" + detail(parent, "data_write_guid") + "}");
  how.force = true;
  CHECK_ERRC(create(world, std::nullopt, {{"logical_sector_size", "512"}}, how), Errc::invalid_argument);
  CHECK_ERRC(create(world, std::nullopt, {{"subformat", "fixed"}}, how), Errc::unsupported);
}

TEST_CASE("only a VHDX can be a parent: another format is refused, also where it was not named, and it is said what to do") {
  World world;
  world.files.add("dir/base.raw", filled(kMiB, 1));
  CreateOptions how;
  how.parent = "base.raw";
  for (const std::string format : {"", "raw"}) {
    how.parent_format = format;
    try {
      create(world, std::nullopt, {}, how);
      FAIL("a raw parent was taken");
    } catch (const Error& error) {
      CHECK(error.code() == (format.empty() ? Errc::corrupt : Errc::unsupported));
      const std::string said = format.empty() ? "a parent is taken to have the image's own format, vhdx" : "convert the parent to vhdx";
      CHECK_MESSAGE(error.hint().find(said) != std::string::npos, error.what());
    }
  }
  CHECK(world.files.paths() == std::vector<std::string>{"dir/base.raw"});
}

}  // namespace
}  // namespace varve::test
