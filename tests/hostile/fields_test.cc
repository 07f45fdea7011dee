// 2,400 VMDK in each of which one field of a header, a table, a marker or the descriptor has a boundary value. Each goes through open,
// info, check, map, read and convert, and on copies through a write and a repair: nothing but an error of the enumeration comes out, in
// bounded time, and what is only read does not change.
#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>

#include "hostile/entry_points.h"
#include "hostile/mutations.h"
#include "support/pattern.h"
#include "support/seeds.h"

namespace varve::test {
namespace {

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

uint64_t get(const Bytes& bytes, uint64_t offset) { return test::get(bytes, {"", offset, 4}); }

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
    add_entries(origin, get(origin.bytes, directory * 512) * 512, "table entry", {0, 1, 5, 47});
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
  const uint64_t table = get(origin.bytes, directory) * 512;
  const uint64_t grain = get(origin.bytes, table) * 512;
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

void go_through_all(const Origin& origin, MutationCount& images) {
  const uint64_t sectors = origin.bytes.size() / 512;
  for (const Field& field : origin.fields) {
    const uint64_t old = test::get(origin.bytes, field);
    for (const uint64_t value : boundary_values(old, field.width, {sectors - 1, sectors, sectors + 1})) {
      if (images.skips()) continue;
      INFO(origin.name << ": " << std::string(field.name) << " at " << field.offset << " = " << value << " instead of " << old);
      Bytes bytes = origin.bytes;
      set(bytes, field, value);
      const Mutant mutant{bytes, "vmdk"};
      const bool sound = go_through_everything(mutant);
      go_through_writing(mutant, sound);
      if (!sound) go_through_repair(mutant);
    }
  }
}

TEST_CASE("MEM-3: 2,400 VMDK with one field at a boundary value each: only errors come out, in bounded time and memory") {
  const auto begin = std::chrono::steady_clock::now();
  MutationCount images;
  go_through_all(sparse_origin("monolithicSparse", {{"subformat", "monolithicSparse"}}), images);
  go_through_all(sparse_origin("zeroed grains", {{"subformat", "monolithicSparse"}, {"zeroed_grain", "on"}, {"grain_size", "4K"}}), images);
  go_through_all(stream_origin(), images);
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
  std::printf("mutated fields: %llu images in %.1f s\n", static_cast<unsigned long long>(images.tried()), took.count());
  CHECK(images.tried() >= std::min<uint64_t>(2400, scaled(2400)));
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
    go_through_everything({image.finish(), "vmdk"});
    ++images;
  }
  for (const std::string& text :
       descriptor_variants(descriptor_text("custom", "RW 5 ZERO\nRW 3 FLAT \"a-flat.vmdk\" 0\nRDONLY 8 SPARSE \"b.vmdk\""))) {
    INFO(text);
    go_through_everything({bytes_of_text(text), "vmdk"});
    ++images;
  }
  std::printf("mutated descriptors: %llu images\n", static_cast<unsigned long long>(images));
  CHECK(images >= 200);
}

}  // namespace
}  // namespace varve::test
