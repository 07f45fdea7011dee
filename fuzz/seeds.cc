#include "seeds.h"

#include <algorithm>

#include "codec/deflate.h"
#include "codec/zstd.h"
#include "io/memory_file_system.h"
#include "varve/ops.h"

namespace varve::fuzz {

namespace {

constexpr uint64_t kSize = (1 << 18) + 3 * 512;

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
std::vector<uint8_t> converted(const OptionMap& options) {
  MemoryFileSystem files;
  auto source = files.add("source.raw");
  source->resize(kSize);
  source->write_at(0, noise(70000));
  source->write_at(kSize - 1024, noise(1024));
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

std::vector<Seed> vmdk_images() {
  return {{"sparse", converted({{"subformat", "monolithicSparse"}})},
          {"sparse-4k", converted({{"subformat", "monolithicSparse"}, {"grain_size", "4K"}})},
          {"zeroed", converted({{"subformat", "monolithicSparse"}, {"zeroed_grain", "on"}})},
          {"stream", converted({{"subformat", "streamOptimized"}})},
          {"flat-descriptor", converted({{"subformat", "monolithicFlat"}})},
          {"split-descriptor", converted({{"subformat", "twoGbMaxExtentSparse"}})}};
}

std::vector<Seed> with_tail(std::vector<Seed> seeds, size_t length) {
  for (Seed& seed : seeds)
    for (size_t i = 0; i < length; ++i) seed.bytes.push_back(static_cast<uint8_t>(i * 37 + 40));
  return seeds;
}

std::vector<Seed> descriptors() {
  std::vector<Seed> out;
  for (const char* subformat : {"monolithicFlat", "twoGbMaxExtentSparse", "vmfs"})
    out.push_back({subformat, converted({{"subformat", subformat}})});
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
  if (target == "vmdk_open" || target == "probe") return vmdk_images();
  if (target == "vmdk_ops") return with_tail(vmdk_images(), 200);
  if (target == "vmdk_descriptor") return descriptors();
  if (target == "deflate") return frames(false);
  if (target == "zstd") return frames(true);
  return with_tail({{"numbers", {}}, {"more", {3, 1, 4, 1, 5}}}, 64);
}

}  // namespace varve::fuzz
