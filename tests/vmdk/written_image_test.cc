// Images that we write, read by programs that we did not write.
#include <algorithm>
#include <fstream>
#include <functional>
#include <string>
#include <vector>

#include "base/endian.h"
#include "base/random.h"
#include "support/bytes.h"
#include "support/process.h"
#include "support/test.h"
#include "varve/image.h"
#include "varve/ops.h"
#include "vmdk/header.h"

namespace varve {
namespace {

using test::run;

struct Case {
  std::string options;
  bool seven_zip = true;  ///< 7zz reads it
};

const std::vector<Case> kSubformats = {
    {"subformat=monolithicSparse"},
    {"subformat=monolithicSparse,grain_size=4K"},
    {"subformat=monolithicSparse,zeroed_grain=on"},
    {"subformat=monolithicFlat"},
    {"subformat=twoGbMaxExtentSparse"},
    {"subformat=twoGbMaxExtentFlat"},
    {"subformat=vmfs", false},
    {"subformat=streamOptimized"},
    {"subformat=streamOptimized,compression_level=1,grain_size=128K", false},
    {"preset=esxi", false},
    {"preset=workstation,adapter_type=ide"},
    {"preset=ova"},
};

/// Data, zeros and holes; some of it does not compress.
void write_raw(const std::string& path, uint64_t size, uint64_t seed) {
  SeededRandom random(seed);
  std::ofstream file(path, std::ios::binary);
  file.seekp(static_cast<std::streamoff>(size - 1));
  file.put('\0');
  const uint64_t pieces = size / 300000 + 2;
  for (uint64_t i = 0; i < pieces; ++i) {
    const uint64_t offset = random.below(size);
    std::vector<std::byte> data(std::min<uint64_t>(size - offset, 1 + random.below(200000)));
    if (i % 2 == 0)
      random.fill(data);
    else
      std::fill(data.begin(), data.end(), static_cast<std::byte>(i));
    file.seekp(static_cast<std::streamoff>(offset));
    file.write(reinterpret_cast<const char*>(data.data()), static_cast<std::streamsize>(data.size()));
  }
}

void convert_to(const std::string& source, const std::string& target, const std::string& options) {
  ConvertOptions how;
  how.source_format = "raw";
  how.target_format = "vmdk";
  how.create.options = parse_options(options);
  how.create.durable = false;
  convert(source, target, how);
}

void check_by_qemu(const std::string& image, const std::string& raw) {
  test::must_run({"qemu-img", "check", "-f", "vmdk", image});
  test::must_run({"qemu-img", "compare", "-f", "vmdk", "-F", "raw", image, raw});
}

void check_by_7zz(const test::TempDir& dir, const std::string& image, const std::string& raw) {
  test::must_run({"sh", "-c", "7zz x -tvmdk -so \"$1\" >\"$2\" && cmp \"$2\" \"$3\"", "sh", image, dir / "extracted", raw});
}

Image open_for_writing(const std::string& path) {
  OpenOptions how;
  how.format = "vmdk";
  how.access = Access::read_write;
  how.durable = false;
  return Image::open(path, how);
}

/// Closed and destroyed: its locks are gone.
void finish(Image image) { image.close(); }

TEST_CASE("every subformat converted from raw reads the same in qemu-img and 7zz, at sizes that are odd or whole") {
  NEED_TOOL("qemu-img");
  const bool with_7zz = test::need_tool("7zz");
  for (const Case& c : kSubformats) {
    for (const uint64_t size : {uint64_t{512}, uint64_t{1024 * 1024 + 1536}, uint64_t{40} << 20}) {
      CAPTURE(c.options);
      CAPTURE(size);
      const test::TempDir dir;
      write_raw(dir / "disk.raw", size, size);
      convert_to(dir / "disk.raw", dir / "disk.vmdk", c.options);
      check_by_qemu(dir / "disk.vmdk", dir / "disk.raw");
      if (with_7zz && c.seven_zip) check_by_7zz(dir, dir / "disk.vmdk", dir / "disk.raw");
      Image a = Image::open(dir / "disk.vmdk");
      OpenOptions raw;
      raw.format = "raw";
      Image b = Image::open(dir / "disk.raw", raw);
      CHECK(compare(a, b).same);
      CHECK(a.check().clean());
    }
  }
}

TEST_CASE("an image that was created and closed is complete without any write") {
  NEED_TOOL("qemu-img");
  for (const Case& c : kSubformats) {
    CAPTURE(c.options);
    const test::TempDir dir;
    const uint64_t size = (uint64_t{2} << 30) + 512;
    CreateOptions how;
    how.options = parse_options(c.options);
    Image image = Image::create(dir / "disk.vmdk", "vmdk", size, how);
    CHECK(image.size() == size);
    finish(std::move(image));
    run({"truncate", "-s", std::to_string(size), dir / "disk.raw"});
    check_by_qemu(dir / "disk.vmdk", dir / "disk.raw");
  }
}

TEST_CASE("random writes, zeros and discards in place read the same in qemu-img after every session") {
  NEED_TOOL("qemu-img");
  for (const Case& c : kSubformats) {
    if (c.options.find("stream") != std::string::npos || c.options == "preset=ova") continue;
    CAPTURE(c.options);
    const test::TempDir dir;
    const uint64_t size = (uint64_t{34} << 20) + 1536;
    CreateOptions how;
    how.options = parse_options(c.options);
    Image::create(dir / "disk.vmdk", "vmdk", size, how).close();
    std::vector<std::byte> shadow(size);
    SeededRandom random(7);
    for (int session = 0; session < 3; ++session) {
      Image image = open_for_writing(dir / "disk.vmdk");
      for (int i = 0; i < 100; ++i) {
        const uint64_t offset = random.below(size);
        const uint64_t length = 1 + random.below(std::min<uint64_t>(size - offset, 300000));
        const auto begin = shadow.begin() + static_cast<std::ptrdiff_t>(offset);
        if (i % 5 == 0) {
          image.zero(offset, length);
          std::fill(begin, begin + static_cast<std::ptrdiff_t>(length), std::byte{0});
        } else {
          std::vector<std::byte> data(length);
          random.fill(data);
          image.write_at(offset, data);
          std::copy(data.begin(), data.end(), begin);
        }
        if (i % 30 == 0) image.flush();
      }
      finish(std::move(image));
      test::write_file(dir / "disk.raw", shadow);
      check_by_qemu(dir / "disk.vmdk", dir / "disk.raw");
    }
  }
}

TEST_CASE("a delta names its parent so that qemu-img reads the merged disk, and WRT-8 holds") {
  NEED_TOOL("qemu-img");
  for (const std::string options : {"", "zeroed_grain=on", "subformat=twoGbMaxExtentSparse"}) {
    CAPTURE(options);
    const test::TempDir dir;
    const uint64_t size = uint64_t{10} << 20;
    write_raw(dir / "base.raw", size, 3);
    convert_to(dir / "base.raw", dir / "base.vmdk", "");
    CreateOptions how;
    how.options = parse_options(options);
    how.parent = "base.vmdk";
    Image::create(dir / "child.vmdk", "vmdk", std::nullopt, how).close();
    check_by_qemu(dir / "child.vmdk", dir / "base.raw");
    std::vector<std::byte> shadow = test::bytes_of_file(dir / "base.raw");
    Image image = open_for_writing(dir / "child.vmdk");
    CHECK(image.size() == size);
    const std::vector<std::byte> data(1000, std::byte{0x5a});
    image.write_at(70000, data);
    std::copy(data.begin(), data.end(), shadow.begin() + 70000);
    image.zero(1 << 20, 3 << 20);
    std::fill(shadow.begin() + (1 << 20), shadow.begin() + (4 << 20), std::byte{0});
    image.write_at((2 << 20) + 5, data);
    std::copy(data.begin(), data.end(), shadow.begin() + (2 << 20) + 5);
    finish(std::move(image));
    test::write_file(dir / "merged.raw", shadow);
    check_by_qemu(dir / "child.vmdk", dir / "merged.raw");
  }
}

TEST_CASE("a parent that was written to is no longer its child's parent, and a write changes the CID once a session") {
  const test::TempDir dir;
  Image::create(dir / "base.vmdk", "vmdk", 1 << 20, {}).close();
  CreateOptions how;
  how.parent = "base.vmdk";
  Image::create(dir / "child.vmdk", "vmdk", std::nullopt, how).close();
  Image::open(dir / "child.vmdk").close();
  const auto cid = [&] {
    const Image image = Image::open(dir / "base.vmdk");
    for (const auto& [key, value] : image.info().details)
      if (key == "cid") return std::get<std::string>(value);
    return std::string();
  };
  const std::string before = cid();
  Image base = open_for_writing(dir / "base.vmdk");
  base.write_at(0, std::vector<std::byte>(512, std::byte{1}));
  base.write_at(512, std::vector<std::byte>(512, std::byte{1}));
  finish(std::move(base));
  CHECK(cid() != before);
  CHECK_ERRC(Image::open(dir / "child.vmdk"), Errc::corrupt);
}

TEST_CASE("MEM-19: a write that is refused leaves every byte of the image as it was, the CID too") {
  const test::TempDir dir;
  Image made = Image::create(dir / "x.vmdk", "vmdk", 1 << 20, {});
  made.write_at(0, std::vector<std::byte>(4 << 16, std::byte{1}));
  finish(std::move(made));
  std::fstream file(dir / "x.vmdk", std::ios::binary | std::ios::in | std::ios::out);
  const auto before_edit = test::bytes_of_file(dir / "x.vmdk");
  const auto header = vmdk::parse_sparse_header(before_edit, before_edit.size(), Limits{});
  // The second grain shares the place of the first.
  const uint64_t table = uint64_t{load<le32>(before_edit, header.gd_sector * 512)} * 512;
  file.seekp(static_cast<std::streamoff>(table + 4));
  file.write(reinterpret_cast<const char*>(before_edit.data() + table), 4);
  file.close();
  const auto before = test::bytes_of_file(dir / "x.vmdk");
  Image image = open_for_writing(dir / "x.vmdk");
  CHECK_ERRC(image.write_at(300000, std::vector<std::byte>(512)), Errc::corrupt);
  finish(std::move(image));
  CHECK(test::bytes_of_file(dir / "x.vmdk") == before);
}

TEST_CASE("what a subformat can't do is refused before anything changes") {
  const test::TempDir dir;
  const std::string path = dir / "x.vmdk";
  const auto refuses = [&](const std::string& options, uint64_t size, const auto& call) {
    CAPTURE(options);
    CreateOptions how;
    how.options = parse_options(options);
    how.force = true;
    Image::create(path, "vmdk", size, how).close();
    const auto before = test::bytes_of_file(path);
    {
      Image image = open_for_writing(path);
      call(image);
      image.close();
      CHECK(image.size() == size);
    }
    CHECK(test::bytes_of_file(path) == before);
  };
  const auto shrink = [](Image& image) { CHECK_ERRC(image.resize(1 << 20), Errc::unsupported); };
  const auto write = [](Image& image) { CHECK_ERRC(image.write_at(0, std::vector<std::byte>(512)), Errc::unsupported); };
  const auto discard = [](Image& image) { image.discard(0, 1 << 20); };
  const auto grow = [](Image& image) { CHECK_ERRC(image.resize(8 << 20), Errc::unsupported); };
  refuses("", 4 << 20, shrink);
  refuses("subformat=twoGbMaxExtentSparse", 4 << 20, shrink);
  for (const auto& call : std::vector<std::function<void(Image&)>>{shrink, write, discard, grow})
    refuses("subformat=streamOptimized", 4 << 20, call);
}

TEST_CASE("a child that is open without its parent is not written to: what a grain lacks would be lost under zeros") {
  const test::TempDir dir;
  Image base = Image::create(dir / "base.vmdk", "vmdk", (1 << 20) + 512, {});
  base.write_at(0, std::vector<std::byte>((1 << 20) + 512, std::byte{5}));
  finish(std::move(base));
  CreateOptions how;
  how.parent = "base.vmdk";
  Image::create(dir / "child.vmdk", "vmdk", std::nullopt, how).close();
  const auto before = test::bytes_of_file(dir / "child.vmdk");
  OpenOptions alone;
  alone.format = "vmdk";
  alone.access = Access::read_write;
  alone.ignore_parent = true;
  Image child = Image::open(dir / "child.vmdk", alone);
  CHECK_ERRC(child.write_at(0, std::vector<std::byte>(512)), Errc::invalid_argument);
  CHECK_ERRC(child.zero(0, 512), Errc::invalid_argument);
  CHECK_ERRC(child.resize(2 << 20), Errc::invalid_argument);
  finish(std::move(child));
  CHECK(test::bytes_of_file(dir / "child.vmdk") == before);
}

TEST_CASE("what can't be made is refused before anything is") {
  const test::TempDir dir;
  const auto create = [&](uint64_t size, const std::string& options, const std::string& parent = "") {
    CreateOptions how;
    how.options = parse_options(options);
    how.parent = parent;
    Image::create(dir / "x.vmdk", "vmdk", size, how).close();
  };
  CHECK_ERRC(create(0, ""), Errc::invalid_argument);
  CHECK_ERRC(create(uint64_t{2} << 40, ""), Errc::limit);
  CHECK_ERRC(create(1 << 20, "subformat=cowd"), Errc::invalid_argument);
  CHECK_ERRC(create(1 << 20, "grain_size=5K"), Errc::invalid_argument);
  CHECK_ERRC(create(1 << 20, "compression_level=3"), Errc::invalid_argument);
  CHECK_ERRC(create(1 << 20, "subformat=vmfs,grain_size=64K"), Errc::invalid_argument);
  Image::create(dir / "base.vmdk", "vmdk", 1 << 20, {}).close();
  CHECK_ERRC(create(1 << 20, "subformat=vmfs", "base.vmdk"), Errc::unsupported);
  CHECK(run({"ls", dir.path()}).out == "base.vmdk\n");
}

TEST_CASE("a disk of odd size is rounded up to a sector, with a warning") {
  const test::TempDir dir;
  std::string warning;
  CreateOptions how;
  how.warn = [&](const std::string& line) { warning = line; };
  Image image = Image::create(dir / "x.vmdk", "vmdk", 1000, how);
  CHECK(image.size() == 1024);
  finish(std::move(image));
  CHECK(warning.find("1024") != std::string::npos);
}

TEST_CASE("growing every subformat that can is seen by qemu-img") {
  NEED_TOOL("qemu-img");
  // A long name makes a text of more than a sector, with room for what grows.
  for (const std::string& name : {std::string("disk"), std::string(200, 'n')}) {
    for (const std::string options : {"", "subformat=monolithicFlat", "subformat=vmfs"}) {
      CAPTURE(options);
      const test::TempDir dir;
      const uint64_t size = uint64_t{3} << 20;
      const std::string disk = dir / (name + ".vmdk");
      write_raw(dir / "disk.raw", size, 9);
      convert_to(dir / "disk.raw", disk, options);
      for (const uint64_t larger : {(uint64_t{5} << 20) + 512, uint64_t{200} << 20}) {
        Image image = open_for_writing(disk);
        image.resize(larger);
        CHECK(image.size() == larger);
        finish(std::move(image));
        run({"truncate", "-s", std::to_string(larger), dir / "disk.raw"});
        check_by_qemu(disk, dir / "disk.raw");
      }
    }
  }
}

}  // namespace
}  // namespace varve
