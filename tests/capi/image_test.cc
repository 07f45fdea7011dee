// What an image tells of itself, and I/O that waits.
#include <algorithm>
#include <fstream>
#include <numeric>

#include "capi/kit.h"
#include "support/test.h"

using namespace varve::test;

namespace {

constexpr uint64_t kSize = 4 << 20;
constexpr const char* kFormats[] = {"raw", "vmdk", "vhdx", "varve"};

varve_limits limits_of(const Disk& disk) {
  varve_limits limits;
  Told told;
  must(varve_get_limits(disk.get(), &limits, told), told);
  return limits;
}

varve_extent extent_at(const Disk& disk, uint64_t offset) {
  varve_extent extent;
  Told told;
  must(varve_extent_at(disk.get(), offset, &extent, told), told);
  CHECK(extent.offset == offset);
  CHECK(extent.length > 0);
  return extent;
}

}  // namespace

TEST_CASE("the version is the header's, as number and as text") {
  CHECK(varve_version() == (uint64_t{VARVE_VERSION_MAJOR} << 32 | uint64_t{VARVE_VERSION_MINOR} << 16 | VARVE_VERSION_PATCH));
  const std::string text =
      std::to_string(VARVE_VERSION_MAJOR) + "." + std::to_string(VARVE_VERSION_MINOR) + "." + std::to_string(VARVE_VERSION_PATCH);
  CHECK(varve_version_string() == text);
}

TEST_CASE("features are known by name, and what is not known is 0") {
  for (const char* name : {"queues", "encryption", "snapshots", "convert", "format:raw", "format:varve", "format:vmdk:create",
                           "format:varve:snapshots", "format:varve:encryption", "format:vhdx:resize", "format:vmdk:parent"}) {
    CAPTURE(name);
    CHECK(varve_has_feature(name) == 1);
  }
  for (const char* name : {"", "queue", "format", "format:", "format:qcow2", "format:raw:", "format:raw:snapshots", "format:raw:parent",
                           "format:varve:write:x", "Queues"}) {
    CAPTURE(name);
    CHECK(varve_has_feature(name) == 0);
  }
}

TEST_CASE("what is written reads back, at any alignment, and survives being closed") {
  const TempDir dir;
  for (const std::string format : kFormats) {
    CAPTURE(format);
    const Options how = options({{"format", format}, {"read-only", "off"}});
    Disk disk = create(dir / format, kSize, how);
    CHECK(varve_size(disk.get()) == kSize);
    CHECK(varve_is_writable(disk.get()) == 1);
    write(disk, 1, pattern(1, 70001));
    write(disk, kSize - 3, pattern(kSize - 3, 3), VARVE_FUA);
    Told told;
    must(varve_zero(disk.get(), 1000, 33333, VARVE_FUA, told), told);
    must(varve_flush(disk.get(), told), told);
    Block expected(kSize);
    const auto put = [&](uint64_t at, const Block& data) { std::copy(data.begin(), data.end(), expected.begin() + static_cast<long>(at)); };
    put(1, pattern(1, 70001));
    put(kSize - 3, pattern(kSize - 3, 3));
    std::fill_n(expected.begin() + 1000, 33333, static_cast<unsigned char>(0));
    CHECK(read(disk, 0, kSize) == expected);
    close(std::move(disk));
    disk = open(dir / format, how);
    CHECK(read(disk, 0, kSize) == expected);
    must(varve_discard(disk.get(), kSize / 2, kSize / 4, VARVE_FUA, told), told);
    CHECK(read(disk, 0, kSize) == expected);  // nothing was there
  }
}

TEST_CASE("with FUA a change is on the medium when it ends, without it when it is flushed") {
  MemoryFile memory;
  memory.set_bytes(Block(kSize));
  const Disk disk = open(memory.storage("a.raw"), options({{"format", "raw"}, {"read-only", "off"}}));
  const auto flushes = [&] { return memory.count(MemoryFile::Operation::flush); };
  Told told;
  write(disk, 0, pattern(0, 512));
  must(varve_zero(disk.get(), 4096, 4096, 0, told), told);
  must(varve_discard(disk.get(), 8192, 4096, 0, told), told);
  CHECK(flushes() == 0);
  write(disk, 0, pattern(0, 512), VARVE_FUA);
  CHECK(flushes() == 1);
  must(varve_zero(disk.get(), 4096, 4096, VARVE_FUA, told), told);
  CHECK(flushes() == 2);
  must(varve_discard(disk.get(), 8192, 4096, VARVE_FUA, told), told);
  CHECK(flushes() == 3);
  must(varve_flush(disk.get(), told), told);
  CHECK(flushes() == 4);
}

