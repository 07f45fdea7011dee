// Images that other programs wrote read the same here as there.
#include <cstdlib>
#include <filesystem>
#include <string>

#include "support/bytes.h"
#include "support/process.h"
#include "support/test.h"
#include "vmdk/images.h"

namespace varve::test {
namespace {

/// What the disk holds according to qemu-img.
Bytes as_qemu_reads(const TempDir& dir, const std::string& image) {
  must_run({"qemu-img", "convert", "-f", "vmdk", "-O", "raw", image, dir / "out.raw"});
  return bytes_of_file(dir / "out.raw");
}

void check_same(const TempDir& dir, const std::string& path) {
  OpenOptions options;
  options.format = "vmdk";
  Image image = Image::open(path, options);
  CHECK((read_all(image) == as_qemu_reads(dir, path)));
  for (uint64_t offset = 0; offset < image.size();) {
    const Extent run = image.extent_at(offset);
    CHECK(run.offset == offset);
    REQUIRE(run.length > 0);
    offset += run.length;
  }
  CHECK(image.check().damages == 0);
}

void write_patterns(const std::string& path) {
  must_run({"qemu-io", "-f", "vmdk", "-c", "write -P 0x11 0 70000", "-c", "write -P 0x22 5M 3M", "-c", "write -P 0x33 20000256 512", "-c",
            "write -z 6M 128k", "-c", "write -P 0x44 40000000 1943040", path});
}

TEST_CASE("every subformat that qemu-io has written in place reads the same") {
  NEED_TOOL("qemu-img");
  NEED_TOOL("qemu-io");
  for (const char* subformat : {"monolithicSparse", "monolithicFlat", "twoGbMaxExtentSparse", "twoGbMaxExtentFlat"}) {
    CAPTURE(subformat);
    const TempDir dir;
    must_run({"qemu-img", "create", "-q", "-f", "vmdk", "-o", "subformat=" + std::string(subformat), dir / "a.vmdk", "41943040"});
    write_patterns(dir / "a.vmdk");
    check_same(dir, dir / "a.vmdk");
  }
}

TEST_CASE("zeroed grains that qemu-io has written read as zeros") {
  NEED_TOOL("qemu-img");
  NEED_TOOL("qemu-io");
  const TempDir dir;
  must_run({"qemu-img", "create", "-q", "-f", "vmdk", "-o", "zeroed_grain=on", dir / "a.vmdk", "41943040"});
  write_patterns(dir / "a.vmdk");
  check_same(dir, dir / "a.vmdk");
}

TEST_CASE("every subformat that qemu-img convert writes reads the same, also at odd sizes") {
  NEED_TOOL("qemu-img");
  const TempDir dir;
  const std::string raw = dir / "in.raw";
  for (const uint64_t size : {uint64_t{33} << 20, (uint64_t{9} << 20) + 1536}) {
    Bytes disk(size);
    const Bytes some = pattern(300000, 4);
    std::copy(some.begin(), some.end(), disk.begin() + 65000);
    std::copy(some.begin(), some.end(), disk.end() - 300000);
    write_file(raw, disk);
    for (const char* subformat : {"monolithicSparse", "monolithicFlat", "twoGbMaxExtentSparse", "twoGbMaxExtentFlat", "streamOptimized"}) {
      CAPTURE(subformat);
      CAPTURE(size);
      const std::string path = dir / (std::string(subformat) + std::to_string(size) + ".vmdk");
      must_run({"qemu-img", "convert", "-f", "raw", "-O", "vmdk", "-o", "subformat=" + std::string(subformat), raw, path});
      check_same(dir, path);
    }
  }
}

TEST_CASE("a child that qemu-img has made reads through to its parent") {
  NEED_TOOL("qemu-img");
  NEED_TOOL("qemu-io");
  const TempDir dir;
  must_run({"qemu-img", "create", "-q", "-f", "vmdk", dir / "base.vmdk", "41943040"});
  write_patterns(dir / "base.vmdk");
  must_run({"qemu-img", "create", "-q", "-f", "vmdk", "-b", "base.vmdk", "-F", "vmdk", dir / "child.vmdk"});
  must_run({"qemu-io", "-f", "vmdk", "-c", "write -P 0x55 1000000 100000", dir / "child.vmdk"});
  check_same(dir, dir / "child.vmdk");
}

TEST_CASE("the stream that ESXi has written has its size, its data at both ends and runs that add up") {
  const char* samples = std::getenv("VARVE_SAMPLES");
  if (samples == nullptr) SKIP_TEST("VARVE_SAMPLES names no directory with sample images");
  const std::filesystem::path packed = std::filesystem::path(samples) / "iotest-version3.vmdk.bz2";
  if (!std::filesystem::exists(packed)) SKIP_TEST("VARVE_SAMPLES has no iotest-version3.vmdk.bz2");
  NEED_TOOL("bunzip2");
  const TempDir dir;
  std::filesystem::copy_file(packed, dir / "sample.vmdk.bz2");
  must_run({"bunzip2", dir / "sample.vmdk.bz2"});
  OpenOptions options;
  options.format = "vmdk";
  Image image = Image::open(dir / "sample.vmdk", options);
  REQUIRE(image.size() == uint64_t{16} << 30);
  uint64_t data = 0;
  uint64_t stored = 0;
  for (uint64_t offset = 0; offset < image.size();) {
    const Extent run = image.extent_at(offset);
    if (run.kind == ExtentKind::data) {
      data += run.length;
      Bytes bytes(run.length);
      image.read_at(offset, bytes);
      for (const std::byte b : bytes) stored += b != std::byte{0} ? 1 : 0;
    }
    offset += run.length;
  }
  // All of it was hashed once by hand against the published SHA-256; this is what is cheap to repeat.
  CHECK(data == (uint64_t{16} << 30) - 17169973248);
  CHECK(stored > 0);
  CheckOptions check;
  check.data = true;
  CHECK(image.check(check).damages == 0);
}

}  // namespace
}  // namespace varve::test
