#include "vmdk/header.h"

#include <cstring>
#include <limits>
#include <vector>

#include "support/test.h"

namespace varve::vmdk {
namespace {

constexpr uint64_t kFileSize = uint64_t{64} << 20;

SparseHeader plain() {
  SparseHeader h;
  h.capacity_sectors = 131072;
  h.descriptor_sector = 1;
  h.descriptor_sectors = 20;
  h.rgd_sector = 21;
  h.gd_sector = 26;
  h.overhead_sectors = 128;
  return h;
}

SparseHeader stream() {
  SparseHeader h = plain();
  h.version = 3;
  h.flags = kFlagNewlineTest | kFlagCompressed | kFlagMarkers;
  h.rgd_sector = 0;
  h.gd_sector = kGdAtEnd;
  return h;
}

SparseHeader parse(const SparseHeaderRaw& raw, uint64_t file_size = kFileSize, const Limits& limits = {}) {
  return parse_sparse_header(bytes_of(raw), file_size, limits);
}

void put(SparseHeaderRaw& raw, size_t offset, uint64_t value, size_t size) {
  auto* bytes = reinterpret_cast<unsigned char*>(&raw);
  for (size_t i = 0; i < size; ++i) bytes[offset + i] = static_cast<unsigned char>(value >> (8 * i));
}

TEST_CASE("each field of the sparse header lies at the offset that the technical note gives") {
  struct {
    size_t offset;
    size_t size;
    uint64_t (*field)(const SparseHeaderRaw&);
  } const fields[] = {
      {0, 4, [](const SparseHeaderRaw& r) -> uint64_t { return r.magic; }},
      {4, 4, [](const SparseHeaderRaw& r) -> uint64_t { return r.version; }},
      {8, 4, [](const SparseHeaderRaw& r) -> uint64_t { return r.flags; }},
      {12, 8, [](const SparseHeaderRaw& r) -> uint64_t { return r.capacity; }},
      {20, 8, [](const SparseHeaderRaw& r) -> uint64_t { return r.grain_size; }},
      {28, 8, [](const SparseHeaderRaw& r) -> uint64_t { return r.descriptor_offset; }},
      {36, 8, [](const SparseHeaderRaw& r) -> uint64_t { return r.descriptor_size; }},
      {44, 4, [](const SparseHeaderRaw& r) -> uint64_t { return r.num_gtes_per_gt; }},
      {48, 8, [](const SparseHeaderRaw& r) -> uint64_t { return r.rgd_offset; }},
      {56, 8, [](const SparseHeaderRaw& r) -> uint64_t { return r.gd_offset; }},
      {64, 8, [](const SparseHeaderRaw& r) -> uint64_t { return r.overhead; }},
      {72, 1, [](const SparseHeaderRaw& r) -> uint64_t { return r.unclean_shutdown; }},
      {77, 2, [](const SparseHeaderRaw& r) -> uint64_t { return r.compress_algorithm; }},
  };
  for (const auto& f : fields) {
    SparseHeaderRaw raw{};
    const uint64_t distinct = 0x1122334455667788 >> (64 - 8 * f.size);
    put(raw, f.offset, distinct, f.size);
    CHECK(f.field(raw) == distinct);
  }
}

TEST_CASE("a header survives encode and parse") {
  const SparseHeader h = parse(encode(plain()));
  CHECK(h.capacity_sectors == 131072);
  CHECK(h.grain_bytes() == 65536);
  CHECK(h.grain_count() == 1024);
  CHECK(h.gd_entries() == 2);
  CHECK(h.has_redundant());
  CHECK(h.overhead_bytes() == 65536);
  CHECK_FALSE(h.compressed());
  CHECK(parse(encode(stream())).gd_at_end());
}

TEST_CASE("MEM-1, MEM-3: every field is held to its bounds") {
  struct {
    const char* what;
    size_t offset;
    size_t size;
    uint64_t good;
    uint64_t bad;
    Errc code;
  } const rows[] = {
      {"magic", 0, 4, kSparseMagic, kCowdMagic, Errc::corrupt},
      {"version below", 4, 4, 1, 0, Errc::unsupported},
      {"version above", 4, 4, 3, 4, Errc::unsupported},
      {"flags", 8, 4, 3, 3 | 1U << 18, Errc::unsupported},
      {"the topmost flag", 8, 4, 3, 3 | 1U << 31, Errc::unsupported},
      {"markers without compression", 8, 4, 3, 3 | kFlagMarkers, Errc::corrupt},
      {"compression without an algorithm", 8, 4, 3, 3 | kFlagCompressed, Errc::corrupt},
      {"no capacity", 12, 8, 1, 0, Errc::corrupt},
      {"capacity beyond 64 bits", 12, 8, 1, uint64_t{1} << 55, Errc::corrupt},
      {"capacity beyond the directory's bound", 12, 8, 1, (kMaxDirectoryEntries << 16) + 1, Errc::limit},
      {"no grain", 20, 8, 128, 0, Errc::corrupt},
      {"largest grain", 20, 8, 2048, 4096, Errc::corrupt},
      {"odd grain", 20, 8, 64, 65, Errc::corrupt},
      {"smallest grain", 20, 8, 1, std::numeric_limits<uint64_t>::max(), Errc::corrupt},
      {"descriptor outside", 28, 8, 131072 - 20, 131072 - 19, Errc::corrupt},
      {"descriptor's offset wraps", 28, 8, 1, uint64_t{1} << 62, Errc::corrupt},
      {"descriptor size", 36, 8, 2048, 2049, Errc::limit},
      {"no table entries", 44, 4, 512, 0, Errc::corrupt},
      {"too many table entries", 44, 4, 512, 1024, Errc::corrupt},
      {"odd table", 44, 4, 512, 511, Errc::corrupt},
      {"overhead", 64, 8, 131072, 131073, Errc::corrupt},
      {"overhead wraps", 64, 8, 128, uint64_t{1} << 63, Errc::corrupt},
      {"line ends", 74, 1, ' ', '\n', Errc::corrupt},
      {"algorithm without the flag", 77, 2, 0, 1, Errc::corrupt},
      {"algorithm", 77, 2, 0, 2, Errc::unsupported},
  };
  for (const auto& row : rows) {
    CAPTURE(row.what);
    SparseHeaderRaw raw = encode(plain());
    put(raw, row.offset, row.good, row.size);
    CHECK_NOTHROW(parse(raw));
    put(raw, row.offset, row.bad, row.size);
    CHECK_ERRC(parse(raw), row.code);
  }
}

TEST_CASE("the line ends are compared only when the header says that they are there") {
  SparseHeaderRaw raw = encode(plain());
  raw.newlines = {'\n', ' ', '\n', '\n'};
  CHECK_ERRC(parse(raw), Errc::corrupt);
  raw.flags = kFlagRedundantTables;
  CHECK_NOTHROW(parse(raw));
}

TEST_CASE("either directory alone makes an extent readable, none makes it corrupt") {
  constexpr uint64_t kLast = 131071;  // sector of the file
  const uint64_t wrong[] = {0, kLast + 1, uint64_t{1} << 55, uint64_t{1} << 63, kGdAtEnd - 1, kGdAtEnd};
  for (const uint64_t sector : wrong) {
    CAPTURE(sector);
    SparseHeader h = plain();
    h.rgd_sector = sector;
    SparseHeader read = parse(encode(h));
    CHECK(read.lost_directory);
    CHECK(read.gd_sector == 26);
    CHECK_FALSE(read.has_redundant());
    h = plain();
    h.gd_sector = sector;
    read = parse(encode(h));
    CHECK(read.lost_directory);
    CHECK(read.gd_sector == 21);
    CHECK_FALSE(read.has_redundant());
    h.rgd_sector = kLast + 1;
    CHECK_ERRC(parse(encode(h)), Errc::corrupt);
  }
  SparseHeader h = plain();
  h.gd_sector = kLast;
  h.rgd_sector = kLast - 1;
  CHECK_FALSE(parse(encode(h)).lost_directory);
}

TEST_CASE("the redundant directory counts only when the header says that it is there") {
  SparseHeader h = plain();
  h.flags = kFlagNewlineTest;
  h.rgd_sector = kGdAtEnd - 1;
  CHECK_FALSE(parse(encode(h)).lost_directory);
  h.rgd_sector = 21;
  h.gd_sector = 131072;
  CHECK_ERRC(parse(encode(h)), Errc::corrupt);
}

TEST_CASE("MEM-2: limits of the caller bound the disk and its directory") {
  Limits limits;
  limits.virtual_size = 131072 * 512;
  CHECK_NOTHROW(parse(encode(plain()), kFileSize, limits));
  limits.virtual_size -= 1;
  CHECK_ERRC(parse(encode(plain()), kFileSize, limits), Errc::limit);
  Limits small;
  small.metadata_bytes = 7;
  CHECK_ERRC(parse(encode(plain()), kFileSize, small), Errc::limit);
}

TEST_CASE("a header that is cut short is corrupt") {
  const SparseHeaderRaw raw = encode(plain());
  CHECK_ERRC(parse_sparse_header(ConstBytes(bytes_of(raw)).first(511), kFileSize, {}), Errc::corrupt);
}

}  // namespace
}  // namespace varve::vmdk