TEST_CASE("after closing an image is read, and nothing is changed any more; closing again does nothing") {
  const TempDir dir;
  const Disk disk = create(dir / "a.varve", kSize, options({{"format", "varve"}}));
  write(disk, 0, pattern(0, 5000));
  Told told;
  must(varve_close(disk.get(), told), told);
  must(varve_close(disk.get(), told), told);
  CHECK(read(disk, 0, 5000) == pattern(0, 5000));
  CHECK(refused(varve_write(disk.get(), 0, "x", 1, 0, told), told) == VARVE_PERMISSION);
  CHECK(refused(varve_snapshot_create(disk.get(), "late", 0, told), told) == VARVE_PERMISSION);
}

TEST_CASE("a created image that is not closed leaves nothing, an opened one keeps what was flushed") {
  const TempDir dir;
  const Options how = options({{"format", "varve"}, {"read-only", "off"}});
  create(dir / "a.varve", kSize, how).reset();
  CHECK_FALSE(std::ifstream(dir / "a.varve"));
  close(create(dir / "a.varve", kSize, how));
  Disk disk = open(dir / "a.varve", how);
  write(disk, 0, pattern(0, 4096), VARVE_FUA);
  disk.reset();
  CHECK(read(open(dir / "a.varve", how), 0, 4096) == pattern(0, 4096));
}

TEST_CASE("limits are powers of two that a guest can use, for every format") {
  const TempDir dir;
  for (const std::string format : kFormats) {
    CAPTURE(format);
    const varve_limits limits = limits_of(create(dir / format, kSize, options({{"format", format}})));
    CHECK(limits.logical_sector == 512);
    for (const uint32_t size : {limits.physical_sector, limits.best_request, limits.memory_alignment}) {
      CHECK(size != 0);
      CHECK((size & (size - 1)) == 0);
    }
    CHECK(limits.physical_sector >= limits.logical_sector);
    CHECK(limits.best_request >= 4096);
    if (limits.discard_granularity != 0) CHECK(limits.discard_granularity >= limits.logical_sector);
    CHECK(limits.queue_depth == 4096);
    CHECK(limits.largest_request >= 1 << 20);
    CHECK(std::accumulate(std::begin(limits.reserved), std::end(limits.reserved), uint64_t{0}) == 0);
  }
}

TEST_CASE("limits tell a disk's sectors as the image says them") {
  const TempDir dir;
  const Options how = options({{"format", "vhdx"}, {"create.logical_sector_size", "4096"}});
  close(create(dir / "a.vhdx", kSize, how));
  const varve_limits limits = limits_of(open(dir / "a.vhdx", options({{"format", "vhdx"}})));
  CHECK(limits.logical_sector == 4096);
  CHECK(limits.physical_sector == 4096);
}

TEST_CASE("extents cover the disk and tell data, zeros and what is stored nowhere") {
  const TempDir dir;
  constexpr uint64_t kLarge = 128 << 20;  // of a VHDX some blocks
  for (const std::string format : {"vmdk", "vhdx", "varve"}) {
    CAPTURE(format);
    const Disk disk = create(dir / format, kLarge, options({{"format", format}}));
    write(disk, 0, pattern(0, 65536));
    uint64_t covered = 0;
    while (covered < kLarge) covered += extent_at(disk, covered).length;
    CHECK(covered == kLarge);
    CHECK(extent_at(disk, 0).kind == VARVE_EXTENT_DATA);
    CHECK(extent_at(disk, 100).depth == 0);
    CHECK(extent_at(disk, kLarge / 2).kind == VARVE_EXTENT_ABSENT);
  }
}

