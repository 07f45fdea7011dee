#include "vmdk/sesparse_extent.h"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "base/checked_math.h"
#include "varve/error.h"
#include "vmdk/header.h"
#include "vmdk/structures.h"
#include "vmdk/table_extent.h"

namespace varve::vmdk {
namespace {

constexpr uint64_t kGrainSectors = 8;
constexpr uint64_t kGrainBytes = kGrainSectors * kSectorSize;
constexpr uint64_t kTableSectors = 64;
constexpr uint32_t kTableEntries = 4096;
constexpr uint64_t kEntrySize = 8;

// In the first reserved field, written by newer hosts; other readers have found that nothing else differs.
constexpr uint64_t kNewerReserved = 0x200;

// An entry of the directory: the top half says that there is a table, the bottom half is its number.
constexpr uint64_t kDirectoryMark = 0x10000000;
// An entry of a table: the top nibble is the kind; of an allocated grain, 12 bits of its number follow that are the lowest
// of the number, then 48 bits that are the rest.
constexpr unsigned kKindShift = 60;
constexpr unsigned kLowShift = 48;
constexpr uint64_t kLowMask = 0xfff;
constexpr uint64_t kHighMask = 0xffffffffffff;
constexpr unsigned kHighShift = 12;

enum class EntryKind : uint64_t { unallocated = 0, unmapped = 1, zero = 2, allocated = 3 };

class SeSparseExtent final : public TableExtent {
 public:
  SeSparseExtent(std::shared_ptr<Storage> file, const SeSparseHeader& header, TableLayout tables, SectorRanges metadata,
                 uint64_t metadata_bytes)
      : TableExtent(std::move(file),
                    {.size = header.capacity_sectors * kSectorSize,
                     .grain_bytes = kGrainBytes,
                     .first = header.grains_sector * kSectorSize,
                     .alignment = kGrainBytes},
                    std::move(tables), std::move(metadata), metadata_bytes),
        grains_(header.grains_sector * kSectorSize) {}

 private:
  GrainPlace place_of(uint64_t entry) const noexcept override {
    constexpr GrainPlace kUnknown{false, ExtentKind::absent, 0};
    switch (static_cast<EntryKind>(entry >> kKindShift)) {
      case EntryKind::unallocated: return entry == 0 ? GrainPlace{} : kUnknown;
      case EntryKind::unmapped:
      case EntryKind::zero: return {true, ExtentKind::zero, 0};
      case EntryKind::allocated: {
        const uint64_t number = (entry >> kLowShift & kLowMask) | (entry & kHighMask) << kHighShift;
        // 60 bits of number times a grain's 4096 bytes do not fit 64.
        if (number >= (UINT64_MAX - grains_) / kGrainBytes) return kUnknown;
        return {true, ExtentKind::data, grains_ + number * kGrainBytes};
      }
    }
    return kUnknown;
  }

