// What a sparse extent does after calls that failed, on extents that are damaged in one copy, and in the moments between two writes of
// one step: nothing of it may turn into damage later.
#include <algorithm>
#include <array>
#include <memory>
#include <vector>

#include "io/memory_storage.h"
#include "support/storages.h"
#include "support/test.h"
#include "vmdk/sparse_check.h"
#include "vmdk/sparse_extent.h"

namespace varve::vmdk {
namespace {

constexpr uint64_t kGrain = 8 * kSectorSize;
constexpr uint64_t kTableGrains = 512;

std::shared_ptr<MemoryStorage> make_file(uint64_t size) {
  auto file = std::make_shared<MemoryStorage>();
  SparseExtent(file, lay_out_sparse(size, 8, 20, false), {.writable = true}).close();
  return file;
}

SparseHeader header_of(Storage& file) {
  std::array<std::byte, kSectorSize> sector{};
  file.read_at(0, sector);
  return parse_sparse_header(sector, file.size(), Limits{});
}

std::unique_ptr<SparseExtent> open_file(const std::shared_ptr<Storage>& file, const Limits& limits = {}) {
  return std::make_unique<SparseExtent>(file, header_of(*file), SparseMode{.writable = true, .limits = limits});
}

std::shared_ptr<Storage> failing(std::shared_ptr<Storage> file, const std::shared_ptr<test::FaultPlan>& plan) {
  return std::make_shared<test::FaultyStorage>(std::move(file), plan);
}

std::vector<std::byte> filled(uint64_t size, int value) { return std::vector<std::byte>(size, static_cast<std::byte>(value)); }

std::byte byte_at(ExtentDriver& extent, uint64_t offset) {
  std::array<std::byte, 1> out{};
  extent.read_at(offset, out);
  return out[0];
}

void put32(Storage& file, uint64_t offset, uint32_t value) { file.write_at(offset, bytes_of(le32(value))); }

uint32_t get32(Storage& file, uint64_t offset) {
  std::array<std::byte, 4> bytes{};
  file.read_at(offset, bytes);
  return load<le32>(bytes);
}

uint64_t damages_of(const std::shared_ptr<Storage>& file) {
  CheckReport report;
  const CheckOptions options;
  SparseCheck check(file, header_of(*file), options, Limits{}, report);
  check.look();
  for (const Finding& found : report.findings) INFO(found.message);
  return report.damages;
}

TEST_CASE("WRT-4: a growth that failed at any call leaves the disk as it was, and is not taken for done the next time") {
  auto hit = test::Hit::write;
  auto kind = test::FaultKind::io;
  SUBCASE("writes that do nothing") {}
  SUBCASE("writes that stop half way") { kind = test::FaultKind::torn_write; }
  SUBCASE("flushes") { hit = test::Hit::flush; }
  SUBCASE("making the file longer") { hit = test::Hit::resize; }
  for (uint64_t at = 0; at < 30; ++at) {
    CAPTURE(at);
    const auto file = make_file(1 << 20);
    {
      const auto extent = open_file(file);
      extent->write_at(0, filled(kGrain, 1));
      extent->close();
    }
    const auto plan = std::make_shared<test::FaultPlan>(at, kind, false, hit);
    const SparseHeader header = header_of(*file);
    const auto faulty = std::make_unique<SparseExtent>(failing(file, plan), header, SparseMode{.writable = true});
    bool failed = false;
    try {
      faulty->resize(40 << 20);
    } catch (const Error&) {
      failed = true;
    }
    if (!failed) break;
    // Trying again fails or works, and what it says is true.
    try {
      faulty->resize(40 << 20);
      CHECK(byte_at(*faulty, (40 << 20) - 1) == std::byte{0});
    } catch (const Error&) {
    }
    CHECK(byte_at(*faulty, 0) == std::byte{1});
    const auto after = open_file(file);
    CHECK((after->size() == 1 << 20 || after->size() == 40 << 20));
    CHECK(byte_at(*after, 0) == std::byte{1});
    CHECK(byte_at(*after, after->size() - 1) == std::byte{0});
    CHECK(damages_of(file) == 0);
  }
}

TEST_CASE("growing shows zeros even where the last table holds entries behind the disk's end") {
  const auto file = make_file(1 << 20);
  {
    const auto extent = open_file(file);
    extent->write_at(0, filled(kGrain, 1));
    extent->close();
  }
  const SparseHeader header = header_of(*file);
  for (const uint64_t directory : {header.gd_sector, header.rgd_sector}) {
    const uint64_t table = uint64_t{get32(*file, directory * kSectorSize)} * kSectorSize;
    put32(*file, table + header.grain_count() * 4, get32(*file, table));
  }
  {
    const auto extent = open_file(file);
    extent->resize(4 << 20);
    CHECK(byte_at(*extent, 1 << 20) == std::byte{0});
    extent->close();
  }
  CHECK(byte_at(*open_file(file), 1 << 20) == std::byte{0});
  CHECK(damages_of(file) == 0);
}

TEST_CASE("tables that growing adds are empty, though a write that failed has left data at the file's end") {
  const auto file = make_file(1 << 20);
  const auto plan = std::make_shared<test::FaultPlan>(1, test::FaultKind::torn_write, false, test::Hit::write);  // 0 is the unclean mark
  const auto extent = open_file(failing(file, plan));
  CHECK_ERRC(extent->write_at(0, filled(32 * kGrain, 0x77)), Errc::io);
  REQUIRE(plan->struck());
  extent->resize(64 << 20);
  for (uint64_t offset = 0; offset < extent->size(); offset += kGrain) REQUIRE(byte_at(*extent, offset) == std::byte{0});
  extent->close();
  CHECK(damages_of(file) == 0);
}

TEST_CASE("a grain that the end of the file cuts is damage before a write, not zeros after it") {
  const auto file = make_file(1 << 20);
  {
    const auto extent = open_file(file);
    extent->write_at(0, filled(4 * kGrain, 1));
    extent->close();
  }
  file->resize(file->size() - 1024);
  const auto extent = open_file(file);
  CHECK_ERRC(byte_at(*extent, 4 * kGrain - 1), Errc::corrupt);
  CHECK_ERRC(extent->write_at(100 * kGrain, filled(512, 2)), Errc::corrupt);
  CHECK_ERRC(byte_at(*extent, 4 * kGrain - 1), Errc::corrupt);
}

TEST_CASE("a last grain that is stored at the disk's odd size may end with the file") {
  const auto file = make_file((1 << 20) + 512);
  {
    const auto extent = open_file(file);
    extent->write_at(1 << 20, filled(512, 1));
    extent->close();
  }
  file->resize(file->size() - (kGrain - 512));
  const auto extent = open_file(file);
  extent->write_at(0, filled(512, 2));
  CHECK(byte_at(*extent, 1 << 20) == std::byte{1});
  CHECK(byte_at(*extent, 0) == std::byte{2});
}

TEST_CASE("an entry healed from the redundant copy is written back, before the file grows over what the bad one names") {
  const auto file = make_file(8 << 20);
  {
    const auto extent = open_file(file);
    extent->write_at(0, filled(4 * kGrain, 7));
    extent->close();
  }
  const SparseHeader header = header_of(*file);
  const uint64_t table = uint64_t{get32(*file, header.gd_sector * kSectorSize)} * kSectorSize;
  put32(*file, table, static_cast<uint32_t>(file->size() / kSectorSize) + 16);
  {
    const auto extent = open_file(file);
    CHECK(byte_at(*extent, 0) == std::byte{7});
    extent->write_at(kTableGrains * kGrain, filled(64 * kGrain, 9));  // in another table
    extent->close();
  }
  const auto extent = open_file(file);
  CHECK(byte_at(*extent, 0) == std::byte{7});
  CHECK(damages_of(file) == 0);
}

TEST_CASE("nothing is written while a directory places a table outside the file: growing would make that place look right") {
  const auto file = make_file(8 << 20);
  const SparseHeader header = header_of(*file);
  put32(*file, header.gd_sector * kSectorSize, static_cast<uint32_t>(file->size() / kSectorSize) + 64);
  const auto extent = open_file(file);
  CHECK(byte_at(*extent, 0) == std::byte{0});
  CHECK_ERRC(extent->write_at(kTableGrains * kGrain, filled(64 * kGrain, 9)), Errc::corrupt);
}

TEST_CASE("WRT-11: after a table could not be written, no later flush says that all is well") {
  const auto file = make_file(128 << 20);
  const SparseHeader header = header_of(*file);
  for (const uint64_t directory : {header.gd_sector, header.rgd_sector}) put32(*file, directory * kSectorSize, 0);
  // With this little memory the second table makes the extent write its tables.
  Limits limits;
  limits.metadata_bytes = 4 * 32 * kTableGrains * 4;
  for (uint64_t at = 0; at < 20; ++at) {
    CAPTURE(at);
    auto copy = std::make_shared<MemoryStorage>("<copy>", ConstBytes(file->contents()));
    const auto plan = std::make_shared<test::FaultPlan>(at, test::FaultKind::no_space, false, test::Hit::write);
    const auto extent = open_file(failing(copy, plan), limits);
    bool first = false;
    bool done = false;
    try {
      extent->write_at(0, filled(512, 1));
      first = true;
      extent->write_at(32 * kTableGrains * kGrain - 512, filled(1024, 2));
    } catch (const Error&) {
    }
    try {
      extent->flush();
      extent->close();
      done = true;
    } catch (const Error&) {
    }
    if (!plan->struck()) break;
    if (first && done) CHECK(byte_at(*open_file(copy), 0) == std::byte{1});
    CHECK(damages_of(copy) == 0);
  }
}

TEST_CASE("WRT-7: new tables for empty directory entries: at every moment the check finds no damage") {
  const auto file = make_file(8 << 20);
  const SparseHeader header = header_of(*file);
  for (const uint64_t directory : {header.gd_sector, header.rgd_sector}) put32(*file, directory * kSectorSize, 0);
  const auto before = file->contents();
  const auto log = std::make_shared<test::EventLog>();
  const auto extent = open_file(std::make_shared<test::RecordingStorage>(file, log));
  extent->write_at(0, filled(2 * kGrain, 1));
  extent->close();
  const auto events = log->events();
  for (size_t count = 0; count <= events.size(); ++count) {
    CAPTURE(count);
    auto cut = std::make_shared<MemoryStorage>("<cut>", ConstBytes(before));
    for (size_t i = 0; i < count; ++i) test::replay(events[i], *cut);
    CHECK(damages_of(cut) == 0);
    const auto opened = open_file(cut);
    opened->write_at(kTableGrains * kGrain, filled(512, 3));
    opened->close();
    CHECK(damages_of(cut) == 0);
  }
}

TEST_CASE("with one directory that can't be read an extent is still read, but not written to: growth would lose the tables it names") {
  const auto file = make_file(8 << 20);
  {
    const auto extent = open_file(file);
    extent->write_at(0, filled(kGrain, 7));
    extent->close();
  }
  for (const uint64_t directory : {0, 1}) {
    const auto plan = [&] { return std::make_shared<test::FaultPlan>(directory, test::FaultKind::io, false, test::Hit::read); };
    SparseExtent reader(failing(file, plan()), header_of(*file), {});
    CHECK(byte_at(reader, 0) == std::byte{7});
    CHECK_ERRC(SparseExtent(failing(file, plan()), header_of(*file), SparseMode{.writable = true}), Errc::io);
  }
}

TEST_CASE("a host that can't free space costs the space, not the flush") {
  const auto file = make_file(1 << 20);
  const auto plan = std::make_shared<test::FaultPlan>(0, test::FaultKind::io, true, test::Hit::punch);
  const auto extent = open_file(failing(file, plan));
  extent->write_at(0, filled(kGrain, 1));
  extent->flush();
  CHECK(extent->zero(0, kGrain));
  extent->flush();
  CHECK(plan->struck());
  extent->close();
  CHECK(byte_at(*open_file(file), 0) == std::byte{0});
}

}  // namespace
}  // namespace varve::vmdk
