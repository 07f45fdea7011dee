// What measure() promises, held against what convert() makes.
#include "conformance/conformance.h"
#include "support/pattern.h"
#include "support/secrets.h"

namespace varve::test {
namespace {

constexpr const char* kSource = "dir/source.raw";
constexpr const char* kTarget = "dir/target.img";

/// Data at the front and a little in the middle, nothing else.
void make_source(MemoryFileSystem& files, uint64_t size) {
  CreateOptions how;
  how.secret = test_key();
  how.file_system = &files;
  Image image = Image::create(kSource, "raw", size, how);
  const uint64_t front = std::min<uint64_t>(size, 700000);
  image.write_at(0, pattern(0, 1, front));
  if (size > (2u << 20) + 1000) image.write_at(2u << 20, pattern(2u << 20, 1, 1000));
  image.close();
}

struct Sizes {
  uint64_t apparent = 0;
  uint64_t allocated = 0;
};

Sizes convert_and_look(MemoryFileSystem& files, const std::string& format, const OptionMap& options) {
  ConvertOptions how;
  how.source_format = "raw";
  how.target_format = format;
  how.open.secret = test_key();
  how.open.file_system = &files;
  how.create.secret = how.create.parent_secret = test_key();
  how.create.file_system = &files;
  how.create.options = options;
  convert(kSource, kTarget, how);
  Sizes sizes;
  for (const std::string& path : files.paths()) {
    if (path == kSource) continue;
    sizes.apparent += files.find(path)->size();
    // What lies behind the file's end in its last block does not count.
    sizes.allocated += std::min(files.find(path)->size(), *files.find(path)->allocated_bytes());
  }
  return sizes;
}

Image open_source(MemoryFileSystem& files) {
  OpenOptions how;
  how.format = "raw";
  how.secret = test_key();
  how.file_system = &files;
  return Image::open(kSource, how);
}

/// Holes of such an image are free.
bool is_flat(const std::string& format, const OptionMap& options) {
  const auto subformat = options.find("subformat");
  return format == "raw" || (subformat != options.end() && (subformat->second == "vmfs" || subformat->second.ends_with("Flat")));
}

void expect_bounds(const std::string& format, const OptionMap& options, uint64_t size) {
  MemoryFileSystem files;
  make_source(files, size);
  Image source = open_source(files);
  const MeasureReport report = measure(source, format, options);
  const Sizes real = convert_and_look(files, format, options);
  const auto subformat = options.find("subformat");
  const bool stream = subformat != options.end() && subformat->second == "streamOptimized";
  // What is stored of a plain varve cluster depends on the zeros at its ends; of a full disk another case knows.
  const bool compressed = options.contains("compression") || stream || format == "varve";
  INFO("required " << report.required << ", " << real.apparent << " bytes in files, " << real.allocated << " of them allocated");
  CHECK(report.virtual_size == size);
  CHECK(report.required >= real.allocated);
  if (!is_flat(format, options)) CHECK(report.required >= real.apparent);
  if (!compressed) CHECK(report.required <= real.apparent + real.apparent / 20 + (96u << 10));
  CHECK(report.fully_allocated >= report.required);
}

CONFORMANCE_CASE("measure promises no less than convert takes, and not much more") {
  if (config.size % config.sector == 0) expect_bounds(config.format, config.options, config.size);
}

TEST_CASE("measure: streamOptimized of data that do not compress, over several tables") {
  for (const char* grain : {"4K", "64K", "1M"}) {
    INFO(grain);
    expect_bounds("vmdk", {{"subformat", "streamOptimized"}, {"grain_size", grain}}, 40u << 20);
  }
}

TEST_CASE("measure: what a full disk takes is what convert makes of one") {
  const uint64_t size = 20u << 20;
  const std::vector<std::pair<std::string, OptionMap>> all = {{"raw", {}},
                                                              {"vmdk", {}},
                                                              {"vmdk", {{"subformat", "twoGbMaxExtentSparse"}}},
                                                              {"vmdk", {{"subformat", "monolithicFlat"}}},
                                                              {"vmdk", {{"subformat", "streamOptimized"}}},
                                                              {"vhdx", {{"block_size", "1M"}}},
                                                              {"vhdx", {{"subformat", "fixed"}}},
                                                              {"varve", {{"cluster_size", "4K"}}},
                                                              {"varve", {{"compression", "zstd"}}}};
  for (const auto& one : all) {
    const std::string& format = one.first;
    const OptionMap& options = one.second;
    MemoryFileSystem files;
    CreateOptions how;
    how.secret = test_key();
    how.file_system = &files;
    Image image = Image::create(kSource, "raw", size, how);
    image.write_at(0, pattern(0, 1, size));
    image.close();
    const MeasureReport report = measure(size, format, options);
    const Sizes real = convert_and_look(files, format, options);
    INFO(format << ": " << report.fully_allocated << " and " << real.apparent);
    CHECK(report.fully_allocated >= real.apparent);
    CHECK(report.fully_allocated <= real.apparent + real.apparent / 20 + (96u << 10));
    how.options = options;
    for (const std::string& path : files.paths()) files.remove(path);
    Image::create(kTarget, format, size, how).close();
    uint64_t empty = 0;
    for (const std::string& path : files.paths()) empty += files.find(path)->size();
    if (is_flat(format, options)) empty = 0;
    CHECK(report.required >= empty);
    CHECK(report.required <= empty + (96u << 10));
  }
}

TEST_CASE("measure: parents count, and what a snapshot-less delta zeroes does not") {
  MemoryFileSystem files;
  CreateOptions how;
  how.secret = test_key();
  how.file_system = &files;
  Image base = Image::create("dir/base.img", "varve", 8u << 20, how);
  base.write_at(0, pattern(0, 1, 2u << 20));
  base.close();
  how.parent = "base.img";
  how.parent_format = "varve";
  Image delta = Image::create("dir/delta.img", "varve", std::nullopt, how);
  CHECK(measure(delta, "raw").required == 2u << 20);
  delta.zero(0, 1u << 20);
  delta.write_at(4u << 20, pattern(0, 1, 1u << 16));
  CHECK(measure(delta, "raw").required == (1u << 20) + (1u << 16));
}

TEST_CASE("measure refuses what creating would refuse") {
  CHECK_THROWS_AS(measure(0, "vmdk"), Error);
  CHECK_THROWS_AS(measure(uint64_t{65} << 40, "vhdx"), Error);
  CHECK_THROWS_AS(measure(1u << 20, "vmdk", {{"subformat", "none"}}), Error);
  CHECK_THROWS_AS(measure(uint64_t{1} << 50, "vmdk"), Error);
  CHECK_THROWS_AS(measure(1u << 20, "varve", {{"compression", "rar"}}), Error);
  CancelToken cancelled;
  cancelled.cancel();
  MemoryFileSystem files;
  make_source(files, 1u << 20);
  Image source = open_source(files);
  CHECK_THROWS_AS(measure(source, "raw", {}, &cancelled), Error);
}

}  // namespace
}  // namespace varve::test
