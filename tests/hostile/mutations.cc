#include "hostile/mutations.h"

#include <algorithm>

#include "base/zero.h"
#include "hostile/entry_points.h"
#include "support/heap.h"
#include "support/image_kit.h"
#include "support/pattern.h"
#include "support/seeds.h"

namespace varve::test {

uint64_t get(const Bytes& bytes, const Field& field) {
  uint64_t value = 0;
  for (uint8_t i = 0; i < field.width; ++i) value |= std::to_integer<uint64_t>(bytes.at(field.offset + i)) << (8 * i);
  return value;
}

void set(Bytes& bytes, const Field& field, uint64_t value) {
  for (uint8_t i = 0; i < field.width; ++i) bytes.at(field.offset + i) = static_cast<std::byte>(value >> (8 * i) & 0xff);
}

std::vector<uint64_t> boundary_values(uint64_t old, uint8_t width, const std::set<uint64_t>& more) {
  const uint64_t top = width == 8 ? UINT64_MAX : (uint64_t{1} << (8 * width)) - 1;
  std::set<uint64_t> all = {0,
                            1,
                            2,
                            3,
                            7,
                            8,
                            127,
                            128,
                            511,
                            512,
                            513,
                            2047,
                            2048,
                            2049,
                            0xffff,
                            uint64_t{1} << 16,
                            uint64_t{1} << 17,
                            0x7fffffff,
                            0x80000000,
                            0xffffffff,
                            uint64_t{1} << 32,
                            uint64_t{1} << 55,
                            UINT64_MAX / 512,
                            UINT64_MAX / 2,
                            UINT64_MAX / 2 + 1,
                            UINT64_MAX - 1,
                            UINT64_MAX,
                            old - 1,
                            old + 1,
                            old * 2,
                            old ^ 0x80};
  all.insert(more.begin(), more.end());
  std::vector<uint64_t> values;
  for (const uint64_t value : all)
    if ((value & top) != old && std::find(values.begin(), values.end(), value & top) == values.end()) values.push_back(value & top);
  return values;
}

bool MutationCount::skips() {
  const bool skipped = made_++ % (scaled(8) < 8 ? 8 : 1) != 0;
  if (!skipped) ++tried_;
  return skipped;
}

namespace {

bool expected(Errc code) { return code != Errc::io && code != Errc::exists && code != Errc::cancelled && code != Errc::authentication; }

/// As on a real host pages of zeros are holes, which also saves most of the time.
void add_file(MemoryFileSystem& files, const std::string& path, ConstBytes bytes) {
  const auto file = files.add(path);
  for (size_t at = 0; at < bytes.size(); at += MemoryStorage::kPageSize) {
    const ConstBytes page = bytes.subspan(at, std::min<size_t>(MemoryStorage::kPageSize, bytes.size() - at));
    if (!is_zero(page)) file->write_at(at, page);
  }
  file->resize(bytes.size());
}

struct MutantWorld : HostileWorld {
  explicit MutantWorld(const Mutant& image) : HostileWorld({}), format(image.format) {
    add_file(files, kDisk, image.bytes);
    for (const auto& [path, bytes] : image.more_files) add_file(files, path, bytes);
  }
  Image open_it(Access access) { return open(access, References::inside, format); }

  const std::string format;
};

void read_some(Image& image) {
  Bytes out(65536);
  for (uint64_t i = 0; i < 64; ++i) {
    const uint64_t offset = image.size() / 64 * i;
    image.read_at(offset, MutableBytes(out).first(static_cast<size_t>(std::min<uint64_t>(out.size(), image.size() - offset))));
  }
}

/// Piece by piece: thousands of images would be copied whole.
bool unchanged(MutantWorld& world, const Bytes& before) {
  const auto file = world.files.find(kDisk);
  if (file->size() != before.size()) return false;
  Bytes piece(65536);
  for (size_t at = 0; at < before.size(); at += piece.size()) {
    const ConstBytes was = ConstBytes(before).subspan(at, std::min(piece.size(), before.size() - at));
    file->read_at(at, MutableBytes(piece).first(was.size()));
    if (!std::equal(was.begin(), was.end(), piece.begin())) return false;
  }
  return true;
}

bool finds_nothing(Image& image) {
  return image.check({.data = true, .repair = Repair::none, .progress = {}, .cancel = nullptr}).damages == 0;
}

void convert_it(MutantWorld& world) {
  ConvertOptions how;
  how.source_format = world.format;
  how.target_format = "raw";
  how.open.file_system = &world.files;
  how.create.file_system = &world.files;
  how.create.limits.output_bytes = 64 << 20;
  how.copy.threads = 1;
  convert(kDisk, "dir/out", how);
}

}  // namespace

std::optional<Errc> attempt(const std::function<void()>& call) {
  try {
    call();
  } catch (const Error& error) {
    CHECK_MESSAGE(expected(error.code()), error.what());
    return error.code();
  }
  return std::nullopt;
}

bool go_through_everything(const Mutant& mutant) {
  MutantWorld world(mutant);
  bool sound = false;
  heap_reset_peak();
  attempt([&] {
    Image image = world.open_it(Access::read_only);
    image.info();
    const auto checked = attempt([&] { sound = finds_nothing(image); });
    const auto mapped = attempt([&] {
      uint64_t runs = 0;
      for (uint64_t at = 0; at < image.size() && ++runs < 5000;) at += image.extent_at(at).length;
    });
    const auto read = attempt([&] { read_some(image); });
    CHECK_MESSAGE(!(sound && !checked && (mapped || read)), "check finds no damage, but the image can't be read");
  });
  CHECK(heap_peak() <= (32 << 20) + 4 * mutant.bytes.size());
  attempt([&] { convert_it(world); });
  CHECK(unchanged(world, mutant.bytes));
  return sound;
}

void go_through_writing(const Mutant& mutant, bool sound) {
  MutantWorld world(mutant);
  heap_reset_peak();
  uint64_t at = 0;
  Bytes data;
  const auto written = attempt([&] {
    Image image = world.open_it(Access::read_write);
    at = image.size() / 1024 * 512;
    data = pattern(at, 7, static_cast<size_t>(std::min<uint64_t>(5000, image.size() - at)));
    image.write_at(at, data);
    image.close();
  });
  bool still_sound = false;
  Bytes now(data.size());
  const auto reread = attempt([&] {
    Image image = world.open_it(Access::read_only);
    still_sound = finds_nothing(image);
    if (!written) image.read_at(at, now);
  });
  CHECK(heap_peak() <= (32 << 20) + 4 * mutant.bytes.size());
  if (!written) {
    CHECK_MESSAGE(!reread, "what was written can't be read");
    CHECK_MESSAGE(now == data, "what was written is not there");
  }
  CHECK_MESSAGE((still_sound || !sound), "it was sound before the write, and is not any more");
}

void go_through_repair(const Mutant& mutant) {
  MutantWorld world(mutant);
  heap_reset_peak();
  bool mended = false;
  const auto repaired = attempt([&] {
    Image image = world.open_it(Access::read_write);
    mended = image.check({.data = true, .repair = Repair::all, .progress = {}, .cancel = nullptr}).damages == 0;
    image.close();
  });
  bool sound = false;
  attempt([&] {
    Image image = world.open_it(Access::read_only);
    sound = finds_nothing(image);
  });
  CHECK(heap_peak() <= (32 << 20) + 4 * mutant.bytes.size());
  CHECK_MESSAGE((sound || repaired || !mended), "a repair says that all is well, and it is not");
}

}  // namespace varve::test
