// The shape of a streamOptimized file, structure by structure.
#include "vmdk/stream_writer.h"

#include <algorithm>
#include <vector>

#include "base/random.h"
#include "codec/deflate.h"
#include "io/memory_storage.h"
#include "support/test.h"

namespace varve::vmdk {
namespace {

std::vector<std::byte> disk_of(uint64_t size, bool incompressible) {
  std::vector<std::byte> disk(size);
  SeededRandom random(1);
  if (incompressible)
    random.fill(disk);
  else
    for (size_t i = 0; i < size; i += 100000) disk[i] = std::byte{1};
  return disk;
}

/// As a copy does it: every unit that is not all zeros, or in pieces of several units.
std::vector<std::byte> write_stream(ConstBytes disk, bool append_only, uint64_t units = 1) {
  auto file = std::make_shared<MemoryStorage>();
  StreamParameters parameters;
  parameters.size = disk.size();
  parameters.descriptor = "# Disk DescriptorFile\nversion=1\n";
  parameters.descriptor_sectors = 20;
  parameters.append_only = append_only;
  StreamWriter writer(file, parameters);
  BulkWriter& bulk = *writer.bulk_writer();
  const uint64_t step = bulk.unit() * units;
  for (uint64_t at = 0; at < disk.size(); at += step) {
    const auto piece = bulk.encode(at, disk.subspan(at, std::min<uint64_t>(step, disk.size() - at)));
    bulk.place(*piece);
    bulk.store(*piece);
  }
  writer.close();
  return file->contents();
}

SparseHeader footer_of(const std::vector<std::byte>& file) {
  return parse_sparse_header(ConstBytes(file).subspan(file.size() - 1024, 512), file.size(), Limits{});
}

TEST_CASE("a stream ends in footer marker, footer and an all-zero sector, and its header says that the directory is at the end") {
  const std::vector<std::vector<std::byte>> disks = {std::vector<std::byte>(1 << 20),  disk_of(1 << 20, true),
                                                     disk_of((1 << 20) + 1536, true),  disk_of(512, true),
                                                     disk_of((1 << 20) + 1536, false), disk_of(uint64_t{100} << 20, false)};
  for (const auto& disk : disks) {
    CAPTURE(disk.size());
    const auto file = write_stream(disk, false);
    REQUIRE(file.size() % 512 == 0);
    const auto marker = load<MarkerRaw>(file, file.size() - 1536);
    CHECK(marker.value == 1);
    CHECK(marker.size == 0);
    CHECK(marker.type == static_cast<uint32_t>(MarkerType::footer));
    CHECK(std::ranges::all_of(ConstBytes(file).last(512), [](std::byte b) { return b == std::byte{0}; }));
    const SparseHeader header = parse_sparse_header(file, file.size(), Limits{});
    CHECK(header.gd_at_end());
    CHECK(header.version == 3);
    CHECK(header.flags == 0x30001);
    CHECK(header.overhead_sectors == 128);
    CHECK(header.capacity_sectors == disk.size() / 512);
    const SparseHeader footer = footer_of(file);
    CHECK_FALSE(footer.gd_at_end());
    CHECK(footer.capacity_sectors == header.capacity_sectors);
    CHECK(footer.grain_sectors == header.grain_sectors);
    CHECK(load<MarkerRaw>(file, footer.gd_sector * 512 - 512).type == static_cast<uint32_t>(MarkerType::grain_directory));
  }
}

TEST_CASE("each table stands behind its marker, and each entry finds a marker with its LBA and a full grain") {
  const auto disk = disk_of((uint64_t{70} << 20) + 1536, false);
  const auto file = write_stream(disk, false);
  const SparseHeader footer = footer_of(file);
  uint64_t last = 0;
  Inflater inflater;
  for (uint64_t grain = 0; grain < footer.grain_count(); ++grain) {
    const uint64_t table = load<le32>(file, footer.gd_sector * 512 + grain / 512 * 4);
    const auto begin = static_cast<std::ptrdiff_t>(grain * 65536);
    const auto end = std::min<std::ptrdiff_t>(begin + 65536, static_cast<std::ptrdiff_t>(disk.size()));
    const bool zero = std::all_of(disk.begin() + begin, disk.begin() + end, [](std::byte b) { return b == std::byte{0}; });
    const uint64_t sector = table == 0 ? le32(0) : load<le32>(file, table * 512 + grain % 512 * 4);
    CHECK((sector == 0) == zero);
    if (sector == 0) continue;
    CHECK(load<MarkerRaw>(file, table * 512 - 512).type == static_cast<uint32_t>(MarkerType::grain_table));
    CHECK(load<MarkerRaw>(file, table * 512 - 512).value == 4);
    CHECK(sector >= 128);
    CHECK(sector > last);  // MEM-25: ascending
    last = sector;
    const auto marker = load<MarkerRaw>(file, sector * 512);
    CHECK(marker.value == grain * 128);
    std::vector<std::byte> out(65536);
    size_t consumed = 0;
    CHECK(inflater.inflate(ConstBytes(file).subspan(sector * 512 + 12, marker.size), out, &consumed) == 65536);
    CHECK(consumed == marker.size);
    CHECK(std::equal(disk.begin() + begin, disk.begin() + end, out.begin()));
  }
}

TEST_CASE("a pipe gets the same bytes as a file, and pieces of any number of units give the same file") {
  const auto disk = disk_of((uint64_t{70} << 20) + 512, false);
  const auto file = write_stream(disk, false);
  CHECK(write_stream(disk, true) == file);
  CHECK(write_stream(disk, false, 5) == file);
}

TEST_CASE("random access to a stream being written is unsupported, but zeros that are still to come are fine") {
  StreamParameters parameters;
  parameters.size = 4 << 20;
  parameters.descriptor_sectors = 20;
  StreamWriter writer(std::make_shared<MemoryStorage>(), parameters);
  CHECK_ERRC(writer.write_at(0, std::vector<std::byte>(512)), Errc::unsupported);
  CHECK(writer.zero(0, 4 << 20));
}

}  // namespace
}  // namespace varve::vmdk
