// What libyal's vmdkinfo says of the images that we make.
#include <map>
#include <regex>
#include <sstream>

#include "interop/exchange.h"
#include "support/test.h"

namespace varve::test {
namespace {

constexpr uint64_t kGiB = uint64_t{1} << 30;

struct Told {
  std::map<std::string, std::string> disk;                  ///< before the first extent
  std::vector<std::map<std::string, std::string>> extents;  ///< in order
};

/// Its lines read "\tName:\t\tvalue", and "Extent: 2" begins the next extent. Sizes are given as their bytes.
Told vmdkinfo(const std::string& path) {
  static const std::regex kLine("\t([^:]+):\t+(.*)");
  static const std::regex kBytes(R"(.*\((\d+) bytes\))");
  Told told;
  std::istringstream lines(must_run({"vmdkinfo", path}));
  std::smatch found;
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with("Extent: ")) told.extents.emplace_back();
    if (!std::regex_match(line, found, kLine)) continue;
    std::string value = found[2];
    auto& part = told.extents.empty() ? told.disk : told.extents.back();
    part[found[1]] = std::regex_replace(value, kBytes, "$1");
  }
  return told;
}

/// What we say of it: "0x" and eight digits.
std::string content_id(const std::string& path, const std::string& key) {
  OpenOptions how;
  how.ignore_parent = true;
  for (const auto& [name, value] : Image::open(path, how).info().details)
    if (name == key) return "0x" + std::get<std::string>(value);
  return {};
}

struct Case {
  std::string subformat;
  std::string disk_type;
  std::string extent_type;
  std::string extent_suffix;           ///< of the first extent's file
  std::vector<uint64_t> extent_sizes;  ///< of a disk of 4 GiB
};

const std::vector<Case> kCases = {
    {"monolithicSparse", "Monolithic sparse", "Sparse", ".vmdk", {4 * kGiB}},
    {"monolithicFlat", "Monolithic flat", "Flat", "-flat.vmdk", {4 * kGiB}},
    {"twoGbMaxExtentSparse", "2GB extent sparse", "Sparse", "-s001.vmdk", {2047 << 20, 2047 << 20, 2 << 20}},
    {"twoGbMaxExtentFlat", "2GB extent flat", "Flat", "-f001.vmdk", {2047 << 20, 2047 << 20, 2 << 20}},
    {"vmfs", "VMFS flat", "VMFS flat", "-flat.vmdk", {4 * kGiB}},
    {"streamOptimized", "Stream optimized", "Sparse", ".vmdk", {4 * kGiB}},
};

TEST_CASE("vmdkinfo tells of every subformat the type, the size, the content ids and the extents that it was made with") {
  NEED_TOOL("vmdkinfo");
  for (const Case& c : kCases) {
    INFO(c.subformat);
    const TempDir dir;
    CreateOptions how;
    how.options = {{"subformat", c.subformat}};
    Image::create(dir / "disk.vmdk", "vmdk", 4 * kGiB, how).close();
    const Told told = vmdkinfo(dir / "disk.vmdk");
    CHECK(told.disk.at("Disk type") == c.disk_type);
    CHECK(told.disk.at("Media size") == std::to_string(4 * kGiB));
    CHECK(told.disk.at("Content identifier") == content_id(dir / "disk.vmdk", "cid"));
    CHECK(told.disk.at("Parent content identifier") == "0xffffffff");
    REQUIRE(told.extents.size() == c.extent_sizes.size());
    CHECK(told.extents.front().at("Filename") == "disk" + c.extent_suffix);
    for (size_t i = 0; i < told.extents.size(); ++i) {
      CHECK(told.extents[i].at("Type") == c.extent_type);
      CHECK(told.extents[i].at("Start offset") == "0");
      CHECK(told.extents[i].at("Size") == std::to_string(c.extent_sizes[i]));
    }
  }
}

TEST_CASE("vmdkinfo tells of a delta the name and the content id of its parent") {
  NEED_TOOL("vmdkinfo");
  const TempDir dir;
  Image::create(dir / "base.vmdk", "vmdk", 1 << 20).close();
  for (const std::string subformat : {"monolithicSparse", "twoGbMaxExtentSparse"}) {
    INFO(subformat);
    CreateOptions how;
    how.options = {{"subformat", subformat}};
    how.parent = "base.vmdk";
    how.force = true;
    Image::create(dir / "child.vmdk", "vmdk", std::nullopt, how).close();
    const Told told = vmdkinfo(dir / "child.vmdk");
    CHECK(told.disk.at("Media size") == std::to_string(1 << 20));
    CHECK(told.disk.at("Content identifier") == content_id(dir / "child.vmdk", "cid"));
    CHECK(told.disk.at("Parent content identifier") == content_id(dir / "base.vmdk", "cid"));
    CHECK(told.disk.at("Parent filename") == "base.vmdk");
  }
}

}  // namespace
}  // namespace varve::test
