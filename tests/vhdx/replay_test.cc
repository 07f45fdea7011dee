// What opening an image with changes in its log does [MS-VHDX 2.3.3].
#include "support/image_kit.h"
#include "support/pattern.h"
#include "support/seeds.h"
#include "support/storages.h"
#include "vhdx/builder.h"
#include "vhdx/log.h"
#include "vhdx/replayed_storage.h"

namespace varve::test {
namespace {

constexpr uint64_t kSector = 4096;

/// The first page of a table in which these entries stand.
Bytes table_page(const std::map<uint64_t, uint64_t>& entries) {
  Bytes page(kSector);
  for (const auto& [index, value] : entries) put(page, 8 * index, value, 8);
  return page;
}

/// Blocks 0 and 1 lie in the file, and only the log's table names them.
VhdxSpec dirty() {
  VhdxSpec spec;
  spec.data[4 * kMiB] = pattern(0, 1, kMiB);
  spec.data[5 * kMiB] = pattern(kMiB, 1, kMiB);
  const LogChange table{VhdxSpec::kBatAt, table_page({{0, 4 * kMiB | 6}, {1, 5 * kMiB | 6}}), 0};
  spec.set_log({{0, log_entry({.changes = {table, {5 * kMiB + 8 * kSector, {}, 2 * kSector}}})}});
  return spec;
}

Bytes dirty_disk() {
  Bytes disk(4 * kMiB);
  fill_pattern(0, 1, MutableBytes(disk).first(2 * kMiB));
  std::fill_n(disk.begin() + kMiB + 8 * kSector, 2 * kSector, std::byte{0});
  return disk;
}

TEST_CASE("RES-6: opened for reading, the image shows what the log holds, and the file stays as it is to the bit") {
  World world(dirty());
  const Bytes before = world.bytes();
  {
    Image image = world.open();
    CHECK(read_all(image) == dirty_disk());
    CHECK(damages(image) == "");
    CHECK(image.extent_at(0).kind == ExtentKind::data);
    image.close();
  }
  CHECK(world.bytes() == before);
}

TEST_CASE("opened for writing, the log goes into the file: new FileWriteGuid, the same DataWriteGuid, no log") {
  World world(dirty());
  world.open(Access::read_write).close();
  const Bytes file = world.bytes();
  CHECK(get(file, VhdxSpec::kBatAt, 8) == (4 * kMiB | 6));
  for (const uint64_t at : {64 * kKiB, 128 * kKiB}) {
    CHECK(get_guid(file, at + 16) != kFileGuid);
    CHECK(get_guid(file, at + 32) == kDataGuid);
    CHECK(get_guid(file, at + 48) == kNoGuid);
  }
  CHECK(get_guid(file, 64 * kKiB + 16) == get_guid(file, 128 * kKiB + 16));
  Image image = world.open();
  CHECK(read_all(image) == dirty_disk());
}

TEST_CASE("a header says that the file is another one before replay, and replay is durable before both give the log up") {
  World world(dirty());
  auto log = std::make_shared<EventLog>();
  RecordingFileSystem recording(world.files, log);
  OpenOptions how;
  how.access = Access::read_write;
  how.format = "vhdx";
  how.file_system = &recording;
  Image::open(World::kPath, how).close();
  std::string order;
  for (const StorageEvent& event : log->events()) {
    if (event.kind == StorageEvent::Kind::flush) order += "flush ";
    if (event.kind == StorageEvent::Kind::punch) order += "zero ";
    if (event.kind == StorageEvent::Kind::write) order += event.offset < kMiB ? "header " : "data ";
  }
  CHECK(order == "header flush zero data flush header flush header flush ");
}

TEST_CASE("a log whose entries were there before counts only from its tail: the older one is not replayed again") {
  VhdxSpec spec = dirty();
  const LogChange wrong{VhdxSpec::kBatAt + kSector, filled(kSector, 0xff), 0};
  const LogChange right{VhdxSpec::kBatAt, table_page({{0, 4 * kMiB | 6}}), 0};
  spec.set_log({{0, log_entry({.sequence = 1, .changes = {wrong}})},
                {2 * kSector, log_entry({.sequence = 2, .tail = 2 * kSector, .changes = {right}})}});
  World world(spec);
  world.open(Access::read_write).close();
  CHECK(get(world.bytes(), VhdxSpec::kBatAt + kSector, 8) == 0);
  CHECK(get(world.bytes(), VhdxSpec::kBatAt, 8) == (4 * kMiB | 6));
}

TEST_CASE("LastFileOffset: the file grows to it, also to no whole MiB, for reading in memory only") {
  for (const uint64_t size : {9 * kMiB, 8 * kMiB + 5 * kSector, 8 * kMiB + 1000}) {
    INFO("size " << size);
    VhdxSpec spec;
    const LogChange table{VhdxSpec::kBatAt, table_page({{3, 7 * kMiB | 6}}), 0};
    spec.set_log({{0, log_entry({.changes = {table}, .last_size = size})}});
    World world(spec);
    Image image = world.open();
    CHECK(read_all(image) == Bytes(4 * kMiB));
    image.close();
    CHECK(world.bytes().size() == 8 * kMiB);
    world.open(Access::read_write).close();
    CHECK(world.bytes().size() >= size);
  }
}

TEST_CASE("a log that only the table's growth makes sense of: a block behind the old end") {
  VhdxSpec spec;
  const LogChange table{VhdxSpec::kBatAt, table_page({{3, 8 * kMiB | 6}}), 0};
  spec.set_log(
      {{0, log_entry({.changes = {table, {8 * kMiB + kSector, pattern(3 * kMiB + kSector, 4, kSector), 0}}, .last_size = 9 * kMiB})}});
  Bytes disk(4 * kMiB);
  fill_pattern(3 * kMiB + kSector, 4, MutableBytes(disk).subspan(3 * kMiB + kSector, kSector));
  World world(spec);
  Image image = world.open();
  CHECK(read_all(image) == disk);
  image.close();
  Image written = world.open(Access::read_write);
  CHECK(read_all(written) == disk);
}

TEST_CASE("MEM-22: with changes in the log and no sequence number left, opening for writing fails and writes nothing") {
  VhdxSpec spec = dirty();
  spec.headers[1].sequence = UINT64_MAX - 5;
  World world(spec);
  const Bytes before = world.bytes();
  CHECK_ERRC(world.open(Access::read_write), Errc::limit);
  CHECK(world.bytes() == before);
  Image image = world.open();
  CHECK(read_all(image) == dirty_disk());
}

TEST_CASE("RES-7: a log after which the image would be corrupt is not brought into the file") {
  for (const uint64_t target : {VhdxSpec::kMetadataAt, 192 * kKiB, VhdxSpec::kMetadataAt + 64 * kKiB}) {
    INFO("target " << target);
    VhdxSpec spec;
    if (target == 192 * kKiB) spec.torn_regions[1] = true;
    spec.set_log({{0, log_entry({.changes = {{target, {}, kSector}}})}});
    opening_fails(spec, Errc::corrupt);
  }
  VhdxSpec grown;
  Bytes items(kSector);
  put(items, 0, kMiB, 8);
  put(items, 8, kTiB, 8);  // the table of such a disk needs more than its region
  put_guid(items, 16, kUnknown);
  put(items, 32, 512, 4);
  put(items, 36, 4096, 4);
  grown.set_log({{0, log_entry({.changes = {{VhdxSpec::kMetadataAt + 64 * kKiB, items, 0}}})}});
  opening_fails(grown, Errc::corrupt);
}

// ---- ReplayedStorage ---------------------------------------------------------------------------------

/// Entries with random changes of a file of 8 MiB that may grow.
std::map<uint64_t, Bytes> random_log(Rng& rng, uint64_t& size) {
  std::map<uint64_t, Bytes> entries;
  uint64_t position = 0;
  const uint64_t count = rng.between(1, 4);
  for (uint64_t sequence = 1; sequence <= count; ++sequence) {
    LogEntrySpec spec{.sequence = sequence};
    size = spec.last_size = std::max(size, 8 * kMiB + rng.below(64) * kSector);
    for (uint64_t i = rng.below(12); i > 0; --i) {
      const uint64_t offset = 7 * kMiB + kMiB / 2 + rng.below(190) * kSector;
      if (offset + 8 * kSector > spec.last_size) continue;
      if (rng.one_in(2))
        spec.changes.push_back({offset, pattern(offset, rng.below(1000), kSector), 0});
      else
        spec.changes.push_back({offset, {}, rng.below(8) * kSector});
    }
    entries[position] = log_entry(spec);
    position += entries[position].size();
  }
  return entries;
}

class WithoutHoles final : public PassingStorage {
 public:
  using PassingStorage::PassingStorage;
  bool punch_hole(uint64_t, uint64_t) override { return false; }
};

TEST_CASE("RES-6: what reading shows in memory is what replay makes of the file, with holes and without") {
  Rng rng("vhdx replay");
  SHOW_SEED(rng);
  for (uint64_t round = scaled(60); round > 0; --round) {
    VhdxSpec spec;
    spec.data[7 * kMiB + kMiB / 2] = pattern(7 * kMiB, 5, kMiB / 2);
    uint64_t size = 8 * kMiB;
    spec.set_log(random_log(rng, size));
    const auto file = spec.build();
    const vhdx::PendingLog log = vhdx::read_log(*file, vhdx::read_headers(*file).header(), {});
    vhdx::ReplayedStorage shown(file, log);
    REQUIRE(shown.size() == size);
    Bytes in_memory(size);
    shown.read_at(0, in_memory);
    for (int i = 0; i < 20; ++i) {
      const uint64_t offset = 7 * kMiB + rng.below(size - 7 * kMiB);
      Bytes part(rng.below(size - offset + 1));
      shown.read_at(offset, part);
      REQUIRE(std::equal(part.begin(), part.end(), in_memory.begin() + static_cast<ptrdiff_t>(offset)));
    }
    const auto plain = spec.build();
    vhdx::ReplayedStorage(std::make_shared<WithoutHoles>(plain), log).write_into_file();
    REQUIRE(plain->contents() == in_memory);
    shown.write_into_file();
    REQUIRE(file->contents() == in_memory);
  }
}

TEST_CASE("the storage of a replayed log is not to be written to, and ends where it ends") {
  const auto file = dirty().build();
  vhdx::ReplayedStorage shown(file, vhdx::read_log(*file, vhdx::read_headers(*file).header(), {}));
  CHECK_ERRC(shown.write_at(0, filled(1, 1)), Errc::permission);
  CHECK_ERRC(shown.resize(kMiB), Errc::permission);
  Bytes two(2);
  CHECK_ERRC(shown.read_at(8 * kMiB - 1, two), Errc::corrupt);
}

/// Counts the bytes that are written.
class Counting final : public PassingStorage {
 public:
  using PassingStorage::PassingStorage;
  bool punch_hole(uint64_t, uint64_t) override { return false; }
  void write_at(uint64_t offset, ConstBytes data) override {
    written += data.size();
    below_->write_at(offset, data);
  }
  uint64_t written = 0;
};

TEST_CASE("RES-5: a log that zeroes the same range a thousand times costs it once, where no holes can be made") {
  VhdxSpec spec;
  LogEntrySpec bomb;
  for (int i = 0; i < 1000; ++i) bomb.changes.push_back({4 * kMiB, {}, 4 * kMiB});
  spec.set_log({{0, log_entry(bomb)}});
  const auto file = std::make_shared<Counting>(spec.build());
  vhdx::ReplayedStorage(file, vhdx::read_log(*file, vhdx::read_headers(*file).header(), {})).write_into_file();
  CHECK(file->written <= 8 * kMiB);
}

}  // namespace
}  // namespace varve::test
