#include "seeds.h"

#include <algorithm>

#include "codec/deflate.h"
#include "codec/zstd.h"
#include "io/memory_file_system.h"
#include "varve/ops.h"
#include "varve_seeds.h"
#include "vhdx_seeds.h"
#include "vmdk/images.h"

namespace varve::fuzz {

namespace {

constexpr uint64_t kSize = (1 << 16) + 3 * 512;

std::vector<std::byte> noise(size_t length) {
  std::vector<std::byte> out(length);
  uint32_t state = 1;
  for (std::byte& b : out) b = static_cast<std::byte>((state = state * 1664525 + 1013904223) >> 26);
  return out;
}

std::vector<uint8_t> plain(ConstBytes bytes) {
  std::vector<uint8_t> out(bytes.size());
  std::transform(bytes.begin(), bytes.end(), out.begin(), [](std::byte b) { return std::to_integer<uint8_t>(b); });
  return out;
}

/// The named file of an image that a conversion made.
std::vector<uint8_t> converted(const OptionMap& options, uint64_t size = kSize) {
  MemoryFileSystem files;
  auto source = files.add("source.raw");
  source->resize(size);
  source->write_at(0, noise(10000));
  source->write_at(size - 1024, noise(1024));
  ConvertOptions how;
  how.source_format = "raw";
  how.target_format = "vmdk";
  how.open.file_system = &files;
  how.create.file_system = &files;
  how.create.options = options;
  how.copy.threads = 1;
  convert("source.raw", "disk.vmdk", how);
  return plain(files.find("disk.vmdk")->contents());
}

/// A child; its parent is not there.
std::vector<uint8_t> delta() {
  MemoryFileSystem files;
  CreateOptions how;
  how.file_system = &files;
  Image::create("base.vmdk", "vmdk", kSize, how).close();
  how.options = {{"grain_size", "4K"}};
  how.parent = "base.vmdk";
  Image child = Image::create("disk.vmdk", "vmdk", kSize, how);
  child.write_at(5000, noise(5000));
  child.close();
  return plain(files.find("disk.vmdk")->contents());
}

std::vector<Seed> vmdk_images() {
  const auto sparse = [](OptionMap more, uint64_t size = kSize) {
    more["subformat"] = "monolithicSparse";
    return converted(more, size);
  };
  return {{"sparse", sparse({})},
          {"sparse-4k", sparse({{"grain_size", "4K"}})},
          {"zeroed", sparse({{"grain_size", "4K"}, {"zeroed_grain", "on"}})},
          {"tables", sparse({{"grain_size", "4K"}}, (5 << 19) + 512)},
          {"delta", delta()},
          {"stream", converted({{"subformat", "streamOptimized"}})},
          {"flat-descriptor", converted({{"subformat", "monolithicFlat"}})},
          {"split-descriptor", converted({{"subformat", "twoGbMaxExtentSparse"}})}};
}

/// ESXi's sparse extents, and streams in the shapes that others write.
std::vector<Seed> foreign_images() {
  test::SeSparse esxi;
  esxi.sectors = 256;
  esxi.grains = {{0, test::pattern(4096, 1)}, {3, test::pattern(4096, 2)}};
  esxi.zeros = {1};
  esxi.unmapped = {2};
  test::Stream stream;
  stream.sectors = 128 * 6 + 3;
  stream.grains = {{0, test::Bytes(65536, std::byte{7})}, {2, test::Bytes(65536, std::byte{8})}, {6, test::Bytes(1536, std::byte{9})}};
  stream.zeros = {4};
  test::Stream front = stream;
  front.footer = false;
  return {{"cowd", plain(test::cowd_image(300, {{0, test::pattern(512, 3)}, {1, test::pattern(512, 4)}, {200, test::pattern(512, 5)}}))},
          {"sesparse", plain(test::sesparse_image(esxi))},
          {"foreign-stream", plain(test::stream_image(stream))},
          {"front-stream", plain(test::stream_image(front))}};
}

std::vector<Seed> all_images() {
  std::vector<Seed> all = vmdk_images();
  for (Seed& seed : foreign_images()) all.push_back(std::move(seed));
  return all;
}

std::vector<Seed> streams() {
  std::vector<Seed> all = foreign_images();
  all.erase(all.begin(), all.begin() + 2);
  for (const char* grain : {"4K", "64K"}) all.push_back({grain, converted({{"subformat", "streamOptimized"}, {"grain_size", grain}})});
  return all;
}

std::vector<Seed> with_tail(std::vector<Seed> seeds, size_t length) {
  for (Seed& seed : seeds)
    for (size_t i = 0; i < length; ++i) seed.bytes.push_back(static_cast<uint8_t>(i * 37 + 40));
  return seeds;
}

/// A descriptor of `lines`, and what each file that it names holds.
Seed extents(const std::string& name, const std::string& lines, std::vector<uint8_t> file) {
  const std::string text = "# Disk DescriptorFile\nversion=1\nCID=12345678\nparentCID=ffffffff\ncreateType=\"custom\"\n" + lines + "\n";
  std::vector<uint8_t> bytes(text.begin(), text.end());
  bytes.resize(kExtentsTextBytes);
  bytes.insert(bytes.end(), file.begin(), file.end());
  return {name, bytes};
}

std::vector<Seed> extent_sets() {
  std::vector<Seed> esxi = foreign_images();
  const std::vector<uint8_t> sparse = converted({{"subformat", "monolithicSparse"}, {"grain_size", "4K"}});
  return with_tail({extents("cowd", "RW 300 VMFSSPARSE \"a\"\nRW 300 VMFSSPARSE \"b\"", esxi[0].bytes),
                    extents("sesparse", "RW 256 SESPARSE \"a\"\nRW 100 ZERO\nRW 256 SESPARSE \"b\"", esxi[1].bytes),
                    extents("sparse", "RW 131 SPARSE \"a\"\nRDONLY 131 SPARSE \"b\"\nNOACCESS 7 FLAT \"c\"", sparse),
                    extents("flat", "RW 20 FLAT \"a\" 0\nRW 7 FLAT \"b\" 3\nRW 20 FLAT \"a\" 20\nRW 8 VMFS \"c\"", plain(noise(40 * 512)))},
                   65);
}

/// Each once alone and once over its parent (vhdx_ops.cc).
std::vector<Seed> vhdx_scripts() {
  std::vector<Seed> alone = with_tail(vhdx_images(), 200);
  std::vector<Seed> over_parent = alone;
  for (Seed& seed : over_parent) {
    seed.name += "-over-parent";
    seed.bytes.back() ^= 1;
  }
  alone.insert(alone.end(), over_parent.begin(), over_parent.end());
  return alone;
}

/// Numbers of every size.
std::vector<Seed> number_strings(size_t count, size_t length) {
  std::vector<Seed> out;
  const std::vector<std::byte> all = noise(count * length);
  for (size_t i = 0; i < count; ++i) out.push_back({"numbers" + std::to_string(i), plain(ConstBytes(all).subspan(i * length, length))});
  return out;
}

std::vector<Seed> descriptors() {
  std::vector<Seed> out;
  for (const char* subformat : {"monolithicFlat", "twoGbMaxExtentSparse", "vmfs"})
    out.push_back({subformat, converted({{"subformat", subformat}})});
  for (const char* encoding : {"windows-1252", "Shift_JIS", "GB18030", "UTF-8"}) {
    const std::string text = std::string("# Disk DescriptorFile\nversion=1\nencoding=\"") + encoding +
                             "\"\nCID=12345678\nparentCID=ffffffff\ncreateType=\"custom\"\nparentFileNameHint=\"\x83\x65.vmdk\"\n" +
                             "RW 100 FLAT \"\xe4\x83\x58.raw\" 7\n";
    out.push_back({encoding, {text.begin(), text.end()}});
  }
  return with_tail(std::move(out), 12);
}

std::vector<Seed> frames(bool zstd) {
  const std::vector<std::byte> data = noise(5000);
  std::vector<std::byte> packed(zstd ? ZstdCompressor::bound(data.size()) : Deflater::bound(data.size()));
  packed.resize(zstd ? ZstdCompressor().compress(data, packed) : Deflater().compress(data, packed));
  return with_tail({{"frame", plain(packed)}, {"empty", {}}}, 8);
}

}  // namespace

std::vector<Seed> seeds_of(std::string_view target) {
  if (target == "vmdk_open" || target == "vmdk_check" || target == "probe") return all_images();
  if (target == "vmdk_stream") return streams();
  if (target == "vmdk_extents") return extent_sets();
  if (target == "vmdk_files") return number_strings(8, 300);
  if (target == "vmdk_ops") return with_tail(vmdk_images(), 200);
  if (target == "vmdk_descriptor") return descriptors();
  if (target == "vhdx_ops") return vhdx_scripts();
  if (target == "vhdx_locator") return vhdx_locators();
  if (target.starts_with("vhdx_")) return vhdx_images();
  if (target == "varve_ops") return with_tail(varve_images(), 200);
  if (target == "varve_keyarea") return with_tail(varve_key_areas(), 20);
  if (target.starts_with("varve_")) return varve_images();
  if (target == "deflate") return frames(false);
  if (target == "zstd") return frames(true);
  return with_tail({{"numbers", {}}, {"more", {3, 1, 4, 1, 5}}}, 64);
}

}  // namespace varve::fuzz
