// Numbers in a VMDK that lie: sizes, offsets, counts and table entries.
#include <array>

#include "hostile/entry_points.h"
#include "support/image_kit.h"
#include "support/pattern.h"

namespace varve::test {
namespace {

using Change = std::function<void(vmdk::SparseHeaderRaw&)>;

Bytes with_header(const Change& change) {
  SparseImage image;
  change(image.header);
  return image.finish();
}

Bytes with_entry(uint64_t index, uint32_t value, uint32_t extra_flags = 0) {
  SparseImage image;
  image.header.flags = image.header.flags | extra_flags;
  image.set_entry(index, value);
  return image.finish();
}

/// A sound stream image whose grain marker (and so the compressed data) is changed.
Bytes with_grain(size_t grain, const std::function<void(Bytes&, uint64_t marker_at)>& change) {
  StreamImage image;
  change(image.bytes, image.grain_at(grain));
  return image.bytes;
}

TEST_CASE("the hand-made images are sound before anything is broken") {
  for (const Bytes& bytes : {SparseImage().finish(), StreamImage().bytes}) {
    HostileWorld world(bytes);
    Image image = world.open();
    CHECK(damages(image) == "");
    Bytes out(512);
    image.read_at(0, out);
    CHECK(describe_block(out).find("block 0 of generation") == 0);
  }
}

TEST_CASE("MEM-1: a grain or grain table of zero entries, or of no power of two, is refused everywhere") {
  for (const uint64_t grain : {uint64_t{0}, uint64_t{3}, uint64_t{127}, uint64_t{4096}, uint64_t{1} << 40, UINT64_MAX})
    every_entry_point_fails(with_header([&](auto& h) { h.grain_size = grain; }), Errc::corrupt);
  for (const uint32_t entries : {0U, 3U, 511U, 1024U, UINT32_MAX})
    every_entry_point_fails(with_header([&](auto& h) { h.num_gtes_per_gt = entries; }), Errc::corrupt);
}

TEST_CASE("MEM-2: a capacity whose tables would overflow is refused, and nothing of that size is allocated") {
  for (const uint64_t capacity : {UINT64_MAX, UINT64_MAX / 512, uint64_t{1} << 55, uint64_t{1} << 62}) {
    HostileWorld world(with_header([&](auto& h) { h.capacity = capacity; }));
    try {
      world.open();
      FAIL("a capacity of " << capacity << " sectors was taken");
    } catch (const Error& error) {
      CHECK((error.code() == Errc::corrupt || error.code() == Errc::limit));
    }
  }
}

struct Bound {
  const char* field;
  void (*set)(vmdk::SparseHeaderRaw&, uint64_t);
  std::vector<uint64_t> good;
  std::vector<uint64_t> bad;
};

TEST_CASE("MEM-3: every header field is held against its bounds: the last good value opens, the next one does not") {
  const uint64_t end = SparseImage().finish().size() / 512;
  const std::vector<Bound> bounds = {
      {"version", [](auto& h, uint64_t v) { h.version = static_cast<uint32_t>(v); }, {1, 2}, {0, 4, UINT32_MAX}},
      {"capacity", [](auto& h, uint64_t v) { h.capacity = v; }, {32 * 128}, {0, UINT64_MAX}},
      {"grain_size", [](auto& h, uint64_t v) { h.grain_size = v; }, {128}, {0, 4096}},
      {"descriptor_offset", [](auto& h, uint64_t v) { h.descriptor_offset = v; }, {1}, {end, end + 1, UINT64_MAX}},
      {"descriptor_size", [](auto& h, uint64_t v) { h.descriptor_size = v; }, {20, 2}, {end, UINT64_MAX, UINT64_MAX / 512}},
      {"num_gtes_per_gt", [](auto& h, uint64_t v) { h.num_gtes_per_gt = static_cast<uint32_t>(v); }, {512}, {0, 513, 1024}},
      // Each directory alone: where there are two, one will do.
      {"gd_offset",
       [](auto& h, uint64_t v) { h.flags = h.flags & ~vmdk::kFlagRedundantTables, h.gd_offset = v; },
       {26},
       {0, end, end + 1, UINT64_MAX, UINT64_MAX / 512}},
      {"rgd_offset", [](auto& h, uint64_t v) { h.gd_offset = 0, h.rgd_offset = v; }, {21}, {end, UINT64_MAX - 1, UINT64_MAX / 512}},
      {"overhead", [](auto& h, uint64_t v) { h.overhead = v; }, {128}, {end + 1, UINT64_MAX, UINT64_MAX / 512}},
      {"compress_algorithm", [](auto& h, uint64_t v) { h.compress_algorithm = static_cast<uint16_t>(v); }, {0}, {1, 2, 0xffff}},
  };
  for (const Bound& bound : bounds) {
    for (const uint64_t value : bound.good) {
      INFO(std::string(bound.field) << " = " << value);
      HostileWorld world(with_header([&](auto& h) { bound.set(h, value); }));
      CHECK_NOTHROW(world.open());
    }
    for (const uint64_t value : bound.bad) {
      INFO(std::string(bound.field) << " = " << value);
      HostileWorld world(with_header([&](auto& h) { bound.set(h, value); }));
      CHECK_THROWS_AS(world.open(), Error);
    }
  }
}

TEST_CASE("MEM-3: unknown flags, markers without compression and changed line ends are refused everywhere") {
  every_entry_point_fails(with_header([](auto& h) { h.flags = h.flags | 1U << 18; }), Errc::unsupported);
  every_entry_point_fails(with_header([](auto& h) { h.flags = h.flags | vmdk::kFlagMarkers; }), Errc::corrupt);
  every_entry_point_fails(with_header([](auto& h) { h.newlines = {'\n', ' ', '\n', '\n'}; }), Errc::corrupt);
}

TEST_CASE("MEM-4: a compressed grain whose size field exceeds what follows is corrupt") {
  for (const uint32_t size : {UINT32_MAX, 0x7fffffffU, 1U << 20, 10U << 20})
    reading_fails(with_grain(0, [&](Bytes& b, uint64_t at) { put32(b, at + 8, size); }), Errc::corrupt);
}

TEST_CASE("MEM-6: offsets of 2^63 and above are refused in every field of 64 bits") {
  const std::array<void (*)(vmdk::SparseHeaderRaw&, uint64_t), 6> fields = {[](auto& h, uint64_t v) { h.capacity = v; },
                                                                            [](auto& h, uint64_t v) { h.grain_size = v; },
                                                                            [](auto& h, uint64_t v) { h.descriptor_offset = v; },
                                                                            [](auto& h, uint64_t v) { h.descriptor_size = v; },
                                                                            [](auto& h, uint64_t v) { h.gd_offset = v, h.rgd_offset = v; },
                                                                            [](auto& h, uint64_t v) { h.overhead = v; }};
  for (const auto set : fields) {
    for (const uint64_t value : {uint64_t{1} << 63, (uint64_t{1} << 63) + 1, UINT64_MAX - 1, UINT64_MAX}) {
      HostileWorld world(with_header([&](auto& h) { set(h, value); }));
      CHECK_THROWS_AS(world.open(), Error);
    }
  }
}

TEST_CASE("MEM-9: a marker whose data would end beyond the file is corrupt, by one byte as by 4 GiB") {
  const StreamImage image;
  const uint64_t at = image.grain_at(3);
  const uint32_t up_to_end = static_cast<uint32_t>(image.bytes.size() - at - vmdk::kGrainMarkerSize);
  for (const uint32_t claimed : {up_to_end + 1, up_to_end + 12, up_to_end + 65536, UINT32_MAX - 11, UINT32_MAX}) {
    Bytes bytes = image.bytes;
    put32(bytes, at + 8, claimed);
    INFO("claimed " << claimed);
    reading_fails(bytes, Errc::corrupt, 3 * StreamImage::kGrain);
    check_finds_damage(bytes);
  }
}

TEST_CASE("MEM-10: sizes that would shift by an exponent out of range are refused before any shift") {
  for (unsigned bit = 12; bit < 64; ++bit) {
    HostileWorld world(with_header([&](auto& h) { h.grain_size = uint64_t{1} << bit; }));
    CHECK_ERRC(world.open(), Errc::corrupt);
  }
}

TEST_CASE("MEM-11: a grain that inflates to more or to nothing, or is no zlib stream, is corrupt") {
  const auto replace = [](Bytes& b, uint64_t at, ConstBytes packed) {
    put32(b, at + 8, static_cast<uint32_t>(packed.size()));
    put(b, at + 12, packed);
  };
  const Bytes bomb = zlib(Bytes(10 << 20));
  const Bytes tiny = zlib(Bytes(0));
  {
    INFO("a bomb");
    reading_fails(with_grain(0, [&](Bytes& b, uint64_t at) { replace(b, at, bomb); }), Errc::corrupt);
  }
  {
    INFO("nothing");
    reading_fails(with_grain(0, [&](Bytes& b, uint64_t at) { replace(b, at, tiny); }), Errc::corrupt);
  }
  reading_fails(with_grain(0, [&](Bytes& b, uint64_t at) { put(b, at + 12, Bytes(40, std::byte{0xff})); }), Errc::corrupt);
  reading_fails(with_grain(0, [&](Bytes& b, uint64_t at) { b[at + 12 + 100] ^= std::byte{4}; }), Errc::corrupt);
}

TEST_CASE("the marker's LBA is compared with the grain that was asked for") {
  const Bytes bytes = with_grain(1, [](Bytes& b, uint64_t at) { put64(b, at, 0); });
  reading_fails(bytes, Errc::corrupt, StreamImage::kGrain);
  check_finds_damage(bytes);
}

TEST_CASE("MEM-18: an entry that points into header, descriptor or tables is corrupt on read, refused for writing, damage for check") {
  for (const uint32_t sector : {2U, 5U, 20U, 21U, 22U, 25U, 26U, 27U, 30U, 127U}) {
    INFO("sector " << sector);
    const Bytes bytes = with_entry(5, sector);
    reading_fails(bytes, Errc::corrupt, 5 * SparseImage::kGrain);
    check_finds_damage(bytes);
    HostileWorld world(bytes);
    CHECK_ERRC(world.open(Access::read_write).write_at(5 * SparseImage::kGrain, Bytes(512)), Errc::corrupt);
    CHECK(world.files.find(kDisk)->contents() == bytes);
  }
}

TEST_CASE("MEM-18: entry 1 without the zeroed-grain flag never shows the descriptor") {
  const Bytes bytes = with_entry(5, 1);
  reading_fails(bytes, Errc::corrupt, 5 * SparseImage::kGrain);
  check_finds_damage(bytes);
  HostileWorld zeroed(with_entry(5, 1, vmdk::kFlagZeroedGrain));
  Image image = zeroed.open();
  Bytes out(SparseImage::kGrain, std::byte{1});
  image.read_at(5 * SparseImage::kGrain, out);
  CHECK(out == Bytes(SparseImage::kGrain));
}

TEST_CASE("MEM-18: grain tables that lie in each other, in the header or in a grain are damage") {
  for (const uint32_t table : {1U, 21U, 26U, 128U}) {
    SparseImage image;
    put32(image.bytes, SparseImage::kGdAt, table);
    put32(image.bytes, SparseImage::kRgdAt, table);
    INFO("table at sector " << table);
    check_finds_damage(image.finish());
  }
}

TEST_CASE("MEM-19: two entries that share a grain open for reading, are damage for check, and are refused for writing") {
  for (const uint32_t shared : {128U, 256U}) {
    const Bytes bytes = with_entry(7, shared);
    check_finds_damage(bytes);
    HostileWorld world(bytes);
    CHECK_NOTHROW(world.open());
    const auto write = [&] {
      Image image = world.open(Access::read_write);
      image.write_at(0, pattern(0, 9, 512));
      image.close();
    };
    CHECK_ERRC(write(), Errc::corrupt);
    Image image = world.open();
    Bytes out(SparseImage::kGrain);
    image.read_at(0, out);
    CHECK(out == pattern(0, 1, SparseImage::kGrain));
  }
}

TEST_CASE("MEM-19: an entry that overlaps another grain by part is refused for writing, too") {
  const Bytes bytes = with_entry(7, 128 + 64);
  check_finds_damage(bytes);
  HostileWorld world(bytes);
  const auto write = [&] {
    Image image = world.open(Access::read_write);
    image.write_at(7 * SparseImage::kGrain, pattern(0, 9, SparseImage::kGrain));
    image.close();
  };
  CHECK_ERRC(write(), Errc::corrupt);
}

TEST_CASE("MEM-20: a grain beyond the end of the file is an error, never zeros") {
  const uint32_t end = static_cast<uint32_t>(SparseImage().finish().size() / 512);
  for (const uint32_t sector : {end, end + 128, 0x7fffffffU, 0xffffff00U, 0xffffffffU}) {
    INFO("sector " << sector);
    const Bytes bytes = with_entry(5, sector);
    reading_fails(bytes, Errc::corrupt, 5 * SparseImage::kGrain);
    check_finds_damage(bytes);
  }
}

TEST_CASE("MEM-20: a file that is cut inside a grain is read up to the cut's grain and no further") {
  Bytes bytes = SparseImage().finish();
  bytes.resize(bytes.size() - 4096);
  reading_fails(bytes, Errc::corrupt, 2 * SparseImage::kGrain + 65024);
  check_finds_damage(bytes);
  HostileWorld world(bytes);
  Image image = world.open();
  Bytes out(512);
  CHECK_NOTHROW(image.read_at(SparseImage::kGrain, out));
}

TEST_CASE("MEM-20: a grain table or directory entry beyond the end of the file is corrupt, unless its twin is sound") {
  SparseImage both;
  put32(both.bytes, SparseImage::kGdAt, 0x7fffff00);
  put32(both.bytes, SparseImage::kRgdAt, 0x7fffff00);
  reading_fails(both.finish(), Errc::corrupt);
  check_finds_damage(both.finish());
  SparseImage one;
  put32(one.bytes, SparseImage::kGdAt, 0x7fffff00);
  const Bytes bytes = one.finish();
  check_finds_damage(bytes);
  HostileWorld world(bytes);
  Image image = world.open();
  Bytes out(SparseImage::kGrain);
  image.read_at(0, out);
  CHECK(out == pattern(0, 1, SparseImage::kGrain));
}

TEST_CASE("MEM-21: a flat extent that is shorter than its line says is corrupt, also by an offset that overflows") {
  for (const char* line : {"RW 4096 FLAT \"disk-flat.vmdk\" 0", "RW 2048 FLAT \"disk-flat.vmdk\" 1",
                           "RW 2048 FLAT \"disk-flat.vmdk\" 36028797018963967", "RW 2048 FLAT \"disk-flat.vmdk\" 9007199254740992"}) {
    INFO(std::string(line));
    HostileWorld world(bytes_of_text(descriptor_text("monolithicFlat", line)));
    world.files.add("dir/disk-flat.vmdk", Bytes(2048 * 512, std::byte{1}));
    const auto read_end = [&] {
      Image image = world.open();
      Bytes out(512);
      image.read_at(image.size() - 512, out);
    };
    CHECK_ERRC(read_end(), Errc::corrupt);
  }
}

TEST_CASE("MEM-24: grains above 4 GiB and near 2 TiB of the file are read from where they are") {
  for (const uint64_t offset : {uint64_t{5} << 30, (uint64_t{1} << 40) + 65536, (uint64_t{2} << 40) - (uint64_t{1} << 20)}) {
    SparseImage image;
    image.set_entry(9, static_cast<uint32_t>(offset / 512));
    const Bytes bytes = image.finish();
    HostileWorld world(bytes);
    auto file = world.files.find(kDisk);
    file->write_at(offset, pattern(9 * SparseImage::kGrain, 5, SparseImage::kGrain));
    Image disk = world.open();
    Bytes out(SparseImage::kGrain);
    disk.read_at(9 * SparseImage::kGrain, out);
    CHECK(out == pattern(9 * SparseImage::kGrain, 5, SparseImage::kGrain));
    CHECK(damages(disk) == "");
  }
}

}  // namespace
}  // namespace varve::test
