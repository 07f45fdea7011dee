// In which order a sparse extent reaches the medium, and what each moment of it would leave behind.
#include <algorithm>
#include <array>
#include <memory>
#include <string>
#include <vector>

#include "io/memory_storage.h"
#include "support/storages.h"
#include "support/test.h"
#include "vmdk/sparse_extent.h"

namespace varve::vmdk {
namespace {

using test::StorageEvent;
using Kind = test::StorageEvent::Kind;

constexpr uint64_t kGrain = 64 * 1024;

/// An extent with one grain at 0, closed, and a recording of what is done to it later.
struct Recorded {
  Recorded() {
    SparseExtent made(file, lay_out_sparse(uint64_t{100} << 20, 128, 20, false), {.writable = true});
    made.write_at(0, std::vector<std::byte>(kGrain, std::byte{1}));
    made.close();
    before = file->contents();
    std::array<std::byte, 512> sector{};
    file->read_at(0, sector);
    header = parse_sparse_header(sector, file->size(), Limits{});
    extent = std::make_unique<SparseExtent>(std::make_shared<test::RecordingStorage>(file, log), header, SparseMode{.writable = true});
  }

  /// "unclean", "clean", "descriptor", "RGD", "RGT", "GD", "GT", "grain", "flush", "punch".
  std::string name_of(const StorageEvent& event) const {
    if (event.kind == Kind::flush) return "flush";
    if (event.kind == Kind::punch) return "punch";
    if (event.kind != Kind::write) return "resize";
    const uint64_t sector = event.offset / kSectorSize;
    if (sector == 0) return event.data[72] != std::byte{0} ? "unclean" : "clean";
    if (sector < header.rgd_sector) return "descriptor";
    if (sector >= header.overhead_sectors) return "grain";
    const bool redundant = sector < header.gd_sector;
    const bool in_directory = sector - (redundant ? header.rgd_sector : header.gd_sector) < 1;
    return std::string(redundant ? "RG" : "G") + (in_directory ? "D" : "T");
  }

  std::string order() const {
    std::string names;
    for (const StorageEvent& event : log->events()) names += (names.empty() ? "" : " ") + name_of(event);
    return names;
  }

