// 4,500 VHDX in each of which one field of the identifier, a header, the region table, the metadata, the block allocation table or a
// pending log has a boundary value, and all checksums are right. Each goes through everything that reads, a write and a repair.
#include <algorithm>
#include <chrono>
#include <cstdio>

#include "hostile/entry_points.h"
#include "hostile/mutations.h"
#include "support/pattern.h"
#include "support/seeds.h"
#include "vhdx/builder.h"

namespace varve::test {
namespace {

constexpr uint64_t kHeaders[] = {64 * kKiB, 128 * kKiB};
constexpr uint64_t kRegions[] = {192 * kKiB, 256 * kKiB};
constexpr uint64_t kLog = VhdxSpec::kLogAt;
constexpr uint64_t kTable = VhdxSpec::kMetadataAt;
constexpr uint64_t kItems = kTable + 64 * kKiB;
constexpr uint64_t kEntries = VhdxSpec::kBatAt;

/// A number that stands in each of these places.
struct Spot {
  std::string name;
  std::vector<uint64_t> offsets;
  uint8_t width;
};

struct Origin {
  std::string name;
  Bytes bytes;
  std::vector<Spot> spots;
  std::vector<std::pair<std::string, Bytes>> more_files = {};
  std::vector<uint64_t> log_entries = {};

