// 1,200 images in each of which one field of a header, a table, a marker or the descriptor has a boundary value. Each goes through open,
// info, check, map, read and convert: nothing but an error of the enumeration comes out, in bounded time, and no file changes.
#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <set>

#include "hostile/entry_points.h"
#include "support/heap.h"
#include "support/image_kit.h"
#include "support/pattern.h"
#include "support/seeds.h"

namespace varve::test {
namespace {

struct Field {
  const char* name;
  uint64_t offset;
  uint8_t width;
};

constexpr std::array<Field, 13> kHeader = {{{"magic", 0, 4},
                                            {"version", 4, 4},
                                            {"flags", 8, 4},
                                            {"capacity", 12, 8},
                                            {"grainSize", 20, 8},
                                            {"descriptorOffset", 28, 8},
                                            {"descriptorSize", 36, 8},
                                            {"numGTEsPerGT", 44, 4},
                                            {"rgdOffset", 48, 8},
                                            {"gdOffset", 56, 8},
                                            {"overHead", 64, 8},
                                            {"uncleanShutdown", 72, 1},
                                            {"compressAlgorithm", 77, 2}}};

std::vector<uint64_t> boundary_values(uint64_t old, uint8_t width, uint64_t file_sectors) {
  const uint64_t top = width == 8 ? UINT64_MAX : (uint64_t{1} << (8 * width)) - 1;
  const std::set<uint64_t> all = {0,
                                  1,
                                  2,
                                  3,
                                  7,
                                  8,
                                  127,
                                  128,
                                  511,
                                  512,
                                  513,
                                  2047,
                                  2048,
                                  2049,
                                  0xffff,
                                  uint64_t{1} << 16,
                                  uint64_t{1} << 17,
                                  0x7fffffff,
                                  0x80000000,
                                  0xffffffff,
                                  uint64_t{1} << 32,
                                  uint64_t{1} << 55,
                                  UINT64_MAX / 512,
                                  UINT64_MAX / 2,
                                  UINT64_MAX / 2 + 1,
                                  UINT64_MAX - 1,
                                  UINT64_MAX,
                                  old - 1,
                                  old + 1,
                                  old * 2,
                                  old ^ 0x80,
                                  file_sectors - 1,
                                  file_sectors,
                                  file_sectors + 1};
  std::vector<uint64_t> values;
  for (const uint64_t value : all)
    if ((value & top) != old && std::find(values.begin(), values.end(), value & top) == values.end()) values.push_back(value & top);
  return values;
}

uint64_t get(const Bytes& bytes, uint64_t offset, uint8_t width) {
  uint64_t value = 0;
  for (uint8_t i = 0; i < width; ++i) value |= std::to_integer<uint64_t>(bytes[static_cast<size_t>(offset) + i]) << (8 * i);
  return value;
}

void set(Bytes& bytes, uint64_t offset, uint8_t width, uint64_t value) {
  for (uint8_t i = 0; i < width; ++i) bytes[static_cast<size_t>(offset) + i] = static_cast<std::byte>(value >> (8 * i) & 0xff);
}

// ---- the images to begin with, made by the product's writers ------------------------------------

struct Origin {
  std::string name;
  Bytes bytes;
  std::vector<Field> fields;
};

Bytes make(const OptionMap& options, uint64_t size) {
  MemoryFileSystem files;
  files.add("dir/source.raw", Bytes(static_cast<size_t>(size)));
  for (uint64_t at = 0; at < size; at += 5 * 65536) {
    const Bytes data = pattern(at, 2, static_cast<size_t>(std::min<uint64_t>(70000, size - at)));
    files.find("dir/source.raw")->write_at(at, data);
  }
  ConvertOptions how;
  how.source_format = "raw";
  how.target_format = "vmdk";
  how.open.file_system = &files;
  how.create.file_system = &files;
  how.create.options = options;
  how.copy.threads = 1;
  convert("dir/source.raw", kDisk, how);
  return files.find(kDisk)->contents();
}

void add_header(Origin& origin, uint64_t at) {
  for (Field field : kHeader) {
    field.offset += at;
    origin.fields.push_back(field);
  }
}

void add_entries(Origin& origin, uint64_t at, const char* name, std::initializer_list<uint64_t> indices) {
  for (const uint64_t i : indices) origin.fields.push_back({name, at + i * 4, 4});
}

Origin sparse_origin(const std::string& name, const OptionMap& options) {
  Origin origin{name, make(options, (3 << 20) + 512 * 7), {}};
  add_header(origin, 0);
  const auto header = load<vmdk::SparseHeaderRaw>(origin.bytes);
  for (const uint64_t directory : {uint64_t{header.rgd_offset}, uint64_t{header.gd_offset}}) {
    add_entries(origin, directory * 512, "directory entry", {0});
    add_entries(origin, get(origin.bytes, directory * 512, 4) * 512, "table entry", {0, 1, 5, 47});
  }
  return origin;
}

Origin stream_origin() {
  Origin origin{"streamOptimized", make({{"subformat", "streamOptimized"}}, (2 << 20) + 512 * 7), {}};
  add_header(origin, 0);
  const uint64_t footer = origin.bytes.size() - 1024;
  add_header(origin, footer);
  const auto header = load<vmdk::SparseHeaderRaw>(origin.bytes, static_cast<size_t>(footer));
  const uint64_t directory = uint64_t{header.gd_offset} * 512;
  const uint64_t table = get(origin.bytes, directory, 4) * 512;
  const uint64_t grain = get(origin.bytes, table, 4) * 512;
  add_entries(origin, directory, "directory entry", {0});
  add_entries(origin, table, "table entry", {0, 1, 5});
  for (const uint64_t marker : {grain, table - 512, directory - 512, footer - 512, origin.bytes.size() - 512}) {
    origin.fields.push_back({"marker value", marker, 8});
    origin.fields.push_back({"marker size", marker + 8, 4});
    origin.fields.push_back({"marker type", marker + 12, 4});
  }
  return origin;
}

// ---- what each of them goes through ------------------------------------------------------------------

bool expected(Errc code) { return code != Errc::io && code != Errc::exists && code != Errc::cancelled && code != Errc::authentication; }

/// Runs one call; the error's code, or nullopt. Fails the test for anything but an Error that an image may cause.
std::optional<Errc> attempt(const std::function<void()>& call) {
  try {
    call();
  } catch (const Error& error) {
    CHECK_MESSAGE(expected(error.code()), error.what());
    return error.code();
  }
  return std::nullopt;
}

void read_some(Image& image) {
  Bytes out(65536);
  for (uint64_t i = 0; i < 64; ++i) {
    const uint64_t offset = image.size() / 64 * i;
    image.read_at(offset, MutableBytes(out).first(static_cast<size_t>(std::min<uint64_t>(out.size(), image.size() - offset))));
  }
}

void go_through_everything(const Bytes& bytes) {
  HostileWorld world(bytes);
  bool sound = false;
  heap_reset_peak();
  attempt([&] {
    Image image = world.open();
    image.info();
    const auto checked =
        attempt([&] { sound = image.check({.data = true, .repair = Repair::none, .progress = {}, .cancel = nullptr}).damages == 0; });
    const auto mapped = attempt([&] {
      uint64_t runs = 0;
      for (uint64_t at = 0; at < image.size() && ++runs < 5000;) at += image.extent_at(at).length;
    });
    const auto read = attempt([&] { read_some(image); });
    CHECK_MESSAGE(!(sound && !checked && (mapped || read)), "check finds no damage, but the image can't be read");
  });
  CHECK(heap_peak() <= (32 << 20) + 4 * bytes.size());
  attempt([&] {
    ConvertOptions how;
    how.source_format = "vmdk";
    how.target_format = "raw";
    how.open.file_system = &world.files;
    how.create.file_system = &world.files;
    how.create.limits.output_bytes = 64 << 20;
    how.copy.threads = 1;
    convert(kDisk, "dir/out", how);
  });
  CHECK(world.files.find(kDisk)->contents() == bytes);
}

struct Count {
  uint64_t made = 0;
  uint64_t tried = 0;  ///< every eighth where less work is asked for
};

void go_through_all(const Origin& origin, Count& images) {
  for (const Field& field : origin.fields) {
    const uint64_t old = get(origin.bytes, field.offset, field.width);
    for (const uint64_t value : boundary_values(old, field.width, origin.bytes.size() / 512)) {
      if (images.made++ % (scaled(8) < 8 ? 8 : 1) != 0) continue;
      ++images.tried;
      INFO(origin.name << ": " << std::string(field.name) << " at " << field.offset << " = " << value << " instead of " << old);
      Bytes bytes = origin.bytes;
      set(bytes, field.offset, field.width, value);
      go_through_everything(bytes);
    }
  }
}

TEST_CASE("MEM-3: 1,200 images with one field at a boundary value each: only errors come out, in bounded time and memory") {
  const auto begin = std::chrono::steady_clock::now();
  Count images;
  go_through_all(sparse_origin("monolithicSparse", {{"subformat", "monolithicSparse"}}), images);
  go_through_all(sparse_origin("zeroed grains", {{"subformat", "monolithicSparse"}, {"zeroed_grain", "on"}, {"grain_size", "4K"}}), images);
  go_through_all(stream_origin(), images);
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
  std::printf("mutated fields: %llu images in %.1f s\n", static_cast<unsigned long long>(images.tried), took.count());
  CHECK(images.tried >= std::min<uint64_t>(1200, scaled(1200)));
  CHECK(took.count() < 200);
}

std::vector<std::string> descriptor_variants(const std::string& text) {
  std::vector<std::string> out;
  std::vector<size_t> starts = {0};
  for (size_t i = 0; i + 1 < text.size(); ++i)
    if (text[i] == '\n') starts.push_back(i + 1);
  for (const size_t start : starts) {
    const size_t end = text.find('\n', start);
    const std::string line = text.substr(start, end - start);
    const auto replaced = [&](const std::string& with) { out.push_back(text.substr(0, start) + with + text.substr(end)); };
    replaced("");
    replaced(line + "\n" + line);
    replaced(line.substr(0, line.size() / 2));
    replaced(line + std::string(4200, 'x'));
    const size_t digit = line.find_first_of("0123456789");
    if (digit == std::string::npos) continue;
    const size_t digits = line.find_first_not_of("0123456789", digit);
    for (const char* number :
         {"0", "-1", "1", "18446744073709551615", "18446744073709551616", "36028797018963968", "99999999999999999999999", "0x10", ""})
      replaced(line.substr(0, digit) + number + (digits == std::string::npos ? "" : line.substr(digits)));
  }
  return out;
}

TEST_CASE("MEM-3: descriptors with a line gone, doubled, cut, endless or with an absurd number: only errors come out") {
  const SparseImage origin;
  uint64_t images = 0;
  for (const std::string& text : descriptor_variants(origin.descriptor)) {
    SparseImage image;
    image.descriptor = text;
    if (text.size() > SparseImage::kDescriptorBytes) continue;
    INFO(text);
    go_through_everything(image.finish());
    ++images;
  }
  for (const std::string& text :
       descriptor_variants(descriptor_text("custom", "RW 5 ZERO\nRW 3 FLAT \"a-flat.vmdk\" 0\nRDONLY 8 SPARSE \"b.vmdk\""))) {
    INFO(text);
    go_through_everything(bytes_of_text(text));
    ++images;
  }
  std::printf("mutated descriptors: %llu images\n", static_cast<unsigned long long>(images));
  CHECK(images >= 200);
}

}  // namespace
}  // namespace varve::test
