// COWD and seSparse: ESXi's sparse extents.
#include <string>

#include "io/memory_file_system.h"
#include "support/test.h"
#include "vmdk/cowd_extent.h"
#include "vmdk/images.h"
#include "vmdk/sesparse_extent.h"

namespace varve::test {
namespace {

Image open(MemoryFileSystem& files, const Bytes& bytes, bool alone = true) {
  files.add("/d/a-delta.vmdk", bytes);
  OpenOptions options;
  options.format = "vmdk";
  options.file_system = &files;
  return Image::open(alone ? "/d/a-delta.vmdk" : "/d/a.vmdk", options);
}

void put_grain(Bytes& disk, uint64_t offset, const Bytes& grain) {
  std::copy(grain.begin(), grain.end(), disk.begin() + static_cast<std::ptrdiff_t>(offset));
}

TEST_CASE("each field of a COWD header lies where the technical note has it") {
  Bytes bytes(2048);
  const unsigned offsets[] = {0, 4, 8, 12, 16, 20, 24, 28, 1060, 1636, 1648};
  for (const unsigned offset : offsets) put(bytes, offset, 0x01020300 + offset, 4);
  const auto raw = load<vmdk::CowdHeaderRaw>(bytes);
  const le32* const fields[] = {&raw.magic,      &raw.version,          &raw.flags,           &raw.capacity,
                                &raw.grain_size, &raw.gd_offset,        &raw.gd_entries,      &raw.free_sector,
                                &raw.generation, &raw.saved_generation, &raw.unclean_shutdown};
  for (size_t i = 0; i < std::size(offsets); ++i) CHECK(*fields[i] == 0x01020300 + offsets[i]);
}

TEST_CASE("a COWD extent reads as built, alone and through its descriptor") {
  Bytes disk(5000 * 512);
  std::map<uint64_t, Bytes> grains;
  for (const uint64_t number : {0, 1, 2, 100, 4095, 4096, 4999}) {
    grains[number] = pattern(512, static_cast<unsigned>(number));
    put_grain(disk, number * 512, grains[number]);
  }
  MemoryFileSystem files;
  const std::string text =
      "# Disk DescriptorFile\nversion=1\nCID=1\nparentCID=ffffffff\ncreateType=\"vmfsSparse\"\nRW 5000 VMFSSPARSE \"a-delta.vmdk\"\n";
  files.add("/d/a.vmdk", bytes_of_text(text));
  for (const bool alone : {true, false}) {
    Image image = open(files, cowd_image(5000, grains), alone);
    CHECK((read_all(image) == disk));
    const Extent run = image.extent_at(0);
    CHECK(run.kind == ExtentKind::data);
    CHECK(run.length == 3 * 512);
    CHECK(run.host_offset.has_value());
    CHECK(image.extent_at(3 * 512).kind == ExtentKind::absent);
    CHECK(image.check().clean());
  }
}

TEST_CASE("MEM-1, MEM-3: fields of a COWD header are held to their bounds") {
  const Bytes good = cowd_image(5000, {{0, pattern(512, 1)}});
  CHECK_NOTHROW(vmdk::parse_cowd_header(good, good.size(), {}));
  struct {
    uint64_t offset;
    uint64_t value;
    Errc code;
  } const rows[] = {{4, 2, Errc::unsupported}, {12, 0, Errc::corrupt}, {16, 0, Errc::corrupt},          {16, 3, Errc::corrupt},
                    {16, 4096, Errc::corrupt}, {20, 3, Errc::corrupt}, {20, 0xffffffff, Errc::corrupt}, {24, 1, Errc::corrupt}};
  for (const auto& row : rows) {
    CAPTURE(row.offset);
    CAPTURE(row.value);
    Bytes bad = good;
    put(bad, row.offset, row.value, 4);
    CHECK_ERRC(vmdk::parse_cowd_header(bad, bad.size(), {}), row.code);
  }
}

TEST_CASE("MEM-18, MEM-20: grains inside the metadata or outside the file are errors, never zeros") {
  const Bytes good = cowd_image(4096, {{7, pattern(512, 1)}});
  const uint64_t entry = get(good, 2048, 4) * 512 + 7 * 4;
  MemoryFileSystem files;
  Bytes sector(512);
  for (const uint64_t value : {uint64_t{1}, uint64_t{4}, good.size() / 512, uint64_t{0xffffffff}}) {
    CAPTURE(value);
    Bytes bad = good;
    put(bad, entry, value, 4);
    Image image = open(files, bad);
    CHECK_ERRC(image.read_at(7 * 512, sector), Errc::corrupt);
    CHECK_NOTHROW(image.read_at(0, sector));
    CHECK(image.check().damages == 1);
  }
  Bytes bad = good;
  put(bad, 2048, 0xffffff, 4);
  Image image = open(files, bad);
  CHECK_ERRC(image.read_at(0, sector), Errc::corrupt);
}

TEST_CASE("two entries of a COWD extent that share a grain are damage") {
  Bytes bytes = cowd_image(4096, {{7, pattern(512, 1)}});
  const uint64_t table = get(bytes, 2048, 4) * 512;
  put(bytes, table + 8 * 4, get(bytes, table + 7 * 4, 4), 4);
  MemoryFileSystem files;
  Image image = open(files, bytes);
  CHECK(image.check().damages == 1);
}

TEST_CASE("MEM-18: a COWD grain that lies on a table or on the directory is corrupt, and takes no neighbour along") {
  std::map<uint64_t, Bytes> grains;
  for (const uint64_t number : {0, 1, 2, 4096}) grains[number] = pattern(512, static_cast<unsigned>(number));
  const Bytes good = cowd_image(8192, grains);
  const uint64_t second = get(good, 2048 + 4, 4);
  // Grain 3 would continue the run of the first three: right behind them lies the second table.
  REQUIRE(get(good, get(good, 2048, 4) * 512 + 2 * 4, 4) + 1 == second);
  for (const uint64_t sector : {uint64_t{4}, get(good, 2048, 4), get(good, 2048, 4) + 31, second, second + 31}) {
    CAPTURE(sector);
    Bytes bad = good;
    put(bad, get(good, 2048, 4) * 512 + 3 * 4, sector, 4);
    MemoryFileSystem files;
    Image image = open(files, bad);
    Bytes out(512);
    CHECK_ERRC(image.read_at(3 * 512, out), Errc::corrupt);
    Bytes before(3 * 512);
    CHECK_NOTHROW(image.read_at(0, before));
    Bytes together(4 * 512);
    CHECK_ERRC(image.read_at(0, together), Errc::corrupt);
    CHECK(image.check().damages == 1);
  }
}

TEST_CASE("MEM-18: COWD tables that lie on each other, on the header or on the directory are damage") {
  const Bytes good = cowd_image(8192, {{0, pattern(512, 1)}, {4096, pattern(512, 2)}});
  for (const uint64_t sector : {uint64_t{3}, uint64_t{4}, get(good, 2048, 4), get(good, 2048, 4) + 31}) {
    CAPTURE(sector);
    Bytes bad = good;
    put(bad, 2048 + 4, sector, 4);
    MemoryFileSystem files;
    Image image = open(files, bad);
    CHECK(image.check().damages >= 1);
  }
}

SeSparse some_sesparse() {
  SeSparse s;
  s.sectors = 8 * 5000;
  for (const uint64_t number : {0, 1, 3, 4095, 4096, 4999}) s.grains[number] = pattern(4096, static_cast<unsigned>(number));
  s.zeros = {5, 6};
  s.unmapped = {7};
  return s;
}

TEST_CASE("a seSparse extent reads as built; zero and unmapped grains are zeros") {
  SeSparse s = some_sesparse();
  Bytes disk(s.sectors * 512);
  for (const auto& [number, grain] : s.grains) put_grain(disk, number * 4096, grain);
  MemoryFileSystem files;
  Image image = open(files, sesparse_image(s));
  CHECK((read_all(image) == disk));
  CHECK(image.extent_at(0).length == 2 * 4096);
  CHECK(image.extent_at(2 * 4096).kind == ExtentKind::absent);
  CHECK(image.extent_at(5 * 4096).kind == ExtentKind::zero);
  CHECK(image.extent_at(5 * 4096).length == 3 * 4096);
  CHECK(image.check().clean());
}

TEST_CASE("a seSparse grain number is put together from both of its parts") {
  SeSparse s;
  s.sectors = 8 * 4096;
  s.first_number = 4095;  // the second grain is number 4096: its lower 12 bits are 0
  s.grains = {{10, pattern(4096, 1)}, {11, pattern(4096, 2)}};
  MemoryFileSystem files;
  Image image = open(files, sesparse_image(s));
  Bytes got(8192);
  image.read_at(10 * 4096, got);
  Bytes want = pattern(4096, 1);
  const Bytes second = pattern(4096, 2);
  want.insert(want.end(), second.begin(), second.end());
  CHECK((got == want));
}

TEST_CASE("a seSparse journal that must be replayed is unsupported") {
  SeSparse s = some_sesparse();
  s.dirty = true;
  MemoryFileSystem files;
  CHECK_ERRC(open(files, sesparse_image(s)), Errc::unsupported);
}

TEST_CASE("what is not known of a seSparse header is refused") {
  const Bytes good = sesparse_image(some_sesparse());
  MemoryFileSystem files;
  struct {
    uint64_t offset;
    uint64_t value;
    Errc code;
  } const rows[] = {
      {16, 0, Errc::corrupt},                     // capacity
      {16, uint64_t{1} << 60, Errc::corrupt},     //
      {24, 16, Errc::unsupported},                // grain size
      {32, 128, Errc::unsupported},               // table size
      {40, 1, Errc::unsupported},                 // flags
      {48, 1, Errc::unsupported},                 // reserved
      {504, 1, Errc::unsupported},                // padding
      {80, 0, Errc::corrupt},                     // volatile header
      {80, uint64_t{1} << 60, Errc::corrupt},     //
      {128, 0, Errc::corrupt},                    // directory
      {128, uint64_t{1} << 40, Errc::corrupt},    //
      {136, 0, Errc::corrupt},                    //
      {152, uint64_t{1} << 40, Errc::corrupt},    // tables
      {512, 0, Errc::corrupt},                    // volatile magic
      {4096, 1, Errc::corrupt},                   // directory entry without its mark
      {4096, 0x1000000000000002, Errc::corrupt},  // table outside the area
  };
  for (const auto& row : rows) {
    CAPTURE(row.offset);
    CAPTURE(row.value);
    Bytes bad = good;
    put(bad, row.offset, row.value, 8);
    CHECK_ERRC(open(files, bad), row.code);
  }
}

TEST_CASE("MEM-17: seSparse areas that lie on each other, or on the header, are refused") {
  const Bytes good = sesparse_image(some_sesparse());
  for (unsigned area = 0; area < 8; ++area) {
    for (unsigned other = 0; other < 8; ++other) {
      if (area == other) continue;
      CAPTURE(area);
      CAPTURE(other);
      const uint64_t last = get(good, 80 + 16 * other, 8) + get(good, 88 + 16 * other, 8) - 1;
      for (const uint64_t sector : {get(good, 80 + 16 * other, 8), last}) {
        Bytes bad = good;
        put(bad, 80 + 16 * area, sector, 8);
        MemoryFileSystem files;
        CHECK_ERRC(open(files, bad), Errc::corrupt);
      }
    }
    Bytes bad = good;
    put(bad, 80 + 16 * area, 0, 8);
    MemoryFileSystem files;
    CHECK_ERRC(open(files, bad), Errc::corrupt);
    put(bad, 80 + 16 * area, UINT64_MAX - 1, 8);
    CHECK_ERRC(open(files, bad), Errc::corrupt);
  }
}

TEST_CASE("a seSparse header of a newer host, with 0x200 in a reserved field, is read") {
  Bytes bytes = sesparse_image(some_sesparse());
  MemoryFileSystem files;
  const Bytes before = [&] {
    Image image = open(files, bytes);
    return read_all(image);
  }();
  put(bytes, 48, 0x200, 8);
  Image image = open(files, bytes);
  CHECK((read_all(image) == before));
  put(bytes, 56, 0x200, 8);
  CHECK_ERRC(open(files, bytes), Errc::unsupported);
}

TEST_CASE("seSparse areas that are not used may be absent") {
  for (const unsigned area : {1, 2, 5, 6}) {
    Bytes bytes = sesparse_image(some_sesparse());
    put(bytes, 80 + 16 * area, 0, 8);
    put(bytes, 88 + 16 * area, 0, 8);
    MemoryFileSystem files;
    CHECK(open(files, bytes).check().clean());
  }
}

TEST_CASE("MEM-18: a seSparse grain that lies on an area behind the grains' is corrupt") {
  const SeSparse s = some_sesparse();
  Bytes bytes = sesparse_image(s);
  const uint64_t grains = get(bytes, 192, 8);
  const uint64_t number = s.sectors / 8;  // the first one behind the grains' area
  put(bytes, 176, grains + s.sectors, 8);
  bytes.resize((grains + s.sectors + 8) * 512);
  put(bytes, 16 * 512 + 8 * 8, uint64_t{3} << 60 | (number & 0xfff) << 48 | number >> 12, 8);
  MemoryFileSystem files;
  Image image = open(files, bytes);
  Bytes out(4096);
  CHECK_ERRC(image.read_at(8 * 4096, out), Errc::corrupt);
  CHECK(image.check().damages == 1);
}

TEST_CASE("MEM-19: two seSparse grains in one place, and two tables in one place, are damage") {
  const Bytes good = sesparse_image(some_sesparse());
  MemoryFileSystem files;
  Bytes bad = good;
  put(bad, 16 * 512 + 8 * 8, get(good, 16 * 512, 8), 8);
  CHECK(open(files, bad).check().damages == 1);
  bad = good;
  put(bad, 4096 + 8, get(good, 4096, 8), 8);
  CHECK(open(files, bad).check().damages >= 1);
}

TEST_CASE("MEM-16: every kind of seSparse entry is decoded, and only the known ones") {
  const Bytes good = sesparse_image(some_sesparse());
  MemoryFileSystem files;
  Bytes grain(4096);
  for (uint64_t kind = 0; kind < 16; ++kind) {
    CAPTURE(kind);
    Bytes bytes = good;
    put(bytes, 16 * 512, kind << 60, 8);
    Image image = open(files, bytes);
    if (kind <= 3)
      CHECK_NOTHROW(image.read_at(0, grain));
    else
      CHECK_ERRC(image.read_at(0, grain), Errc::corrupt);
  }
  for (const uint64_t entry : {uint64_t{1}, uint64_t{0x3000ffffffffffff}, uint64_t{0x3fffffffffffffff}, uint64_t{0x3000000000001000}}) {
    Bytes bytes = good;
    put(bytes, 16 * 512, entry, 8);
    Image image = open(files, bytes);
    CHECK_ERRC(image.read_at(0, grain), Errc::corrupt);
  }
}

}  // namespace
}  // namespace varve::test