  void add(const std::string& what, uint64_t base, const std::vector<Field>& fields) {
    for (const Field& field : fields) spots.push_back({what + field.name, {base + field.offset}, field.width});
  }
  /// Each copy alone, or only both.
  void add_copies(const std::string& what, const uint64_t (&bases)[2], const std::vector<Field>& fields, bool alone) {
    if (alone)
      for (const uint64_t base : bases) add(what, base, fields);
    for (const Field& field : fields)
      spots.push_back({what + field.name + " in both copies", {bases[0] + field.offset, bases[1] + field.offset}, field.width});
  }
};

// ---- fields ------------------------------------------------------------------------------------------

const std::vector<Field> kHeaderFields = {{"signature", 0, 4},   {"sequence", 8, 8},   {"file GUID", 16, 2},   {"data GUID", 32, 2},
                                          {"log GUID", 48, 2},   {"log GUID", 48, 8},  {"log version", 64, 2}, {"version", 66, 2},
                                          {"log length", 68, 4}, {"log offset", 72, 8}};

std::vector<Field> region_fields(uint64_t entries) {
  std::vector<Field> all = {{"signature", 0, 4}, {"count", 8, 4}, {"reserved", 12, 4}};
  for (uint64_t at = 16; at < 16 + 32 * entries; at += 32)
    all.insert(all.end(), {{"GUID", at, 2}, {"offset", at + 16, 8}, {"length", at + 24, 4}, {"required", at + 28, 4}});
  return all;
}

std::vector<Field> table_fields(uint64_t entries) {
  std::vector<Field> all = {{"signature", 0, 2}, {"count", 10, 2}};
  for (uint64_t at = 32; at < 32 + 32 * entries; at += 32)
    all.insert(all.end(),
               {{"item's id", at, 2}, {"item's offset", at + 16, 4}, {"item's length", at + 20, 4}, {"item's flags", at + 24, 4}});
  return all;
}

const std::vector<Field> kItemFields = {{"block size", 0, 4}, {"flags", 4, 4},           {"disk size", 8, 8},
                                        {"disk id", 16, 2},   {"logical sector", 32, 4}, {"physical sector", 36, 4}};
constexpr uint64_t kLocator = kItems + 40;

std::vector<Field> locator_fields(uint64_t pairs) {
  std::vector<Field> all = {{"type", 0, 2}, {"reserved", 16, 2}, {"count", 18, 2}};
  for (uint64_t at = 20; at < 20 + 12 * pairs; at += 12)
    all.insert(all.end(),
               {{"key's offset", at, 4}, {"value's offset", at + 4, 4}, {"key's length", at + 8, 2}, {"value's length", at + 10, 2}});
  all.push_back({"text", 20 + 12 * pairs, 2});
  return all;
}

const std::vector<Field> kEntryFields = {{"signature", 0, 4},    {"length", 8, 4}, {"tail", 12, 4},         {"sequence", 16, 8},
                                         {"descriptors", 24, 4}, {"GUID", 32, 2},  {"flushed size", 48, 8}, {"last size", 56, 8}};
const std::vector<Field> kDescriptorFields = {
    {"signature", 0, 4}, {"trailing bytes", 4, 4}, {"leading bytes", 8, 8}, {"offset", 16, 8}, {"sequence", 24, 8}};
const std::vector<Field> kSectorFields = {{"signature", 0, 4}, {"sequence, high", 4, 4}, {"sequence, low", 4092, 4}};

// ---- the images to begin with ------------------------------------------------------------------------

/// Three blocks and a half: one here, one zero, one nowhere, one here that is cut by the disk's end.
VhdxSpec sound_disk() {
  VhdxSpec spec(3 * kMiB + 512 * kKiB);
  spec.file_size = 6 * kMiB;
  spec.set_block(0, 6, 5 * kMiB);
  spec.set_block(1, 2);
  spec.set_block(3, 6, 4 * kMiB);
  spec.data[4 * kMiB] = pattern(3 * kMiB, 1, 100 * kKiB);
  spec.data[5 * kMiB] = pattern(0, 1, 100 * kKiB);
  return spec;
}

Origin dynamic_origin() {
  Origin origin{"dynamic", World(sound_disk()).bytes(), {}};
  origin.add("identifier's ", 0, {{"signature", 0, 8}, {"creator", 8, 2}});
  origin.add_copies("header's ", kHeaders, kHeaderFields, true);
  origin.add_copies("region table's ", kRegions, region_fields(2), false);
  origin.add("metadata table's ", kTable, table_fields(5));
  origin.add("", kItems, kItemFields);
  origin.add("block's ", kEntries, {{"entry", 0, 8}, {"entry", 8, 8}, {"entry", 24, 8}});
  return origin;
}

/// A block in part over a parent, and a bitmap.
Origin child_origin() {
  VhdxSpec spec(3 * kMiB + 512 * kKiB);
  spec.file_size = 6 * kMiB;
  spec.set_parent({{"parent_linkage", "{" + kDataGuid + "}"}, {"relative_path", "base.vhdx"}});
  spec.set_block(1, 7, 4 * kMiB);
  spec.set_bitmap(0, 6, 5 * kMiB);
  spec.data[4 * kMiB] = pattern(kMiB, 1, 100 * kKiB);
  spec.data[5 * kMiB + kMiB / 512 / 8] = filled(20, 0xff);
  Origin origin{"differencing", World(spec).bytes(), {}, {{"dir/base.vhdx", World(sound_disk()).bytes()}}};
  origin.add("metadata table's parent locator ", kTable + 32 * 5, {{"id", 32, 2}, {"offset", 48, 4}, {"length", 52, 4}, {"flags", 56, 4}});
  origin.add("", kItems, {{"block size", 0, 4}, {"flags", 4, 4}, {"disk size", 8, 8}, {"logical sector", 32, 4}});
  origin.add("locator's ", kLocator, locator_fields(2));
  origin.add("block's ", kEntries, {{"entry", 0, 8}, {"entry", 8, 8}});
  origin.add("bitmap's ", kEntries + 8 * spec.ratio(), {{"entry", 0, 8}});
  return origin;
}

/// Two entries that follow each other. The first changes the table and zeroes a range, the second the same page of the table.
Origin logged_origin() {
  VhdxSpec spec = sound_disk();
  Bytes page(4096);
  for (const auto& [index, entry] : spec.bat) put(page, 8 * index, entry, 8);
  Bytes newer = page;
  put(newer, 16, 2, 8);
  const uint64_t size = spec.file_size;
  const Bytes first = log_entry({5, 0, {{VhdxSpec::kBatAt, page, 0}, {5 * kMiB + 64 * kKiB, {}, 8 * kKiB}}, size, size});
  const Bytes second = log_entry({6, 0, {{VhdxSpec::kBatAt, newer, 0}}, size, size});
  spec.set_log({{0, first}, {first.size(), second}});
  Origin origin{"log", World(spec).bytes(), {}, {}, {kLog, kLog + first.size()}};
  origin.add_copies("header's ", kHeaders, {{"log GUID", 48, 2}, {"log version", 64, 2}, {"log length", 68, 4}, {"log offset", 72, 8}},
                    false);
  for (const uint64_t entry : origin.log_entries) {
    origin.add("log entry's ", entry, kEntryFields);
    origin.add("descriptor's ", entry + 64, kDescriptorFields);
    origin.add("data sector's ", entry + 4096, kSectorFields);
  }
  origin.add("zero descriptor's ", kLog + 96, kDescriptorFields);
  return origin;
}

// ---- what each of them goes through --------------------------------------------------------------------

/// Puts all checksums right. An entry is as long as it says it is; one that is longer now may cover the next, so that is first.
void seal_all(Bytes& bytes, const std::vector<uint64_t>& log_entries) {
  for (const uint64_t at : kHeaders) seal(bytes, at, 4096);
  for (const uint64_t at : kRegions) seal(bytes, at, 64 * kKiB);
  for (auto entry = log_entries.rbegin(); entry != log_entries.rend(); ++entry) {
    const uint64_t length = get(bytes, *entry + 8, 4);
    if (length >= 64 && length <= kLog + kMiB - *entry) seal(bytes, *entry, length);
  }
}

/// What counts bytes, what counts MiB, what has a state in its lower bits, and what is near what was there.
std::set<uint64_t> values_of_interest(const Origin& origin, const Spot& spot, uint64_t old) {
  const uint64_t size = origin.bytes.size();
  std::set<uint64_t> all = {4096,     64 * kKiB, kMiB - 1, kMiB,        kMiB + 1,   2 * kMiB,   3 * kMiB,  256 * kMiB,     512 * kMiB,
                            size - 1, size,      size + 1, size + kMiB, old + kMiB, old - kMiB, 64 * kTiB, 64 * kTiB + 512};
  if (!spot.name.ends_with("entry")) return all;
  for (const uint64_t place : {uint64_t{0}, kMiB, 2 * kMiB, 3 * kMiB, 4 * kMiB, 5 * kMiB, size - kMiB, size, UINT64_MAX - kMiB + 1})
    for (const uint64_t state : {2, 4, 6, 7}) all.insert(place | state);
  return all;
}

bool is_guid(const Spot& spot) { return spot.width == 2 && spot.name.find("GUID") != std::string::npos; }

std::vector<uint64_t> values_of(const Origin& origin, const Spot& spot, uint64_t old) {
  if (is_guid(spot)) return {0, old ^ 1, old ^ 0xffff};
  return boundary_values(old, spot.width, values_of_interest(origin, spot, old));
}

void go_through_all(const Origin& origin, MutationCount& images) {
  Bytes bytes = origin.bytes;
  for (const Spot& spot : origin.spots) {
    REQUIRE(bytes == origin.bytes);
    const uint64_t old = get(origin.bytes, {"", spot.offsets[0], spot.width});
    for (const uint64_t value : values_of(origin, spot, old)) {
      if (images.skips()) continue;
      INFO(origin.name << ": " << spot.name << " at " << spot.offsets[0] << " = " << value << " instead of " << old);
      for (const uint64_t offset : spot.offsets) set(bytes, {"", offset, spot.width}, value);
      seal_all(bytes, origin.log_entries);
      const Mutant mutant{bytes, "vhdx", origin.more_files};
      const bool sound = go_through_everything(mutant);
      go_through_writing(mutant, sound);
      if (!sound) go_through_repair(mutant);
      images.found(sound);
      for (const uint64_t offset : spot.offsets) set(bytes, {"", offset, spot.width}, get(origin.bytes, {"", offset, spot.width}));
      seal_all(bytes, origin.log_entries);
    }
  }
}

TEST_CASE("the VHDX that are mutated are sound before, and their checksums are right") {
  for (const Origin& origin : {dynamic_origin(), child_origin(), logged_origin()}) {
    INFO(origin.name);
    Bytes bytes = origin.bytes;
    seal_all(bytes, origin.log_entries);
    CHECK(bytes == origin.bytes);
    const Mutant mutant{bytes, "vhdx", origin.more_files};
    CHECK(go_through_everything(mutant));
    go_through_writing(mutant, true);
  }
}

TEST_CASE("MEM-3: 4,500 VHDX with one field at a boundary value each: only errors come out, in bounded time and memory") {
  const auto begin = std::chrono::steady_clock::now();
  MutationCount images;
  go_through_all(dynamic_origin(), images);
  go_through_all(child_origin(), images);
  go_through_all(logged_origin(), images);
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
  std::printf("mutated fields of VHDX: %llu images, %llu of them sound, in %.1f s\n", static_cast<unsigned long long>(images.tried()),
              static_cast<unsigned long long>(images.sound()), took.count());
  CHECK(images.tried() >= std::min<uint64_t>(4500, scaled(4500)));
  CHECK(images.sound() >= images.tried() / 10);  // not all of them are turned away at the door
  CHECK(took.count() < 200);
}

}  // namespace
}  // namespace varve::test
