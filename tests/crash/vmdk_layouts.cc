#include "crash/vmdk_layouts.h"

#include <string>

#include "support/test.h"

namespace varve::test {
namespace {

constexpr uint64_t kSector = 512;
constexpr uint64_t kMiB = 1024 * 1024;

void set_text(TestDisk& disk, std::string text) {
  const auto file = disk.files().find(TestDisk::kPath);
  if (has_embedded_text(*file)) {
    text.resize(kDescriptorArea, '\0');
    file->write_at(kSector, std::as_bytes(std::span(text)));
  } else {
    disk.files().add(TestDisk::kPath, std::as_bytes(std::span(text)));
  }
}

/// A text of two sectors, as other programs write them: a few blank lines, and what comes after the extents lies across the border.
void make_text_long(TestDisk& disk) {
  std::string text = descriptor_text(disk.files());
  text += "ddb.toolsInstallType = \"4\"\nddb.toolsVersion = \"2147483647\"\n";
  for (int i = 0; text.size() < kSector + 150; ++i)
    text += "ddb.uuid.part" + std::to_string(i) + " = \"60 00 C2 9f 58 c5 2b 86-6e 3c 48 9a 1d 46 c6 2a\"\n";
  set_text(disk, text);
}

/// A second extent behind the first.
void split_in_two(TestDisk& disk) {
  const uint64_t size = disk.config().size;
  create_image(disk.files(), "dir/second.img", "vmdk", size, disk.config().options);
  disk.files().remove("dir/second.img");
  std::string text = descriptor_text(disk.files());
  const size_t line = text.find("\nRW ") + 1;
  REQUIRE(line != 0);
  const size_t end = text.find('\n', line) + 1;
  std::string second = text.substr(line, end - line);
  second.replace(second.find("disk.img"), 8, "second.img");
  set_text(disk, text.insert(end, second));
  disk.model().resize(2 * size);
}

void split_with_long_text(TestDisk& disk) {
  split_in_two(disk);
  make_text_long(disk);
}

ImageConfig config(const char* name, const char* subformat, uint64_t size, OptionMap options = {},
                   std::optional<uint64_t> parent = std::nullopt) {
  options.emplace("subformat", subformat);
  return {name, "vmdk", options, size, parent};
}

}  // namespace

std::vector<Layout> vmdk_layouts_to_write() {
  const OptionMap small_grains = {{"grain_size", "4K"}};
  const OptionMap zeroed = {{"grain_size", "4K"}, {"zeroed_grain", "on"}};
  const uint64_t size = kMiB + 5 * kSector;
  const uint64_t two_tables = 5 * kMiB / 2 + 5 * kSector;
  return {{config("64 KiB grains", "monolithicSparse", size)},
          {config("4 KiB grains", "monolithicSparse", two_tables, small_grains)},
          {config("zeroed 4 KiB grains", "monolithicSparse", two_tables, zeroed)},
          {config("delta", "monolithicSparse", size, {}, size)},
          {config("delta, zeroed 4 KiB grains", "monolithicSparse", two_tables, zeroed, two_tables)},
          {config("twoGbMaxExtentSparse", "twoGbMaxExtentSparse", size)},
          {config("two extents of 4 KiB grains", "twoGbMaxExtentSparse", size / 2 / kSector * kSector, small_grains), split_in_two},
          {config("two flat extents", "twoGbMaxExtentFlat", size / 2 / kSector * kSector), split_in_two}};
}

std::vector<Layout> vmdk_layouts_to_grow() {
  const OptionMap small_grains = {{"grain_size", "4K"}};
  const uint64_t size = 999 * kSector;
  return {{config("64 KiB grains", "monolithicSparse", size)},
          {config("64 KiB grains, long text", "monolithicSparse", size), make_text_long},
          {config("4 KiB grains, long text", "monolithicSparse", size, small_grains), make_text_long},
          {config("delta under a longer parent", "monolithicSparse", size, {}, 3 * kMiB)},
          {config("delta of 4 KiB grains, long text", "monolithicSparse", size, small_grains, 3 * kMiB), make_text_long},
          {config("twoGbMaxExtentSparse", "twoGbMaxExtentSparse", size, small_grains)},
          {config("two sparse extents, long text", "twoGbMaxExtentSparse", size, small_grains), split_with_long_text},
          {config("flat", "monolithicFlat", size)},
          {config("flat, long text", "monolithicFlat", size), make_text_long},
          {config("two flat extents", "twoGbMaxExtentFlat", size), split_in_two}};
}

}  // namespace varve::test
