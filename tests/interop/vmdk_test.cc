// Every subformat in both directions: what others write reads the same here, what we write reads the same there.
#include <array>
#include <filesystem>

#include "interop/exchange.h"
#include "io/file_system.h"
#include "support/host.h"
#include "support/image_kit.h"
#include "support/pattern.h"
#include "support/test.h"

namespace varve::test {
namespace {

constexpr uint64_t kOdd = (3 << 20) + 1536;
const std::array<std::string, 5> kQemuSubformats = {"monolithicSparse", "monolithicFlat", "twoGbMaxExtentSparse", "twoGbMaxExtentFlat",
                                                    "streamOptimized"};
const std::array<std::string, 6> kOurSubformats = {"monolithicSparse",   "monolithicFlat", "twoGbMaxExtentSparse",
                                                   "twoGbMaxExtentFlat", "vmfs",           "streamOptimized"};

/// The disk of a raw file, for qemu-img, too. Flat images have nothing that it could check.
void expect_fine_for_qemu(const std::string& raw, const std::string& ours, const std::string& subformat) {
  must_run({"qemu-img", "compare", "-f", "raw", "-F", "vmdk", raw, ours});
  if (subformat.find("lat") == std::string::npos && subformat != "vmfs") must_run({"qemu-img", "check", "-f", "vmdk", ours});
}

void expect_clean(const std::string& path) {
  OpenOptions how;
  how.format = "vmdk";
  Image image = Image::open(path, how);
  CHECK(damages(image) == "");
}

/// vmdkmount shows an image's layers, the lowest first; each has the contents of one of the raw files. What is mounted is so by a
/// process that outlives the command, until it is unmounted.
void expect_mounted_disks(const std::string& image, const std::string& directory, const std::vector<std::string>& raw) {
  must_run({"vmdkmount", "-X", "default_permissions", image, directory});
  for (size_t i = 0; i < raw.size(); ++i) {
    const std::string layer = directory + "/vmdk" + std::to_string(i + 1);
    const bool there = eventually([&] { return std::filesystem::exists(layer); });
    CHECK_MESSAGE(there, layer << " does not appear");
    if (there) CHECK(bytes_of_file(layer) == bytes_of_file(raw[i]));
  }
  must_run({"fusermount", "-u", directory});
}

TEST_CASE("what qemu-img converts to each subformat reads the same here, and our check finds nothing") {
  NEED_TOOL("qemu-img");
  Rng rng("from qemu-img");
  SHOW_SEED(rng);
  for (const std::string& subformat : kQemuSubformats) {
    for (const uint64_t size : {kOdd, uint64_t{512}, uint64_t{1} << 20}) {
      INFO(subformat << ", " << size << " bytes");
      const TempDir dir;
      make_raw_file(dir / "a.raw", size, rng);
      must_run({"qemu-img", "convert", "-f", "raw", "-O", "vmdk", "-o", "subformat=" + subformat, dir / "a.raw", dir / "q.vmdk"});
      must_run({"qemu-img", "convert", "-f", "vmdk", "-O", "raw", dir / "q.vmdk", dir / "q.raw"});
      CHECK(read_disk(dir / "q.vmdk", "vmdk") == bytes_of_file(dir / "q.raw"));
      expect_clean(dir / "q.vmdk");
    }
  }
}

TEST_CASE("what qemu-io writes at random places, with and without zeroed grains, reads the same here") {
  NEED_TOOL("qemu-io");
  NEED_TOOL("qemu-img");
  Rng rng("from qemu-io");
  SHOW_SEED(rng);
  for (const char* option : {"subformat=monolithicSparse", "subformat=monolithicSparse,zeroed_grain=on", "subformat=twoGbMaxExtentSparse",
                             "subformat=monolithicFlat"}) {
    INFO(std::string(option));
    const TempDir dir;
    must_run({"qemu-img", "create", "-q", "-f", "vmdk", "-o", option, dir / "q.vmdk", std::to_string(kOdd)});
    std::vector<std::string> command = {"qemu-io", "-f", "vmdk"};
    for (int i = 0; i < 30; ++i) {
      const uint64_t offset = rng.below(kOdd - 200000) / 512 * 512;
      const std::string range = std::to_string(offset) + " " + std::to_string(rng.between(1, 300) * 512);
      command.insert(command.end(),
                     {"-c", (rng.one_in(4) ? "write -z " : "write -P " + std::to_string(rng.between(1, 255)) + " ") + range});
    }
    command.push_back(dir / "q.vmdk");
    must_run(command);
    must_run({"qemu-img", "convert", "-f", "vmdk", "-O", "raw", dir / "q.vmdk", dir / "q.raw"});
    CHECK(read_disk(dir / "q.vmdk", "vmdk") == bytes_of_file(dir / "q.raw"));
    expect_clean(dir / "q.vmdk");
  }
}

TEST_CASE("a delta made by qemu-img reads through its parent here, and one made by us reads through its parent there") {
  NEED_TOOL("qemu-img");
  NEED_TOOL("qemu-io");
  Rng rng("deltas");
  SHOW_SEED(rng);
  const TempDir dir;
  make_raw_file(dir / "a.raw", 2 << 20, rng);
  must_run({"qemu-img", "convert", "-f", "raw", "-O", "vmdk", dir / "a.raw", dir / "base.vmdk"});
  must_run({"qemu-img", "create", "-q", "-f", "vmdk", "-b", "base.vmdk", "-F", "vmdk", dir / "child.vmdk"});
  must_run({"qemu-io", "-f", "vmdk", "-c", "write -P 7 100k 70k", "-c", "write -P 9 1500k 512", dir / "child.vmdk"});
  must_run({"qemu-img", "convert", "-f", "vmdk", "-O", "raw", dir / "child.vmdk", dir / "q.raw"});
  CHECK(read_disk(dir / "child.vmdk", "vmdk") == bytes_of_file(dir / "q.raw"));

  CreateOptions how;
  how.parent = "base.vmdk";
  Image::create(dir / "ours.vmdk", "vmdk", std::nullopt, how).close();
  OpenOptions open;
  open.access = Access::read_write;
  open.format = "vmdk";
  {
    Image image = Image::open(dir / "ours.vmdk", open);
    image.write_at(70001, pattern(70001, 3, 100000));
    image.zero(512 * 1024, 200000);
    image.close();
  }
  must_run({"qemu-img", "check", "-q", "-f", "vmdk", dir / "ours.vmdk"});
  must_run({"qemu-img", "convert", "-f", "vmdk", "-O", "raw", dir / "ours.vmdk", dir / "ours.raw"});
  CHECK(read_disk(dir / "ours.vmdk", "vmdk") == bytes_of_file(dir / "ours.raw"));
}

TEST_CASE("what we write in each subformat is clean for qemu-img check and identical for qemu-img compare") {
  NEED_TOOL("qemu-img");
  Rng rng("to qemu-img");
  SHOW_SEED(rng);
  for (const std::string& subformat : kOurSubformats) {
    for (const uint64_t size : {kOdd, uint64_t{512}, uint64_t{4} << 20}) {
      INFO(subformat << ", " << size << " bytes");
      const TempDir dir;
      make_raw_file(dir / "a.raw", size, rng);
      convert_file(dir / "a.raw", "raw", dir / "ours.vmdk", "vmdk", {{"subformat", subformat}});
      expect_fine_for_qemu(dir / "a.raw", dir / "ours.vmdk", subformat);
    }
  }
}

TEST_CASE("what was written in place in each subformat is clean and identical for qemu-img") {
  NEED_TOOL("qemu-img");
  Rng rng("in place to qemu-img");
  SHOW_SEED(rng);
  for (const std::string& subformat : kOurSubformats) {
    if (subformat == "streamOptimized") continue;
    INFO(subformat);
    const TempDir dir;
    create_image(host_file_system(), dir / "ours.vmdk", "vmdk", kOdd, {{"subformat", subformat}});
    ShadowDisk model(kOdd);
    {
      OpenOptions how;
      how.access = Access::read_write;
      how.format = "vmdk";
      how.durable = false;
      Image image = Image::open(dir / "ours.vmdk", how);
      Workload work(image, model, rng);
      REQUIRE(work.run(60) == "");
      image.close();
    }
    must_run({"qemu-img", "convert", "-f", "vmdk", "-O", "raw", dir / "ours.vmdk", dir / "ours.raw"});
    const auto got = bytes_of_file(dir / "ours.raw");
    CHECK(describe_difference(0, got, model.bytes()) == "");
    write_file(dir / "model.raw", model.bytes());
    expect_fine_for_qemu(dir / "model.raw", dir / "ours.vmdk", subformat);
  }
}

TEST_CASE("7zz reads the same bytes from every subformat that it knows") {
  NEED_TOOL("7zz");
  Rng rng("to 7zz");
  SHOW_SEED(rng);
  for (const std::string& subformat : kOurSubformats) {
    if (subformat == "vmfs") continue;
    INFO(subformat);
    const TempDir dir;
    make_raw_file(dir / "a.raw", kOdd, rng);
    convert_file(dir / "a.raw", "raw", dir / "ours.vmdk", "vmdk", {{"subformat", subformat}});
    const std::string out = must_run({"7zz", "x", "-tvmdk", "-so", dir / "ours.vmdk"});
    const auto got = std::as_bytes(std::span(out));
    CHECK(describe_difference(0, got, bytes_of_file(dir / "a.raw")) == "");
  }
}

TEST_CASE("vmdkmount shows the same bytes of every subformat that it knows") {
  for (const char* tool : {"vmdkmount", "fusermount"}) NEED_TOOL(tool);
  SKIP_IF_ANY(why_no_fuse());
  Rng rng("to vmdkmount");
  SHOW_SEED(rng);
  for (const std::string& subformat : kOurSubformats) {
    if (subformat == "monolithicFlat") continue;
    INFO(subformat);
    const TempDir dir;
    make_raw_file(dir / "a.raw", kOdd, rng);
    convert_file(dir / "a.raw", "raw", dir / "ours.vmdk", "vmdk", {{"subformat", subformat}});
    std::filesystem::create_directory(dir / "mount");
    expect_mounted_disks(dir / "ours.vmdk", dir / "mount", {dir / "a.raw"});
  }
}

TEST_CASE("vmdkmount shows the same bytes of a delta and of its parent") {
  for (const char* tool : {"vmdkmount", "fusermount"}) NEED_TOOL(tool);
  SKIP_IF_ANY(why_no_fuse());
  Rng rng("delta to vmdkmount");
  SHOW_SEED(rng);
  const TempDir dir;
  make_raw_file(dir / "a.raw", 2 << 20, rng);
  make_raw_file(dir / "b.raw", 2 << 20, rng);
  convert_file(dir / "a.raw", "raw", dir / "base.vmdk", "vmdk");
  ConvertOptions how;
  how.source_format = "raw";
  how.create.parent = "base.vmdk";
  convert(dir / "b.raw", dir / "child.vmdk", how);
  std::filesystem::create_directory(dir / "mount");
  expect_mounted_disks(dir / "child.vmdk", dir / "mount", {dir / "a.raw", dir / "b.raw"});
}

TEST_CASE("a stream that python's VMDKstream wrote is read here") {
  NEED_TOOL("python3");
  const std::string script =
      "import sys\ntry:\n    from VMDKstream import convert_to_stream\nexcept ImportError:\n    "
      "sys.exit(77)\nconvert_to_stream(sys.argv[1], sys.argv[2])\n";
  Rng rng("from VMDKstream");
  SHOW_SEED(rng);
  const TempDir dir;
  make_raw_file(dir / "a.raw", 3 << 20, rng);
  const RunResult result = run({"/usr/bin/python3", "-c", script, dir / "a.raw", dir / "p.vmdk"});
  if (result.exit_code == 77) return varve::test::missing("python3-vmdkstream");
  REQUIRE_MESSAGE(result.exit_code == 0, result.err);
  CHECK(read_disk(dir / "p.vmdk", "vmdk") == bytes_of_file(dir / "a.raw"));
}

TEST_CASE("60 random images: qemu-img and we read the same from what either has written") {
  NEED_TOOL("qemu-img");
  Rng rng("differential");
  SHOW_SEED(rng);
  const uint64_t images = scaled(60);
  for (uint64_t i = 0; i < images; ++i) {
    const TempDir dir;
    const uint64_t size = rng.between(1, 6000) * 512;
    make_raw_file(dir / "a.raw", size, rng);
    const std::string& theirs = rng.pick(std::span<const std::string>(kQemuSubformats));
    const std::string& ours = rng.pick(std::span<const std::string>(kOurSubformats));
    INFO("image " << i << ": " << size << " bytes, " << theirs << " to " << ours);
    must_run({"qemu-img", "convert", "-f", "raw", "-O", "vmdk", "-o", "subformat=" + theirs, dir / "a.raw", dir / "q.vmdk"});
    convert_file(dir / "q.vmdk", "vmdk", dir / "o.vmdk", "vmdk", {{"subformat", ours}});
    must_run({"qemu-img", "compare", "-f", "raw", "-F", "vmdk", dir / "a.raw", dir / "o.vmdk"});
  }
}

}  // namespace
}  // namespace varve::test