TEST_CASE("an extent of a child tells the layer that holds it") {
  const TempDir dir;
  Disk base = create(dir / "base.varve", kSize, options({{"format", "varve"}}));
  write(base, 0, pattern(0, 2 * 65536));
  close(std::move(base));
  const Disk child = create(dir / "child.varve", UINT64_MAX, options({{"format", "varve"}, {"parent", "base.varve"}}));
  CHECK(varve_size(child.get()) == kSize);
  write(child, 65536, pattern(0, 65536, 1));
  Told told;
  must(varve_zero(child.get(), 0, 1, 0, told), told);
  must(varve_flush(child.get(), told), told);
  CHECK(extent_at(child, 65536).depth == 0);
  CHECK(extent_at(child, kSize / 2).kind == VARVE_EXTENT_ABSENT);
  must(varve_zero(child.get(), 65536, 65536, 0, told), told);
  must(varve_flush(child.get(), told), told);
  CHECK(extent_at(child, 65536).kind == VARVE_EXTENT_ZERO);
  CHECK(read(child, 65536, 65536) == Block(65536));
}

TEST_CASE("information has the keys of every format, layer by layer") {
  const TempDir dir;
  for (const std::string format : {"vmdk", "vhdx", "varve"}) {
    CAPTURE(format);
    const std::string base = "base." + format;
    close(create(dir / base, kSize, options({{"format", format}})));
    close(create(dir / format, UINT64_MAX, options({{"format", format}, {"parent", base}})));
    const Disk disk = open(dir / format, options({{"format", format}}));
    CHECK(info_of(disk, 0, "format") == format);
    CHECK(info_of(disk, 0, "path") == dir / format);
    CHECK(info_of(disk, 0, "virtual_size") == std::to_string(kSize));
    CHECK(info_of(disk, 0, "encrypted") == "false");
    CHECK(info_of(disk, 0, "parent") == base);
    CHECK(info_of(disk, 0, "file") == dir / format);
    CHECK(std::stoull(info_of(disk, 0, "allocated_bytes")) > 0);
    CHECK(std::stoull(info_of(disk, 0, "cluster_size")) >= 4096);
    CHECK(info_of(disk, 1, "path").find(base) != std::string::npos);
    CHECK(info_of(disk, 1).count("parent") == 0);
    Told told;
    const auto never = [](void*, const char*, const char*) { FAIL_CHECK("called"); };
    CHECK(refused(varve_info(disk.get(), 2, never, nullptr, told), told) == VARVE_NOT_FOUND);
    CHECK(refused(varve_info(disk.get(), UINT32_MAX, never, nullptr, told), told) == VARVE_NOT_FOUND);
  }
}

TEST_CASE("a child over a snapshot shows what that held, whatever becomes of the parent") {
  const TempDir dir;
  const Options writing = options({{"format", "varve"}, {"read-only", "off"}});
  close(create(dir / "base.varve", kSize, writing));
  Disk base = open(dir / "base.varve", writing);
  write(base, 0, pattern(0, 65536));
  Told told;
  must(varve_snapshot_create(base.get(), "before", 1, told), told);
  close(std::move(base));
  const Options how = options({{"format", "varve"}, {"parent", "base.varve"}, {"parent-snapshot", "before"}, {"parent-format", "varve"}});
  close(create(dir / "child.varve", UINT64_MAX, how));
  base = open(dir / "base.varve", writing);
  write(base, 0, pattern(0, 65536, 1));
  CHECK(refused(varve_snapshot_delete(base.get(), "before", 0, told), told) == VARVE_INVALID_ARGUMENT);  // held by the child
  close(std::move(base));
  CHECK(read(open(dir / "child.varve", options({{"format", "varve"}})), 0, 65536) == pattern(0, 65536));
  CHECK(read(open(dir / "base.varve", options({{"format", "varve"}, {"snapshot", "before"}})), 0, 65536) == pattern(0, 65536));
}

TEST_CASE("warnings come one line at a time to the caller's function, with its pointer") {
  const TempDir dir;
  const TempDir elsewhere;
  const std::string base = dir / "base.vmdk";
  close(create(base, kSize, options({{"format", "vmdk"}})));
  std::vector<std::string> lines;
  const Options how = options({{"format", "vmdk"}, {"parent", base}});
  varve_options_on_warning(
      how.get(), [](void* user, const char* line) { static_cast<std::vector<std::string>*>(user)->emplace_back(line); }, &lines);
  const Disk disk = create(elsewhere / "far.vmdk", UINT64_MAX, how);
  REQUIRE(lines.size() == 1);
  CHECK(lines[0].find("base.vmdk") != std::string::npos);
  CHECK(lines[0].find('\n') == std::string::npos);
}
