#include "vmdk/header.h"

#include <algorithm>
#include <limits>
#include <string>

#include "base/checked_math.h"
#include "varve/error.h"

namespace varve::vmdk {
namespace {

[[noreturn]] void bad(std::string what) { throw Error(Errc::corrupt, std::move(what)).during("reading the sparse header"); }

void check_identity(const SparseHeaderRaw& raw) {
  if (raw.magic != kSparseMagic) bad("no VMDK sparse header here");
  if (raw.version < 1 || raw.version > 3)
    throw Error(Errc::unsupported, "VMDK sparse header of version " + std::to_string(raw.version) + ", known are 1 to 3");
  // Broken by transfers in text mode, which is what these bytes are for.
  if ((raw.flags & kFlagNewlineTest) != 0 && raw.newlines != kNewlines)
    throw Error(Errc::corrupt, "the header's line ends were changed")
        .hint("the file was copied in text mode: copy it again in binary mode");
}

void check_flags(const SparseHeaderRaw& raw) {
  constexpr uint32_t kUpper = 0xffff0000;
  const uint32_t unknown = raw.flags & kUpper & ~(kFlagCompressed | kFlagMarkers);
  if (unknown != 0) throw Error(Errc::unsupported, "VMDK sparse header with unknown flags " + std::to_string(unknown));
  const bool compressed = (raw.flags & kFlagCompressed) != 0;
  if ((raw.flags & kFlagMarkers) != 0 && !compressed) bad("markers in an extent that is not compressed");
  if (raw.compress_algorithm > 1)
    throw Error(Errc::unsupported, "VMDK compression algorithm " + std::to_string(raw.compress_algorithm) + ", known is 1 (deflate)");
  if (compressed != (raw.compress_algorithm == 1)) bad("the compression flag contradicts the compression algorithm");
}

/// Grain and table sizes divide and multiply everything that follows (MEM-1).
void check_geometry(const SparseHeader& h, const Limits& limits) {
  if (!is_power_of_two(h.grain_sectors) || h.grain_sectors > kMaxGrainSectors)
    bad("a grain of " + std::to_string(h.grain_sectors) + " sectors, allowed are powers of two up to 2048");
  if (!is_power_of_two(h.gtes_per_gt) || h.gtes_per_gt > kMaxGtesPerGt)
    bad("a grain table of " + std::to_string(h.gtes_per_gt) + " entries, allowed are powers of two up to 512");
  if (h.capacity_sectors == 0) bad("a disk without a sector");
  const uint64_t bytes = checked_mul(h.capacity_sectors, kSectorSize, "the capacity");
  if (bytes > limits.virtual_size)
    throw Error(Errc::limit, "a disk of " + std::to_string(bytes) + " bytes, allowed are " + std::to_string(limits.virtual_size));
  if (h.gd_entries() > kMaxDirectoryEntries)
    throw Error(Errc::limit,
                "a grain directory of " + std::to_string(h.gd_entries()) + " entries, allowed are " + std::to_string(kMaxDirectoryEntries));
  if (h.gd_bytes() > limits.metadata_bytes) throw Error(Errc::limit, "the grain directory exceeds the limit for metadata");
}

/// Sectors [sector, sector + bytes / 512) lie behind the header and in the file.
bool is_place(uint64_t sector, uint64_t bytes, uint64_t file_size) {
  return sector != 0 && sector <= UINT64_MAX / kSectorSize && range_fits(sector * kSectorSize, bytes, file_size);
}

/// Of two directories either will do: they are read with OR. The header is changed to name the one that can be read.
void choose_directory(SparseHeader& h, uint64_t file_size) {
  if (h.gd_at_end() && h.compressed()) return;
  const bool two = (h.flags & kFlagRedundantTables) != 0;
  const bool primary = !h.gd_at_end() && is_place(h.gd_sector, h.gd_bytes(), file_size);
  const bool redundant = two && is_place(h.rgd_sector, h.gd_bytes(), file_size);
  if (!primary && !redundant)
    bad(std::string(two ? "both grain directories lie" : "the grain directory lies") + " outside the file or on the header");
  h.lost_directory = two && !(primary && redundant);
  if (!primary) h.gd_sector = h.rgd_sector;
}

void check_places(const SparseHeader& h, uint64_t file_size, const Limits& limits) {
  if (h.descriptor_sector != 0) {
    const uint64_t bytes = checked_mul(h.descriptor_sectors, kSectorSize, "the descriptor's size");
    if (bytes > align_up(limits.descriptor_bytes, kSectorSize))
      throw Error(Errc::limit, "a descriptor of " + std::to_string(bytes) + " bytes");
    if (!is_place(h.descriptor_sector, bytes, file_size)) bad("the descriptor lies outside the file");
  }
  const uint64_t overhead = checked_mul(h.overhead_sectors, kSectorSize, "overHead");
  // Streams name the place of the first grain even when they have none.
  if (!h.compressed() && overhead > file_size) bad("the metadata reaches beyond the end of the file");
}

}  // namespace

bool is_sparse_header(ConstBytes bytes) { return bytes.size() >= 4 && load<le32>(bytes) == kSparseMagic; }

SparseHeader parse_sparse_header(ConstBytes sector, uint64_t file_size, const Limits& limits) {
  const auto raw = load<SparseHeaderRaw>(sector);
  check_identity(raw);
  check_flags(raw);
  SparseHeader h;
  h.version = raw.version;
  h.flags = raw.flags;
  h.capacity_sectors = raw.capacity;
  h.grain_sectors = raw.grain_size;
  h.descriptor_sector = raw.descriptor_offset;
  h.descriptor_sectors = raw.descriptor_size;
  h.gtes_per_gt = raw.num_gtes_per_gt;
  h.rgd_sector = raw.rgd_offset;
  h.gd_sector = raw.gd_offset;
  h.overhead_sectors = raw.overhead;
  h.unclean = raw.unclean_shutdown != 0;
  check_geometry(h, limits);
  choose_directory(h, file_size);
  check_places(h, file_size, limits);
  return h;
}

SparseHeaderRaw encode(const SparseHeader& header) {
  SparseHeaderRaw raw{};
  raw.magic = kSparseMagic;
  raw.version = header.version;
  raw.flags = header.flags;
  raw.capacity = header.capacity_sectors;
  raw.grain_size = header.grain_sectors;
  raw.descriptor_offset = header.descriptor_sector;
  raw.descriptor_size = header.descriptor_sectors;
  raw.num_gtes_per_gt = header.gtes_per_gt;
  raw.rgd_offset = header.rgd_sector;
  raw.gd_offset = header.gd_sector;
  raw.overhead = header.overhead_sectors;
  raw.unclean_shutdown = header.unclean ? 1 : 0;
  raw.newlines = kNewlines;
  raw.compress_algorithm = static_cast<uint16_t>(header.compressed() ? 1 : 0);
  return raw;
}

}  // namespace varve::vmdk
