// What our own writing must not do to an image, to a file, or to a reader.
#include <sys/stat.h>
#include <unistd.h>

#include <fstream>

#include "base/zero.h"
#include "hostile/entry_points.h"
#include "support/image_kit.h"
#include "support/pattern.h"
#include "support/process.h"
#include "support/storages.h"

namespace varve::test {
namespace {

TEST_CASE("WRT-8: zeroing and discarding over a parent full of data leaves zeros, with and without zeroed grains") {
  for (const char* zeroed : {"off", "on"}) {
    const ImageConfig config{"delta", "vmdk", {{"subformat", "monolithicSparse"}, {"zeroed_grain", zeroed}}, 1 << 20, 1 << 20};
    TestDisk disk(config);
    {
      Image image = disk.open();
      image.zero(0, 200000);
      image.discard(400000, 300000);
      image.close();
    }
    Image image = disk.open(Access::read_only);
    Bytes out(200000);
    image.read_at(0, out);
    CHECK(out == Bytes(200000));
    Bytes discarded(300000);
    image.read_at(400000, discarded);
    const ConstBytes parent = disk.parent_model().bytes(400000, 300000);
    for (size_t i = 0; i < discarded.size(); ++i) REQUIRE((discarded[i] == std::byte{0} || discarded[i] == parent[i]));
  }
}

TEST_CASE("WRT-10: reads and writes across the border of two extents reach the right file, also at odd sizes") {
  constexpr uint64_t kSplit = uint64_t{4192256} * 512;  // what VMware writes: 2047 MiB
  for (const char* subformat : {"twoGbMaxExtentSparse", "twoGbMaxExtentFlat"}) {
    MemoryFileSystem files;
    create_image(files, kDisk, "vmdk", 2 * kSplit + 5 * 512, {{"subformat", subformat}});
    CHECK(files.paths().size() == 4);
    OpenOptions how;
    how.access = Access::read_write;
    how.format = "vmdk";
    how.file_system = &files;
    {
      Image image = Image::open(kDisk, how);
      for (const uint64_t border : {kSplit, 2 * kSplit}) {
        image.write_at(border - 1500, pattern(border - 1500, 4, 1500 + 5 * 512));
      }
      image.zero(kSplit - 100, 200);
      image.close();
    }
    Image image = Image::open(kDisk, how);
    for (const uint64_t border : {kSplit, 2 * kSplit}) {
      Bytes expected = pattern(border - 1500, 4, 1500 + 5 * 512);
      if (border == kSplit) std::fill_n(expected.begin() + 1400, 200, std::byte{0});
      Bytes out(expected.size());
      image.read_at(border - 1500, out);
      CHECK(describe_difference(border - 1500, out, expected) == "");
    }
    CHECK(damages(image) == "");
  }
}

TEST_CASE("WRT-10: extents of a single sector and of odd sizes in between are read in their order") {
  HostileWorld world(bytes_of_text(descriptor_text(
      "custom", "RW 1 FLAT \"a.vmdk\" 0\nRW 3 FLAT \"b.vmdk\" 2\nRW 7 ZERO\nRDONLY 5 FLAT \"a.vmdk\" 1\nRW 1 FLAT \"b.vmdk\" 0")));
  world.files.add("dir/a.vmdk", pattern(0, 1, 6 * 512));
  world.files.add("dir/b.vmdk", pattern(0, 2, 6 * 512));
  Bytes expected;
  const auto append = [&](const Bytes& part) { expected.insert(expected.end(), part.begin(), part.end()); };
  append(pattern(0, 1, 512));
  append(pattern(2 * 512, 2, 3 * 512));
  append(Bytes(7 * 512));
  append(pattern(512, 1, 5 * 512));
  append(pattern(0, 2, 512));
  Image image = world.open();
  REQUIRE(image.size() == expected.size());
  Bytes out(expected.size());
  image.read_at(0, out);
  CHECK(describe_difference(0, out, expected) == "");
  for (uint64_t at = 0; at + 700 < expected.size(); at += 331) {
    Bytes part(700);
    image.read_at(at, part);
    REQUIRE(describe_difference(at, part, ConstBytes(expected).subspan(at, 700)) == "");
  }
}

TEST_CASE("WRT-9: a write that fails half done is reported, and so is a close that can't flush") {
  const ImageConfig config{"sparse", "vmdk", {{"subformat", "monolithicSparse"}}, 1 << 20, std::nullopt};
  TestDisk disk(config);
  {
    FaultyFileSystem faulty(disk.files(), std::make_shared<FaultPlan>(0, FaultKind::torn_write, true, Hit::write));
    disk.through = &faulty;
    const auto write = [&] {
      Image image = disk.open();
      image.write_at(0, pattern(0, 1, 100000));
      image.close();
    };
    CHECK_ERRC(write(), Errc::io);
  }
  {
    FaultyFileSystem faulty(disk.files(), std::make_shared<FaultPlan>(0, FaultKind::io, true, Hit::flush));
    disk.through = &faulty;
    Image image = disk.open();
    const auto close = [&] {
      image.write_at(0, pattern(0, 1, 512));
      image.close();
    };
    CHECK_ERRC(close(), Errc::io);
  }
}

TEST_CASE("MEM-25: the grains of a stream that we write ascend, lie within the file, and each entry is used once") {
  const ImageConfig config{"sparse", "vmdk", {{"subformat", "monolithicSparse"}}, (8 << 20) + 512 * 3, std::nullopt};
  TestDisk disk(config);
  Rng rng("stream order");
  SHOW_SEED(rng);
  {
    Image image = disk.open();
    Workload work(image, disk.model(), rng);
    REQUIRE(work.run(100) == "");
    image.close();
  }
  ConvertOptions how;
  how.source_format = "vmdk";
  how.target_format = "vmdk";
  how.open.file_system = &disk.files();
  how.create.file_system = &disk.files();
  how.create.options = {{"subformat", "streamOptimized"}};
  how.copy.threads = 4;
  convert(TestDisk::kPath, "dir/stream.vmdk", how);
  const Bytes bytes = disk.files().find("dir/stream.vmdk")->contents();
  REQUIRE(bytes.size() % 512 == 0);
  const auto header = load<vmdk::SparseHeaderRaw>(bytes);
  uint64_t at = uint64_t{header.overhead} * 512;
  std::optional<uint64_t> last;
  for (;;) {
    const auto marker = load<vmdk::MarkerRaw>(bytes, static_cast<size_t>(at));
    if (marker.size == 0) break;  // the first table
    REQUIRE((!last || marker.value > *last));
    REQUIRE(marker.value % header.grain_size == 0);
    REQUIRE(marker.value < header.capacity);
    last = marker.value;
    at += (vmdk::kGrainMarkerSize + marker.size + 511) / 512 * 512;
  }
  CHECK(last.has_value());
  const auto eos = load<vmdk::MarkerRaw>(bytes, bytes.size() - 512);
  CHECK((eos.value == 0 && eos.size == 0 && eos.type == 0));
  CHECK(load<vmdk::SparseHeaderRaw>(bytes, bytes.size() - 1024).magic == vmdk::kSparseMagic);
}

TEST_CASE("CRY-6: a conversion's result is readable by no more people than its source") {
  TempDir dir;
  const std::string source = dir / "secret.raw";
  std::ofstream(source) << std::string(4096, 'x');
  for (const mode_t mode : {mode_t{0600}, mode_t{0640}, mode_t{0444}}) {
    REQUIRE(chmod(source.c_str(), mode) == 0);
    for (const char* format : {"raw", "vmdk"}) {
      const std::string target = dir / ("out." + std::string(format));
      ConvertOptions how;
      how.source_format = "raw";
      how.target_format = format;
      convert(source, target, how);
      struct stat status {};
      REQUIRE(stat(target.c_str(), &status) == 0);
      CHECK(((status.st_mode & 0777) & ~mode & 0077) == 0);
      unlink(target.c_str());
    }
  }
}

TEST_CASE("CRY-6: a descriptor that all may read does not open what its extent holds") {
  TempDir dir;
  create_image(host_file_system(), dir / "a.vmdk", "vmdk", 1 << 20, {{"subformat", "monolithicFlat"}});
  REQUIRE(chmod((dir / "a.vmdk").c_str(), 0644) == 0);
  REQUIRE(chmod((dir / "a-flat.vmdk").c_str(), 0600) == 0);
  convert(dir / "a.vmdk", dir / "b.raw", {});
  struct stat status {};
  REQUIRE(stat((dir / "b.raw").c_str(), &status) == 0);
  CHECK((status.st_mode & 0077) == 0);
}

TEST_CASE("growing never shows what an extent holds behind the sectors that the descriptor gives it") {
  for (const uint64_t allocated : {1, 3}) {
    CAPTURE(allocated);
    SparseImage image(32, allocated);
    image.descriptor = descriptor_text("monolithicSparse", "RW 128 SPARSE \"disk.vmdk\"");
    const Bytes bytes = image.finish();
    HostileWorld world(bytes);
    Image disk = world.open(Access::read_write);
    REQUIRE(disk.size() == SparseImage::kGrain);
    if (allocated > 1) {
      CHECK_ERRC(disk.resize(64 * SparseImage::kGrain), Errc::unsupported);
      disk.close();
      CHECK((world.files.find(kDisk)->contents() == bytes));
      continue;
    }
    disk.resize(64 * SparseImage::kGrain);  // as after a resize that was cut short
    Bytes grain(SparseImage::kGrain);
    disk.read_at(SparseImage::kGrain, grain);
    CHECK(is_zero(grain));
  }
}

}  // namespace
}  // namespace varve::test
