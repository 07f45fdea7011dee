// VHDX in both directions: what others write reads the same here, what we write reads the same there.
#include <array>
#include <filesystem>

#include "interop/exchange.h"
#include "support/host.h"
#include "support/image_kit.h"
#include "support/test.h"

namespace varve::test {
namespace {

constexpr uint64_t kMiB = 1 << 20;
/// Not whole blocks, whatever their size. 7-Zip opens only disks of whole 4096-byte sectors.
constexpr uint64_t kOdd = 5 * kMiB + 12288;

/// 7-Zip, whatever it calls itself here: the whole disk, parents included.
std::vector<std::byte> read_by_7zip(const std::string& path) {
  const std::string out = must_run({"7zz", "x", "-tvhdx", "-so", path});
  const auto all = std::as_bytes(std::span(out));
  return {all.begin(), all.end()};
}

void expect_clean(const std::string& path) {
  OpenOptions how;
  how.format = "vhdx";
  Image image = Image::open(path, how);
  CHECK(damages(image) == "");
}

void write_at_random(const std::string& path, Rng& rng, int count) {
  OpenOptions how;
  how.format = "vhdx";
  how.access = Access::read_write;
  Image image = Image::open(path, how);
  for (int i = 0; i < count; ++i) {
    const uint64_t length = rng.between(1, 70000);
    const uint64_t offset = rng.below(image.size() - length);
    image.write_at(offset, bytes(length, static_cast<int>(rng.between(1, 255))));
    if (rng.one_in(5)) image.zero(rng.below(image.size() / 2), rng.between(1, image.size() / 2));
    if (rng.one_in(3)) image.flush();
  }
  image.close();
}

TEST_CASE("what qemu-img and qemu-io write reads the same here, and our check finds nothing") {
  NEED_TOOL("qemu-img");
  NEED_TOOL("qemu-io");
  Rng rng("vhdx from qemu");
  SHOW_SEED(rng);
  for (const std::string option : {"subformat=dynamic,block_size=1M", "subformat=dynamic", "subformat=fixed,block_size=2M"}) {
    INFO(option);
    const TempDir dir;
    make_raw_file(dir / "a.raw", kOdd, rng);
    must_run({"qemu-img", "convert", "-f", "raw", "-O", "vhdx", "-o", option, dir / "a.raw", dir / "q.vhdx"});
    CHECK(read_disk(dir / "q.vhdx", "vhdx") == bytes_of_file(dir / "a.raw"));
    for (const std::string format : {"vhdx", "raw"})
      must_run(
          {"qemu-io", "-f", format, "-c", "write -P 7 100k 3M", "-c", "write -P 9 5M 1k", dir / (format == "raw" ? "a.raw" : "q.vhdx")});
    CHECK(read_disk(dir / "q.vhdx", "vhdx") == bytes_of_file(dir / "a.raw"));
    expect_clean(dir / "q.vhdx");
  }
}

TEST_CASE("qemu-img, 7-Zip and vhdiinfo read what we convert, in blocks of 1 MiB to 256 MiB, dynamic and fixed") {
  NEED_TOOL("qemu-img");
  NEED_TOOL("7zz");
  NEED_TOOL("vhdiinfo");
  Rng rng("vhdx to others");
  SHOW_SEED(rng);
  for (const std::string block : {"1M", "8M", "32M", "256M"}) {
    for (const std::string subformat : {"dynamic", "fixed"}) {
      INFO(subformat << ", blocks of " << block);
      const TempDir dir;
      make_raw_file(dir / "a.raw", kOdd, rng);
      convert_file(dir / "a.raw", "raw", dir / "v.vhdx", "vhdx", {{"subformat", subformat}, {"block_size", block}});
      must_run({"qemu-img", "check", "-f", "vhdx", dir / "v.vhdx"});
      must_run({"qemu-img", "compare", "-f", "raw", "-F", "vhdx", dir / "a.raw", dir / "v.vhdx"});
      CHECK(read_by_7zip(dir / "v.vhdx") == bytes_of_file(dir / "a.raw"));
      const std::string told = must_run({"vhdiinfo", dir / "v.vhdx"});
      CHECK_MESSAGE(told.find("(" + std::to_string(kOdd) + " bytes)") != std::string::npos, told);
      CHECK(told.find(subformat == "fixed" ? "Fixed" : "Dynamic") != std::string::npos);
    }
  }
}

TEST_CASE("what was written in place is sound for qemu-img, which then writes into it") {
  NEED_TOOL("qemu-img");
  NEED_TOOL("qemu-io");
  Rng rng("vhdx in place");
  SHOW_SEED(rng);
  const TempDir dir;
  create_image(host_file_system(), dir / "v.vhdx", "vhdx", kOdd, {{"block_size", "1M"}});
  write_at_random(dir / "v.vhdx", rng, 60);
  must_run({"qemu-img", "check", "-f", "vhdx", dir / "v.vhdx"});
  must_run({"qemu-img", "convert", "-f", "vhdx", "-O", "raw", dir / "v.vhdx", dir / "q.raw"});
  CHECK(read_disk(dir / "v.vhdx", "vhdx") == bytes_of_file(dir / "q.raw"));
  for (const std::string file : {"v.vhdx", "q.raw"})
    must_run({"qemu-io", "-f", file == "q.raw" ? "raw" : "vhdx", "-c", "write -P 3 1M 2M", dir / file});
  CHECK(read_disk(dir / "v.vhdx", "vhdx") == bytes_of_file(dir / "q.raw"));
  expect_clean(dir / "v.vhdx");
}

TEST_CASE("4096-byte sectors: 7-Zip and vhdiinfo read what we write") {
  NEED_TOOL("7zz");
  NEED_TOOL("vhdiinfo");
  Rng rng("vhdx 4096");
  SHOW_SEED(rng);
  const TempDir dir;
  create_image(host_file_system(), dir / "v.vhdx", "vhdx", 8 * kMiB, {{"logical_sector_size", "4096"}});
  write_at_random(dir / "v.vhdx", rng, 20);
  CHECK(read_by_7zip(dir / "v.vhdx") == read_disk(dir / "v.vhdx", "vhdx"));
  CHECK(must_run({"vhdiinfo", dir / "v.vhdx"}).find("4096 bytes") != std::string::npos);
}

/// base.vhdx, c1.vhdx over it, c2.vhdx over that, each with writes of its own.
void make_chain(const TempDir& dir, Rng& rng) {
  make_raw_file(dir / "a.raw", kOdd, rng);
  convert_file(dir / "a.raw", "raw", dir / "base.vhdx", "vhdx", {{"block_size", "1M"}});
  std::string parent = "base.vhdx";
  for (const std::string child : {"c1.vhdx", "c2.vhdx"}) {
    CreateOptions how;
    how.parent = parent;
    how.options = {{"block_size", "1M"}};
    Image::create(dir / child, "vhdx", std::nullopt, how).close();
    write_at_random(dir / child, rng, 12);
    parent = child;
  }
}

TEST_CASE("7-Zip reads a chain of three differencing disks as we do") {
  NEED_TOOL("7zz");
  Rng rng("vhdx chain");
  SHOW_SEED(rng);
  const TempDir dir;
  make_chain(dir, rng);
  for (const std::string layer : {"base.vhdx", "c1.vhdx", "c2.vhdx"}) CHECK(read_by_7zip(dir / layer) == read_disk(dir / layer, "vhdx"));
}

TEST_CASE("vhdimount shows each layer of a chain as we read it") {
  NEED_TOOL("vhdimount");
  NEED_TOOL("fusermount");
  SKIP_IF_ANY(why_no_fuse());
  Rng rng("vhdx mount");
  SHOW_SEED(rng);
  const TempDir dir;
  make_chain(dir, rng);
  const std::string mounted = dir / "mounted";
  std::filesystem::create_directory(mounted);
  must_run({"vhdimount", "-X", "default_permissions", dir / "c2.vhdx", mounted});
  const std::array<std::string, 3> layers = {"base.vhdx", "c1.vhdx", "c2.vhdx"};
  for (size_t i = 0; i < layers.size(); ++i) {
    const std::string shown = mounted + "/vhdi" + std::to_string(i + 1);
    const bool there = eventually([&] { return std::filesystem::exists(shown); });
    CHECK_MESSAGE(there, shown << " does not appear");
    if (there) CHECK(bytes_of_file(shown) == read_disk(dir / layers.at(i), "vhdx"));
  }
  must_run({"fusermount", "-u", mounted});
}

TEST_CASE("QEMU replays the log that we leave behind when we are killed") {
  NEED_TOOL("qemu-img");
  NEED_TOOL("qemu-io");
  const TempDir dir;
  create_image(host_file_system(), dir / "v.vhdx", "vhdx", 64 * kMiB, {{"block_size", "1M"}});
  const uint64_t table = 3 * kMiB;  // of what we create: log, metadata, table
  std::vector<std::byte> before(kMiB);
  OpenOptions how;
  how.format = "vhdx";
  how.access = Access::read_write;
  {
    Image image = Image::open(dir / "v.vhdx", how);
    const auto file = host_file_system().open(dir / "v.vhdx", {.lock = false});
    file->read_at(table, before);
    for (int i = 1; i < 40; ++i) {
      image.write_at(static_cast<uint64_t>(i) * kMiB + 4096, bytes(8192, i));
      if (i % 10 == 0) image.flush();
    }
    image.flush();
    std::filesystem::copy_file(dir / "v.vhdx", dir / "killed.vhdx");
    image.close();
  }
  {  // as if nothing of the table had reached its place since the last flush but one, which the last entry of the log makes good
    const auto killed = host_file_system().open(dir / "killed.vhdx", {.access = Access::read_write});
    killed->write_at(table, before);
  }
  std::filesystem::copy_file(dir / "killed.vhdx", dir / "ours.vhdx");
  CHECK(read_disk(dir / "ours.vhdx", "vhdx") == read_disk(dir / "v.vhdx", "vhdx"));
  must_run({"qemu-io", "-f", "vhdx", "-c", "read -P 39 40898560 8192", dir / "killed.vhdx"});
  must_run({"qemu-img", "compare", "-f", "vhdx", "-F", "vhdx", dir / "killed.vhdx", dir / "v.vhdx"});
}

}  // namespace
}  // namespace varve::test
