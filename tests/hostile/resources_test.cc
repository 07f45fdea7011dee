// What a small hostile image may cost: memory, disk, time, files.
#include <array>
#include <cstdio>
#include <ctime>

#include "hostile/entry_points.h"
#include "support/heap.h"
#include "support/image_kit.h"
#include "support/pattern.h"
#include "support/process.h"
#include "support/seeds.h"

namespace varve::test {
namespace {

/// Of the processor, so that a busy machine makes no difference.
struct Clock {
  using time_point = std::clock_t;
  static time_point now() { return std::clock(); }
};

constexpr uint64_t kMiB = 1 << 20;

uint64_t milliseconds_since(Clock::time_point begin) { return static_cast<uint64_t>(Clock::now() - begin) * 1000 / CLOCKS_PER_SEC; }

ConvertOptions convert_options(HostileWorld& world, const std::string& to) {
  ConvertOptions how;
  how.source_format = "vmdk";
  how.target_format = to;
  how.open.file_system = &world.files;
  how.create.file_system = &world.files;
  how.copy.threads = 2;
  return how;
}

std::string many_extents(size_t count) {
  std::string lines;
  for (size_t i = 0; i < count; ++i) lines += "RW 1 ZERO\n";
  return lines;
}

/// With its holes: as bytes it would be 250 MB of zeros.
std::shared_ptr<MemoryStorage> empty_giant() {
  MemoryFileSystem files;
  create_image(files, kDisk, "vmdk", uint64_t{1900} << 30, {{"subformat", "monolithicSparse"}});
  return files.find(kDisk);
}

TEST_CASE("RES-1: the memory of C libraries counts") {
  if (!heap_sees_malloc()) SKIP_TEST("a sanitizer owns malloc");
  heap_reset_peak();
  const Bytes packed = zlib(Bytes(1000));
  CHECK(heap_peak() >= 200000);  // deflate takes a quarter of a mebibyte for its window and its tables
}

TEST_CASE("RES-1: open, info and check of hostile images stay within 32 MiB of heap and four times the file") {
  SparseImage huge(32);
  huge.header.capacity = uint64_t{4} << 30;  // 2 TiB: the directory would lie over the grains
  SparseImage wide(32);
  wide.header.grain_size = 1;
  std::vector<Bytes> images = {huge.finish(), wide.finish(), StreamImage(64).bytes,
                               bytes_of_text(descriptor_text("custom", many_extents(2000)))};
  for (size_t i = 0; i < images.size(); ++i) {
    INFO("image " << i);
    HostileWorld world(images[i]);
    heap_reset_peak();
    try {
      Image image = world.open();
      image.info();
      image.check({.data = true, .repair = Repair::none, .progress = {}, .cancel = nullptr});
    } catch (const Error& error) {
      INFO(error.what());
      CHECK((error.code() == Errc::corrupt || error.code() == Errc::limit));
    }
    CHECK(heap_peak() <= 32 * kMiB + 4 * images[i].size());
  }
}

TEST_CASE("RES-1: 2,048 extents together hold no more tables than one extent may") {
  // Each alone has four pages of tables, 256 KiB.
  constexpr uint64_t kExtent = uint64_t{4} << 30;
  HostileWorld world{Bytes()};
  create_image(world.files, "dir/e.vmdk", "vmdk", kExtent);
  {
    OpenOptions how;
    how.format = "vmdk";
    how.file_system = &world.files;
    how.access = Access::read_write;
    Image extent = Image::open("dir/e.vmdk", how);
    for (uint64_t at = 0; at < kExtent; at += 512 * 65536) extent.write_at(at, Bytes(512, std::byte{1}));
    extent.close();
  }
  std::string lines;
  for (int i = 0; i < 2048; ++i) lines += "RDONLY " + std::to_string(kExtent / 512) + " SPARSE \"e.vmdk\"\n";
  world.files.add(kDisk, bytes_of_text(descriptor_text("custom", lines)));
  heap_reset_peak();
  Image image = world.open();
  Bytes out(512);
  for (uint64_t at = 0; at < image.size(); at += 16 * 512 * 65536) image.read_at(at, out);
  CHECK(out[0] == std::byte{1});
  CHECK(damages(image, false) == "");
  CHECK(heap_peak() <= 64 * kMiB + 16 * kMiB);
}

TEST_CASE("RES-1: the extents of an image share what a check may take") {
  StreamImage stream;
  vmdk::SparseHeaderRaw header = stream.header_at(0);
  header.gd_offset = stream.header_at(stream.footer_at()).gd_offset;
  stream.put_header(0, header);
  HostileWorld world{Bytes()};
  world.files.add("dir/e.vmdk", stream.bytes)->resize(uint64_t{32} << 30);  // 8 MiB of bits, one for each sector
  std::string lines;
  for (int i = 0; i < 8; ++i) lines += "RDONLY 512 SPARSE \"e.vmdk\"\n";
  world.files.add(kDisk, bytes_of_text(descriptor_text("custom", lines)));
  world.options.limits.metadata_bytes = 16 * kMiB;
  Image image = world.open();
  heap_reset_peak();
  CHECK(damages(image, false) == "");
  CHECK(heap_peak() <= 3 * kMiB);
}

/// 2 TiB of a seSparse extent whose first 2 million grains lie alone, each in another mebibyte of the file.
std::shared_ptr<MemoryStorage> scattered_sesparse() {
  constexpr uint64_t kTables = 512;
  constexpr uint64_t kFirstTable = 4096;
  const uint64_t directory_sectors = (uint64_t{2} << 40) / (4096 * 4096) * 8 / 512;
  auto file = std::make_shared<MemoryStorage>("scattered");
  file->resize(uint64_t{3} << 40);
  const auto put_numbers = [&](uint64_t offset, std::vector<le64> numbers) { file->write_at(offset, std::as_bytes(std::span(numbers))); };
  put_numbers(0, {0xcafebabe, 0x200000001, (uint64_t{2} << 40) / 512, 8, 64, 0, 0, 0, 0, 0});
  put_numbers(80, {1, 1, 0, 0, 0, 0, 8, directory_sectors, kFirstTable, kTables * 64, 0, 0, 0, 0, kFirstTable + kTables * 64, 0});
  put_numbers(512, {0xcafecafe});
  for (uint64_t table = 0; table < kTables; ++table) {
    put_numbers(4096 + table * 8, {uint64_t{0x1000000000000000} | table});
    std::vector<le64> entries;
    for (uint64_t i = table * 4096; i < (table + 1) * 4096; ++i) {
      const uint64_t number = i * 7919 % (kTables * 4096) * 256;  // in no order
      entries.push_back(uint64_t{3} << 60 | (number & 0xfff) << 48 | number >> 12);
    }
    put_numbers(kFirstTable * 512 + table * 64 * 512, entries);
  }
  return file;
}

TEST_CASE("RES-1: two million grains scattered over 2 TiB are checked within the limit for metadata, and in little time") {
  HostileWorld world{ConstBytes()};
  world.files.add(kDisk, scattered_sesparse());
  const auto begin = Clock::now();
  heap_reset_peak();
  {
    Image image = world.open();
    const CheckReport report = image.check({});
    CHECK(describe(report) == "");
    CHECK(report.allocated_bytes == uint64_t{512} * 4096 * 4096);
  }
  CHECK(heap_peak() <= 64 * kMiB);
  std::printf("check of 2 million scattered grains: %llu MiB, %llu ms\n", static_cast<unsigned long long>(heap_peak() / kMiB),
              static_cast<unsigned long long>(milliseconds_since(begin)));
  CHECK(milliseconds_since(begin) < 10000);
}

TEST_CASE("RES-2: info, map and check of an empty disk of 1.9 TiB take no time and no memory, and copies stay sparse") {
  HostileWorld world{ConstBytes()};
  world.files.add(kDisk, empty_giant());
  const auto begin = Clock::now();
  heap_reset_peak();
  {
    Image image = world.open();
    image.info();
    CHECK(damages(image, false) == "");
    uint64_t runs = 0;
    map(image, [&](const Extent&) { ++runs; });
    CHECK(runs == 1);
  }
  CHECK(heap_peak() <= 64 * kMiB);
  CHECK(milliseconds_since(begin) < 5000);
  convert(kDisk, "dir/out.raw", convert_options(world, "raw"));
  CHECK(world.files.find("dir/out.raw")->size() == uint64_t{1900} << 30);
  CHECK(world.files.find("dir/out.raw")->allocated() == 0);
}

TEST_CASE("RES-2: growing a delta by 256 GiB takes no memory for its 16 MiB of tables, twice") {
  const TempDir dir;
  create_image(host_file_system(), dir / "base.vmdk", "vmdk", kMiB);
  CreateOptions child;
  child.parent = "base.vmdk";
  child.durable = false;
  Image::create(dir / "a.vmdk", "vmdk", 16 * kMiB, child).close();
  OpenOptions how;
  how.format = "vmdk";
  how.access = Access::read_write;
  how.durable = false;
  Image image = Image::open(dir / "a.vmdk", how);
  heap_reset_peak();
  image.resize(uint64_t{256} << 30);
  CHECK(heap_peak() <= 4 * kMiB);
  Bytes out(512, std::byte{1});
  image.read_at((uint64_t{256} << 30) - 512, out);
  CHECK(out == Bytes(512));
  CHECK(image.extent_at(100 * kMiB).kind == ExtentKind::zero);
}

TEST_CASE("RES-2: a disk larger than the caller's bound is refused by every way of opening") {
  HostileWorld world(SparseImage().finish());
  world.options.limits.virtual_size = kMiB;
  CHECK_ERRC(world.open(), Errc::limit);
  ConvertOptions how = convert_options(world, "raw");
  how.open.limits.virtual_size = kMiB;
  CHECK_ERRC(convert(kDisk, "dir/out", how), Errc::limit);
  CHECK(world.files.find("dir/out") == nullptr);
}

TEST_CASE("RES-3: a conversion that would write more than it may fails and leaves nothing under the final name") {
  for (const char* format : {"raw", "vmdk"}) {
    HostileWorld world(SparseImage(32, 20).finish());
    ConvertOptions how = convert_options(world, format);
    how.create.limits.output_bytes = 100000;
    how.open.limits.output_bytes = 100000;
    CHECK_ERRC(convert(kDisk, "dir/out", how), Errc::limit);
    CHECK(world.files.paths() == std::vector<std::string>{kDisk});
  }
}

TEST_CASE("RES-3: stored zeros that the output leaves out don't count, whatever way they would have gone") {
  HostileWorld world(Bytes(4 * kMiB));
  world.files.find(kDisk)->write_at(kMiB, pattern(0, 1, 8192));
  for (const char* format : {"raw", "vmdk"}) {
    ConvertOptions how = convert_options(world, format);
    how.source_format = "raw";
    how.create.limits.output_bytes = 200000;
    CHECK_NOTHROW(convert(kDisk, std::string("dir/out.") + format, how));
  }
}

Bytes linked(const std::string& parent) {
  SparseImage image;
  const size_t at = image.descriptor.find("parentCID=ffffffff");
  image.descriptor.replace(at, 18, "parentCID=12345678\nparentFileNameHint=\"" + parent + "\"");
  return image.finish();
}

TEST_CASE("RES-4: an image that is its own parent, or its parent's parent, is refused everywhere") {
  every_entry_point_fails(linked("disk.vmdk"), Errc::corrupt);
  every_entry_point_fails(linked("./disk.vmdk"), Errc::corrupt);
  every_entry_point_fails(linked("b.vmdk"), Errc::corrupt, {{"dir/b.vmdk", linked("disk.vmdk")}});
}

TEST_CASE("RES-4: a chain may have 32 layers and no more, before the next one is opened") {
  for (const size_t layers : {size_t{32}, size_t{33}}) {
    HostileWorld world(linked("p1.vmdk"));
    for (size_t i = 1; i < layers; ++i)
      world.files.add("dir/p" + std::to_string(i) + ".vmdk",
                      i + 1 == layers ? SparseImage().finish() : linked("p" + std::to_string(i + 1) + ".vmdk"));
    if (layers == 32) {
      CHECK(world.open().chain().size() == 32);
    } else {
      CHECK_ERRC(world.open(), Errc::limit);
      CHECK(world.touched().find("p32.vmdk") == std::string::npos);
    }
  }
}

TEST_CASE("RES-7: opening for writing neither grows nor writes the file, whatever size the header claims") {
  SparseImage image;
  image.header.unclean_shutdown = 1;
  for (const Bytes& bytes : {image.finish(), SparseImage().finish()}) {
    HostileWorld world(bytes);
    { Image disk = world.open(Access::read_write); }
    CHECK(world.files.find(kDisk)->size() == bytes.size());
  }
}

TEST_CASE("RES-8: a grain that inflates a thousandfold costs one grain of memory") {
  StreamImage image;
  const Bytes bomb = zlib(Bytes(20 * kMiB));
  put32(image.bytes, image.grain_at(0) + 8, static_cast<uint32_t>(bomb.size()));
  put(image.bytes, image.grain_at(0) + 12, bomb);
  HostileWorld world(image.bytes);
  heap_reset_peak();
  {
    Image disk = world.open();
    Bytes out(512);
    CHECK_ERRC(disk.read_at(0, out), Errc::corrupt);
  }
  CHECK(heap_peak() <= 8 * kMiB);
}

TEST_CASE("RES-9: a descriptor of more than 1 MiB, a line of more than 4 KiB, or 2,049 extents are refused") {
  const std::string sound = descriptor_text("custom", "RW 2048 ZERO");
  HostileWorld fits(bytes_of_text(sound));
  CHECK(fits.open().size() == kMiB);
  std::string long_text = sound;
  while (long_text.size() <= kMiB) long_text += "# padding padding padding padding padding padding padding\n";
  every_entry_point_fails(bytes_of_text(long_text), Errc::limit);
  every_entry_point_fails(bytes_of_text(sound + "x = \"" + std::string(5000, 'a') + "\"\n"), Errc::limit);
  every_entry_point_fails(bytes_of_text(descriptor_text("custom", many_extents(2049))), Errc::limit);
  every_entry_point_fails(bytes_of_text(sound + std::string(20000, '\n')), Errc::limit);
  HostileWorld most(bytes_of_text(descriptor_text("custom", many_extents(2048))));
  CHECK(most.open().size() == 2048 * 512);
}

TEST_CASE("RES-9: an extent of no sectors, and extents whose sum overflows, are corrupt") {
  every_entry_point_fails(bytes_of_text(descriptor_text("custom", "RW 0 ZERO")), Errc::corrupt);
  every_entry_point_fails(bytes_of_text(descriptor_text("custom", "RW 18446744073709551615 ZERO")), Errc::corrupt);
  every_entry_point_fails(bytes_of_text(descriptor_text("custom", "RW -1 ZERO")), Errc::corrupt);
  HostileWorld sum(bytes_of_text(descriptor_text("custom", "RW 36028797018963967 ZERO\nRW 36028797018963967 ZERO")));
  try {
    sum.open();
    FAIL("two extents of 2^64 bytes together were taken");
  } catch (const Error& error) {
    CHECK((error.code() == Errc::corrupt || error.code() == Errc::limit));
  }
}

TEST_CASE("RES-11: more grain tables than the file has room for are refused before anything loops over them") {
  SparseImage all_same(uint64_t{512} * 100, 0);
  for (uint64_t i = 0; i < 100; ++i) {
    put32(all_same.bytes, SparseImage::kGdAt + i * 4, SparseImage::kGtAt / 512);
    put32(all_same.bytes, SparseImage::kRgdAt + i * 4, SparseImage::kGtAt / 512);
  }
  every_entry_point_fails(all_same.finish(), Errc::corrupt);
}

TEST_CASE("RES-11: markers and tables that refer in circles end in an error, in bounded time") {
  const auto begin = Clock::now();
  SparseImage all_same(uint64_t{512} * 4);  // four tables needed, the directory says one place for all
  for (uint64_t i = 0; i < 4; ++i) {
    put32(all_same.bytes, SparseImage::kGdAt + i * 4, SparseImage::kGtAt / 512);
    put32(all_same.bytes, SparseImage::kRgdAt + i * 4, SparseImage::kRgtAt / 512);
  }
  check_finds_damage(all_same.finish());
  StreamImage stream;
  for (const uint64_t sectors : {uint64_t{0}, UINT64_MAX, uint64_t{1} << 40}) {
    Bytes bytes = stream.bytes;
    put64(bytes, stream.table_marker_at, sectors);
    put64(bytes, stream.directory_marker_at, sectors);
    HostileWorld world(bytes);
    try {
      Image image = world.open();
      image.check({.data = true, .repair = Repair::none, .progress = {}, .cancel = nullptr});
    } catch (const Error& error) {
      CHECK(error.code() == Errc::corrupt);
    }
  }
  CHECK(milliseconds_since(begin) < 5000);
}

}  // namespace
}  // namespace varve::test