  const uint64_t grains_;
};

[[noreturn]] void bad(const std::string& what) { throw Error(Errc::corrupt, what).during("reading the seSparse header"); }

[[noreturn]] void unknown(const std::string& what) { throw Error(Errc::unsupported, "seSparse extent with " + what); }

bool all_zero(const auto& values) {
  return std::all_of(values.begin(), values.end(), [](auto v) { return v == 0; });
}

void check_constants(const SeSparseConstHeaderRaw& raw) {
  if (raw.magic != kSeSparseMagic) bad("no seSparse header here");
  if (raw.version != kSeSparseVersion) unknown("an unknown version");
  if (raw.grain_size != kGrainSectors) unknown("grains of " + std::to_string(raw.grain_size) + " sectors, known are 8");
  if (raw.grain_table_size != kTableSectors) unknown("tables of " + std::to_string(raw.grain_table_size) + " sectors, known are 64");
  auto reserved = raw.reserved;
  if (reserved[0] == kNewerReserved) reserved[0] = 0;
  if (raw.flags != 0 || !all_zero(reserved) || !all_zero(raw.pad)) unknown("unknown flags");
}

/// An area that is used; those that are not may be absent.
void check_area(const SeSparseAreaRaw& area, uint64_t file_size, const char* what) {
  const uint64_t offset = checked_mul(area.offset, kSectorSize, what);
  const uint64_t size = checked_mul(area.size, kSectorSize, what);
  if (offset == 0 || !range_fits(offset, size, file_size)) bad(std::string(what) + " lies outside the file");
}

void add_area(SectorRanges& taken, const SeSparseAreaRaw& area) {
  taken.add(area.offset, checked_add(area.offset, area.size, "the end of an area"));
}

/// Where all areas lie but those of tables and grains.
SectorRanges check_areas(const SeSparseConstHeaderRaw& raw, uint64_t file_size) {
  check_area(raw.volatile_header, file_size, "the volatile header");
  check_area(raw.grain_directory, file_size, "the grain directory");
  check_area(raw.grain_tables, file_size, "the area of grain tables");
  SectorRanges metadata;
  metadata.add(0, 1);
  for (const SeSparseAreaRaw& area :
       {raw.volatile_header, raw.journal_header, raw.journal, raw.grain_directory, raw.free_bitmap, raw.backmap})
    add_area(metadata, area);
  metadata.settle();
  // The grains' area has the size that it may grow to, whatever the file holds of it.
  checked_mul(raw.grains.offset, kSectorSize, "the area of grains");
  SectorRanges all = metadata;
  add_area(all, raw.grain_tables);
  add_area(all, raw.grains);
  all.settle();
  if (all.overlap()) bad("two areas of the file share sector " + std::to_string(*all.overlap()));  // MEM-17
  return metadata;
}

void check_journal(Storage& file, const SeSparseHeader& header) {
  std::vector<std::byte> sector(kSectorSize);
  file.read_at(header.volatile_sector * kSectorSize, sector);
  const auto raw = load<SeSparseVolatileHeaderRaw>(sector);
  if (raw.magic != kSeSparseVolatileMagic) bad("the volatile header is missing");
  if (raw.replay_journal != 0)
    throw Error(Errc::unsupported, "the seSparse extent has changes in its journal that were never applied")
        .in(file.name())
        .hint("start and stop the virtual machine once on ESXi, or clone the disk there with vmkfstools -i");
  if (!all_zero(raw.pad)) unknown("unknown fields in the volatile header");
}

}  // namespace

bool is_sesparse_header(ConstBytes head) {
  return head.size() >= 16 && load<le64>(head) == kSeSparseMagic && load<le64>(head, 8) >> 32 == kSeSparseVersion >> 32;
}

SeSparseHeader parse_sesparse_header(ConstBytes sector, uint64_t file_size, const Limits& limits) {
  const auto raw = load<SeSparseConstHeaderRaw>(sector);
  check_constants(raw);
  SeSparseHeader h;
  h.capacity_sectors = raw.capacity;
  if (h.capacity_sectors == 0) bad("a disk without a sector");
  if (checked_mul(h.capacity_sectors, kSectorSize, "the capacity") > limits.virtual_size)
    throw Error(Errc::limit, "the disk is larger than allowed");
  h.gd_entries = div_ceil(h.capacity_sectors, kGrainSectors * kTableEntries);
  if (h.gd_entries > kMaxDirectoryEntries || h.gd_entries * kEntrySize > limits.metadata_bytes)
    throw Error(Errc::limit, "the grain directory exceeds the limit for metadata");
  h.metadata = check_areas(raw, file_size);
  if (raw.volatile_header.size == 0) bad("no volatile header");
  if (raw.grain_directory.size * kSectorSize < h.gd_entries * kEntrySize) bad("the grain directory is too small for the disk");
  h.volatile_sector = raw.volatile_header.offset;
  h.gd_sector = raw.grain_directory.offset;
  h.tables_sector = raw.grain_tables.offset;
  h.tables_sectors = raw.grain_tables.size;
  h.grains_sector = raw.grains.offset;
  return h;
}

std::unique_ptr<ExtentDriver> open_sesparse_extent(std::shared_ptr<Storage> file, const Limits& limits) {
  std::vector<std::byte> sector(kSectorSize);
  file->read_at(0, sector);
  const SeSparseHeader header = parse_sesparse_header(sector, file->size(), limits);
  check_journal(*file, header);
  std::vector<std::byte> directory(header.gd_entries * kEntrySize);
  file->read_at(header.gd_sector * kSectorSize, directory);
  TableLayout layout;
  layout.grains = div_ceil(header.capacity_sectors, kGrainSectors);
  layout.entries_per_table = kTableEntries;
  layout.entry_size = kEntrySize;
  layout.tables.reserve(header.gd_entries);
  SectorRanges metadata(limits.metadata_bytes / 4);
  for (const SectorRange& area : header.metadata.ranges()) metadata.add(area.first, area.end);
  for (uint64_t i = 0; i < header.gd_entries; ++i) {
    const uint64_t entry = load<le64>(directory, i * kEntrySize);
    const uint64_t number = entry & 0xffffffff;
    if (entry != 0 && entry >> 32 != kDirectoryMark) bad("an entry of no known kind in the grain directory");
    if (entry != 0 && number >= header.tables_sectors / kTableSectors) bad("a grain table outside the area of grain tables");
    const uint64_t place = entry == 0 ? 0 : header.tables_sector + number * kTableSectors;
    layout.tables.push_back(place * kSectorSize);
    if (place != 0) metadata.add(place, place + kTableSectors);
  }
  metadata.settle();
  return std::make_unique<SeSparseExtent>(std::move(file), header, std::move(layout), std::move(metadata), limits.metadata_bytes);
}

}  // namespace varve::vmdk
