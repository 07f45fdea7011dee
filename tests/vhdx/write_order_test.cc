// In which order an image reaches the medium, and what its headers say meanwhile [MS-VHDX 2.2.2, 2.3].
#include <algorithm>

#include "support/image_kit.h"
#include "support/pattern.h"
#include "support/storages.h"
#include "vhdx/builder.h"

namespace varve::test {
namespace {

using Kind = StorageEvent::Kind;

/// An empty disk of 64 blocks, block 0 present, opened through a recording.
struct Recorded {
  explicit Recorded(VhdxSpec image = sound()) : spec(std::move(image)), world(spec), recording(world.files, log) {
    OpenOptions how;
    how.access = Access::read_write;
    how.format = "vhdx";
    how.file_system = &recording;
    disk.emplace(Image::open(World::kPath, how));
    log->clear();
  }
  static VhdxSpec sound() {
    VhdxSpec spec(64 * kMiB);
    spec.set_block(0, 6, 4 * kMiB);
    return spec;
  }

  static std::string name_of(const StorageEvent& event) {
    if (event.kind == Kind::flush) return "flush";
    if (event.kind == Kind::punch) return "punch";
    if (event.kind == Kind::resize) return "resize";
    if (event.offset < 192 * kKiB) return "header";
    if (event.offset < VhdxSpec::kLogAt) return "regions";
    if (event.offset < VhdxSpec::kMetadataAt) return "log";
    if (event.offset < VhdxSpec::kBatAt) return "metadata";
    return event.offset < VhdxSpec::kBlocksAt ? "table" : "data";
  }
  /// Events that follow each other and are alike are told once.
  std::string order() const {
    std::string names;
    std::string last;
    for (const StorageEvent& event : log->events()) {
      const std::string name = name_of(event);
      if (name != last || name == "flush") names += (names.empty() ? "" : " ") + name;
      last = name;
    }
    return names;
  }
  uint64_t count(const std::string& name) const {
    const auto events = log->events();
    return static_cast<uint64_t>(std::count_if(events.begin(), events.end(), [&](const auto& event) { return name_of(event) == name; }));
  }
  Bytes header(size_t copy) const {
    Bytes bytes(4096);
    world.files.find(World::kPath)->read_at(64 * kKiB * (1 + copy), bytes);
    return bytes;
  }

