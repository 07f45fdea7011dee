#include "vhdx_seeds.h"

#include <algorithm>

#include "base/random.h"
#include "sparse_input.h"
#include "varve/image.h"
#include "vhdx/locator.h"

namespace varve::fuzz {

namespace {

constexpr const char* kDisk = "disk.vhdx";
constexpr uint64_t kMiB = 1 << 20;
constexpr uint64_t kSize = 3 * kMiB + 8 * 4096;

std::vector<std::byte> filled(size_t length, uint8_t value) { return std::vector<std::byte>(length, std::byte{value}); }

Seed packed(std::string name, MemoryFileSystem& files) { return {std::move(name), pack_sparse(*files.find(kDisk))}; }

void create(MemoryFileSystem& files, OptionMap options, std::optional<uint64_t> size = kSize, bool child = false) {
  CreateOptions how;
  how.options = std::move(options);
  if (how.options.find("block_size") == how.options.end()) how.options["block_size"] = "1M";
  how.file_system = &files;
  if (child) how.parent = kVhdxParent;
  Image::create(kDisk, "vhdx", size, how).close();
}

Image open(MemoryFileSystem& files) {
  OpenOptions how;
  how.access = Access::read_write;
  how.format = "vhdx";
  how.file_system = &files;
  return Image::open(kDisk, how);
}

/// Whole blocks, parts of blocks, zeros over data, and blocks that are given up.
void use(Image& image) {
  image.write_at(0, filled(600, 1));
  image.write_at(kMiB - 4096, filled(8192, 2));
  image.write_at(2 * kMiB, filled(4096, 3));
  image.flush();
  image.discard(2 * kMiB, kMiB);
  image.zero(kMiB, 4096);
}

Seed used(std::string name, OptionMap options, bool child = false) {
  MemoryFileSystem files;
  if (child) add_vhdx_parent(files);
  create(files, std::move(options), child ? std::nullopt : std::optional(kSize), child);
  Image image = open(files);
  use(image);
  image.close();
  return packed(std::move(name), files);
}

/// As if the program had been killed.
Seed pending(std::string name, bool child) {
  MemoryFileSystem files;
  if (child) add_vhdx_parent(files);
  create(files, {}, child ? std::nullopt : std::optional(kSize), child);
  Image image = open(files);
  use(image);
  image.flush();
  return packed(std::move(name), files);
}

Seed torn() {
  MemoryFileSystem files;
  create(files, {});
  for (const uint64_t copy : {64U << 10, 256U << 10}) files.find(kDisk)->write_at(copy + 100, filled(4, 0xee));
  return packed("torn", files);
}

Seed empty(std::string name, OptionMap options, uint64_t size) {
  MemoryFileSystem files;
  create(files, std::move(options), size);
  return packed(std::move(name), files);
}

}  // namespace

void add_vhdx_parent(MemoryFileSystem& files) {
  SeededRandom random(1);
  CreateOptions how;
  how.options = {{"block_size", "2M"}};
  how.file_system = &files;
  how.random = &random;
  Image parent = Image::create(kVhdxParent, "vhdx", kSize, how);
  parent.write_at(0, filled(kMiB + 5000, 0xaa));
  parent.write_at(kSize - 5000, filled(5000, 0xab));
  parent.close();
}

std::vector<Seed> vhdx_images() {
  return {used("dynamic", {}),
          used("sectors-4096", {{"logical_sector_size", "4096"}, {"block_size", "2M"}}),
          used("fixed", {{"subformat", "fixed"}}),
          used("child", {}, true),
          pending("pending", false),
          pending("pending-child", true),
          torn(),
          empty("large", {{"block_size", "32M"}}, uint64_t{1} << 40),
          empty("one-sector", {}, 512)};
}

std::vector<Seed> vhdx_locators() {
  std::vector<Seed> out;
  const std::string identity = vhdx::identity_of(Uuid{});
  for (const char* name : {"base.vhdx", "../up/base.vhdx", "/vm/base.vhdx", "g\xc3\xbcltig/b.vhdx"}) {
    const std::vector<std::byte> item = vhdx::encode(vhdx::make_locator(name, identity));
    Seed seed{"locator" + std::to_string(out.size()), {}};
    for (const std::byte b : item) seed.bytes.push_back(std::to_integer<uint8_t>(b));
    seed.bytes.resize(seed.bytes.size() + 57);  // a GUID and a name
    out.push_back(std::move(seed));
  }
  return out;
}

}  // namespace varve::fuzz