  std::shared_ptr<MemoryStorage> file = std::make_shared<MemoryStorage>();
  std::shared_ptr<test::EventLog> log = std::make_shared<test::EventLog>();
  std::vector<std::byte> before;
  SparseHeader header;
  std::unique_ptr<SparseExtent> extent;
};

TEST_CASE("a flush writes grains, flushes, redundant tables, flushes, tables, flushes") {
  Recorded r;
  r.extent->write_at(5 * kGrain, std::vector<std::byte>(kGrain, std::byte{2}));
  r.extent->flush();
  CHECK(r.order() == "unclean flush grain flush RGT flush GT flush");
  r.log->clear();
  r.extent->close();
  CHECK(r.order() == "clean flush");
}

TEST_CASE("a flush after overwriting what exists is one flush, and one after nothing is none") {
  Recorded r;
  r.extent->write_at(100, std::vector<std::byte>(10, std::byte{2}));
  r.log->clear();
  r.extent->flush();
  CHECK(r.order() == "flush");
  r.log->clear();
  r.extent->flush();
  CHECK(r.order().empty());
}

TEST_CASE("reading, and closing without a write, change nothing") {
  Recorded r;
  std::vector<std::byte> out(kGrain);
  r.extent->read_at(0, out);
  r.extent->flush();
  r.extent->close();
  CHECK(r.log->size() == 0);
}

TEST_CASE("a grain's space is freed only after the tables that no longer name it are durable") {
  Recorded r;
  r.extent->discard(0, kGrain);
  CHECK(r.order() == "unclean flush");
  r.extent->flush();
  CHECK(r.order() == "unclean flush flush RGT flush GT flush punch");
}

TEST_CASE("WRT-7: at every prefix of the writes the extent opens, old data is there and new data is whole or absent") {
  Recorded r;
  const std::vector<std::byte> data(3 * kGrain, std::byte{7});
  r.extent->write_at(10 * kGrain, data);
  r.extent->flush();
  r.extent->write_at(600 * kGrain + 1000, data);  // in the second table
  r.extent->write_at(0, data);
  r.extent->flush();
  r.extent->close();
  const auto events = r.log->events();
  for (size_t count = 0; count <= events.size(); ++count) {
    CAPTURE(count);
    auto file = std::make_shared<MemoryStorage>("<cut>", ConstBytes(r.before));
    for (size_t i = 0; i < count; ++i) test::replay(events[i], *file);
    std::array<std::byte, 512> sector{};
    file->read_at(0, sector);
    SparseExtent extent(file, parse_sparse_header(sector, file->size(), Limits{}), SparseMode{.writable = true});
    std::vector<std::byte> out(3 * kGrain);
    extent.read_at(10 * kGrain, out);
    CHECK((out == data || out == std::vector<std::byte>(out.size())));
    extent.read_at(0, MutableBytes(out).first(kGrain));
    CHECK((out[0] == std::byte{1} || out[0] == std::byte{7}));
    // And it can be written on: no grain has two owners.
    extent.write_at(20 * kGrain, data);
    extent.close();
  }
}

TEST_CASE("after a crash the redundant tables are made equal with the first flush") {
  Recorded r;
  // A crash between the writing of the two copies: entry 9 of the redundant table only, and the unclean mark.
  const le32 entry = static_cast<uint32_t>(r.header.overhead_sectors);
  const uint64_t redundant = (r.header.rgd_sector + 1) * kSectorSize;
  r.file->write_at(redundant + 9 * 4, bytes_of(entry));
  r.header.unclean = true;
  SparseExtent extent(r.file, r.header, SparseMode{.writable = true});
  extent.write_at(0, std::vector<std::byte>(512, std::byte{3}));
  extent.flush();
  std::array<std::byte, 4> bytes{};
  r.file->read_at(redundant + 9 * 4, bytes);
  CHECK(load<le32>(bytes) == 0);
}

TEST_CASE("growing is switched to by one sector: every moment is the old disk or the new one") {
  Recorded r;
  const uint64_t larger = uint64_t{900} << 20;
  r.extent->write_at(kGrain, std::vector<std::byte>(kGrain, std::byte{5}));
  r.extent->flush();
  const auto start = r.file->contents();
  r.log->clear();
  r.extent->resize(larger);
  r.extent->write_at(larger - 512, std::vector<std::byte>(512, std::byte{6}));
  r.extent->close();
  const auto events = r.log->events();
  for (size_t count = 0; count <= events.size(); ++count) {
    auto file = std::make_shared<MemoryStorage>("<cut>", ConstBytes(start));
    for (size_t i = 0; i < count; ++i) test::replay(events[i], *file);
    std::array<std::byte, 512> sector{};
    file->read_at(0, sector);
    SparseExtent extent(file, parse_sparse_header(sector, file->size(), Limits{}), SparseMode{.writable = true});
    CHECK((extent.size() == r.header.capacity_bytes() || extent.size() == larger));
    std::vector<std::byte> out(2 * kGrain);
    extent.read_at(0, out);
    CHECK(out[0] == std::byte{1});
    CHECK(out[kGrain] == std::byte{5});
  }
}

TEST_CASE("WRT-11 WRT-9: a failed flush is reported, and the tables are not written before their grains are safe") {
  for (uint64_t at = 0; at < 4; ++at) {
    CAPTURE(at);
    const auto file = std::make_shared<MemoryStorage>();
    {
      SparseExtent made(file, lay_out_sparse(uint64_t{10} << 20, 128, 20, false), {.writable = true});
      made.close();
    }
    std::array<std::byte, 512> sector{};
    file->read_at(0, sector);
    const SparseHeader header = parse_sparse_header(sector, file->size(), Limits{});
    const auto plan = std::make_shared<test::FaultPlan>(at, test::FaultKind::io, true, test::Hit::flush);
    SparseExtent extent(std::make_shared<test::FaultyStorage>(file, plan), header, SparseMode{.writable = true});
    const auto work = [&] {
      extent.write_at(0, std::vector<std::byte>(512, std::byte{1}));
      extent.flush();
    };
    CHECK_ERRC(work(), Errc::io);
    file->read_at(0, sector);
    SparseExtent after(file, parse_sparse_header(sector, file->size(), Limits{}), SparseMode{});
    std::vector<std::byte> out(512);
    after.read_at(0, out);
    if (at < 3) CHECK(out[0] == std::byte{0});
  }
}

}  // namespace
}  // namespace varve::vmdk