  VhdxSpec spec;
  World world;
  std::shared_ptr<EventLog> log = std::make_shared<EventLog>();
  RecordingFileSystem recording;
  std::optional<Image> disk;
};

TEST_CASE("opening for writing, reading and closing write nothing") {
  Recorded r;
  read_all(*r.disk);
  r.disk->flush();
  r.disk->close();
  CHECK(r.log->size() == 0);
}

TEST_CASE("before anything else a header gets new GUIDs; before the first change the log gets an entry, then both headers bear its GUID") {
  Recorded r;
  r.disk->write_at(0, filled(512, 1));
  CHECK(r.order() == "header flush log flush header flush header flush data");
  for (const size_t copy : {size_t{0}, size_t{1}}) {
    CHECK(get_guid(r.header(copy), 16) != kFileGuid);
    CHECK(get_guid(r.header(copy), 32) != kDataGuid);
    CHECK(get_guid(r.header(copy), 48) != kNoGuid);
    for (const uint64_t guid : {16, 32, 48}) CHECK(get_guid(r.header(copy), guid) == get_guid(r.header(1 - copy), guid));
  }
  CHECK(get(r.header(0), 8, 8) + get(r.header(1), 8, 8) == 4 + 5);
  r.log->clear();
  r.disk->write_at(1024, filled(512, 1));
  r.disk->write_at(5 * kMiB, filled(512, 1));
  CHECK(r.count("header") == 0);
}

TEST_CASE("a clean close: everything in place and durable, then both headers say that the log is empty") {
  Recorded r;
  r.disk->write_at(5 * kMiB, filled(512, 1));
  const std::string file = get_guid(r.header(0), 16);
  const std::string data = get_guid(r.header(0), 32);
  r.log->clear();
  r.disk->close();
  CHECK(r.order() == "flush log flush table flush header flush header flush");
  for (const size_t copy : {size_t{0}, size_t{1}}) {
    CHECK(get_guid(r.header(copy), 48) == kNoGuid);
    CHECK(get_guid(r.header(copy), 32) == data);
    CHECK(get_guid(r.header(copy), 16) == file);
  }
  CHECK(get(r.header(0), 8, 8) + get(r.header(1), 8, 8) == 6 + 7);
}

TEST_CASE("a flush with many updates pending: data, flush, one entry of the log, flush, and only then the table") {
  Recorded r;
  r.disk->write_at(0, filled(1, 1));
  r.disk->flush();
  r.log->clear();
  for (uint64_t block = 1; block < 60; ++block) r.disk->write_at(block * kMiB + 77, pattern(0, block, 5000));
  CHECK(r.count("table") + r.count("log") + r.count("flush") == 0);
  r.log->clear();
  r.disk->flush();
  CHECK(r.order() == "flush log flush table");
  CHECK(r.log->count(Kind::flush) == 2);
  CHECK(r.count("log") == 1);
}

TEST_CASE("a flush after overwriting what is there is one flush; one after nothing is none") {
  Recorded r;
  r.disk->write_at(0, filled(1, 1));
  r.disk->flush();
  r.log->clear();
  r.disk->write_at(100, filled(5, 1));
  r.disk->flush();
  CHECK(r.order() == "data flush");
  r.log->clear();
  r.disk->flush();
  CHECK(r.order().empty());
}

/// What each entry of the log holds, by place, from the recorded write (in one piece or two, at the ring's end).
std::map<uint64_t, Bytes> contents_of(const Bytes& entry) {
  std::map<uint64_t, Bytes> pages;
  const uint64_t count = get(entry, 24, 4);
  uint64_t sector = (64 + 32 * count + 4095) / 4096 * 4096;
  for (uint64_t i = 0; i < count; ++i, sector += 4096) {
    const uint64_t at = 64 + 32 * i;
    Bytes page(entry.begin() + static_cast<ptrdiff_t>(sector), entry.begin() + static_cast<ptrdiff_t>(sector + 4096));
    std::copy_n(entry.begin() + static_cast<ptrdiff_t>(at + 8), 8, page.begin());
    std::copy_n(entry.begin() + static_cast<ptrdiff_t>(at + 4), 4, page.end() - 4);
    pages[get(entry, at + 16, 8)] = page;
  }
  return pages;
}

TEST_CASE(
    "WRT-2: no page of the table is written before a durable entry of the log holds it, and no entry is overwritten before its pages are") {
  Recorded r;
  for (uint64_t round = 0; round < 400; ++round) {
    const uint64_t block = (round * 37) % 63 + 1;
    if (round % 5 == 4)
      r.disk->discard(block * kMiB, kMiB);
    else
      r.disk->write_at(block * kMiB, pattern(0, round, 3000));
    if (round % 3 == 0) r.disk->flush();
  }
  r.disk->close();

  std::map<uint64_t, Bytes> promised;   // by the newest durable entry
  std::map<uint64_t, Bytes> candidate;  // of an entry that no flush has covered
  std::map<uint64_t, bool> in_place;
  Bytes entry;
  uint64_t tables = 0;
  for (const StorageEvent& event : r.log->events()) {
    const std::string name = Recorded::name_of(event);
    if (name == "log") {
      const bool continues = !entry.empty() && entry.size() < get(entry, 8, 4);
      if (!continues) {
        for (const auto& [place, durable] : in_place) CHECK_MESSAGE(durable, "the log went on before a page was durable");
        entry.clear();
      }
      entry.insert(entry.end(), event.data.begin(), event.data.end());
      if (entry.size() == get(entry, 8, 4)) candidate = contents_of(entry);
    } else if (name == "flush") {
      for (auto& [place, durable] : in_place) durable = true;
      if (!candidate.empty()) promised = std::exchange(candidate, {});
    } else if (name == "table" || name == "metadata") {
      ++tables;
      REQUIRE(promised.contains(event.offset));
      CHECK(promised.at(event.offset) == event.data);
      in_place[event.offset] = false;
    }
  }
  CHECK(tables > 50);
}

TEST_CASE("blocks that are given up are used again only after a flush and the next one, and read as zeros then") {
  Recorded r;
  for (uint64_t block = 1; block < 4; ++block) r.disk->write_at(block * kMiB, filled(kMiB, 0xee));
  r.disk->flush();
  const uint64_t size = r.world.files.find(World::kPath)->size();
  r.disk->discard(kMiB, 2 * kMiB);
  r.disk->write_at(10 * kMiB, filled(1, 1));
  CHECK(r.world.files.find(World::kPath)->size() == size + kMiB);
  for (int flush = 0; flush < 2; ++flush) {
    r.disk->write_at(10 * kMiB, filled(1, 2));
    r.disk->flush();
  }
  r.disk->write_at(11 * kMiB + 5, filled(1, 1));
  r.disk->write_at(12 * kMiB + 5, filled(1, 1));
  CHECK(r.world.files.find(World::kPath)->size() == size + kMiB);
  Bytes expected(kMiB);
  expected[5] = std::byte{1};
  CHECK(read_some(*r.disk, 11 * kMiB, kMiB) == expected);
  CHECK(read_some(*r.disk, 12 * kMiB, kMiB) == expected);
  r.disk->close();
  Image again = r.world.open();
  CHECK(damages(again) == "");
  CHECK(read_some(again, 11 * kMiB, kMiB) == expected);
}

TEST_CASE("what a cut left behind in the file is found, used again and zeroed first") {
  VhdxSpec spec = Recorded::sound();
  spec.data[5 * kMiB] = filled(3 * kMiB, 0xee);
  World world(spec);
  {
    Image image = world.open(Access::read_write);
    for (uint64_t block = 1; block < 4; ++block) image.write_at(block * kMiB + 9, filled(1, 1));
    image.close();
  }
  CHECK(world.files.find(World::kPath)->size() == 8 * kMiB);
  Image image = world.open();
  Bytes expected(kMiB);
  expected[9] = std::byte{1};
  for (uint64_t block = 1; block < 4; ++block) CHECK(read_some(image, block * kMiB, kMiB) == expected);
}

TEST_CASE("close cuts off free space at the end of the file") {
  Recorded r;
  for (uint64_t block = 1; block < 10; ++block) r.disk->write_at(block * kMiB, filled(kMiB, 1));
  r.disk->flush();
  r.disk->discard(3 * kMiB, 7 * kMiB);
  r.disk->close();
  CHECK(r.world.files.find(World::kPath)->size() <= 8 * kMiB);
  Image image = r.world.open();
  CHECK(damages(image) == "");
}

TEST_CASE("a new block behind a last block that was cut short lies behind all of it") {
  VhdxSpec spec(3 * kMiB + 512, 2 * kMiB);
  spec.set_block(1, 6, 4 * kMiB);
  spec.data[4 * kMiB] = pattern(2 * kMiB, 1, kMiB + 512);
  spec.file_size = 5 * kMiB + 512;
  spec.data.erase(0);
  VhdxSpec tight(2 * kMiB + 512, 2 * kMiB);
  tight.set_block(1, 6, 4 * kMiB);
  tight.data[4 * kMiB] = pattern(2 * kMiB, 1, 512);
  tight.file_size = 4 * kMiB + 512;
  for (const VhdxSpec& one : {spec, tight}) {
    World world(one);
    {
      Image image = world.open(Access::read_write);
      image.write_at(0, pattern(0, 2, 2 * kMiB));
      image.close();
    }
    Image image = world.open(Access::read_write);
    CHECK(damages(image) == "");
    image.resize(4 * kMiB);
    Bytes disk(4 * kMiB);
    fill_pattern(0, 2, MutableBytes(disk).first(2 * kMiB));
    fill_pattern(2 * kMiB, 1, MutableBytes(disk).subspan(2 * kMiB, one.disk_size - 2 * kMiB));
    CHECK(read_all(image) == disk);
    image.write_at(4096, filled(1, 1));
    image.close();
  }
}

}  // namespace
}  // namespace varve::test
