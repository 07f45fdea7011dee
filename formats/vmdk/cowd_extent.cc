#include "vmdk/cowd_extent.h"

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

constexpr uint32_t kCowdEntries = 4096;
constexpr uint64_t kCowdHeaderSectors = 4;
constexpr uint64_t kCowdTableSectors = kCowdEntries * kGtEntrySize / kSectorSize;

class CowdExtent final : public TableExtent {
 public:
  CowdExtent(std::shared_ptr<Storage> file, const CowdHeader& header, TableLayout tables, SectorRanges metadata, uint64_t metadata_bytes)
      : TableExtent(std::move(file), {.size = header.capacity_sectors * kSectorSize, .grain_bytes = header.grain_sectors * kSectorSize},
                    std::move(tables), std::move(metadata), metadata_bytes),
        unclean_(header.unclean) {}

  void check(const CheckOptions& options, CheckReport& report) override {
    if (unclean_)
      report.add({.severity = Severity::note, .message = "the extent was not closed cleanly", .file_offset = {}, .disk_offset = {}});
    TableExtent::check(options, report);
  }

 private:
  GrainPlace place_of(uint64_t entry) const noexcept override {
    if (entry == 0) return {};
    return {true, ExtentKind::data, entry * kSectorSize};
  }

  const bool unclean_;
};

[[noreturn]] void bad(const std::string& what) { throw Error(Errc::corrupt, what).during("reading the COWD header"); }

}  // namespace

bool is_cowd_header(ConstBytes head) { return head.size() >= 4 && load<le32>(head) == kCowdMagic; }

CowdHeader parse_cowd_header(ConstBytes header, uint64_t file_size, const Limits& limits) {
  const auto raw = load<CowdHeaderRaw>(header);
  if (raw.magic != kCowdMagic) bad("no COWD header here");
  if (raw.version != 1) throw Error(Errc::unsupported, "COWD header of version " + std::to_string(raw.version) + ", known is 1");
  CowdHeader h;
  h.capacity_sectors = raw.capacity;
  h.grain_sectors = raw.grain_size;
  h.gd_sector = raw.gd_offset;
  h.unclean = raw.unclean_shutdown != 0;
  if (h.capacity_sectors == 0) bad("a disk without a sector");
  if (!is_power_of_two(h.grain_sectors) || h.grain_sectors > kMaxGrainSectors)
    bad("a grain of " + std::to_string(h.grain_sectors) + " sectors, allowed are powers of two up to 2048");
  if (h.capacity_sectors * kSectorSize > limits.virtual_size) throw Error(Errc::limit, "the disk is larger than allowed");
  h.gd_entries = div_ceil(h.capacity_sectors, h.grain_sectors * kCowdEntries);
  if (raw.gd_entries < h.gd_entries)
    bad("a grain directory of " + std::to_string(raw.gd_entries) + " entries, the disk needs " + std::to_string(h.gd_entries));
  if (h.gd_sector < kCowdHeaderSectors) bad("the grain directory lies on the header");
  if (h.gd_entries * kGtEntrySize > limits.metadata_bytes) throw Error(Errc::limit, "the grain directory exceeds the limit for metadata");
  if (!range_fits(h.gd_sector * kSectorSize, h.gd_entries * kGtEntrySize, file_size)) bad("the grain directory lies outside the file");
  return h;
}

std::unique_ptr<ExtentDriver> open_cowd_extent(std::shared_ptr<Storage> file, const Limits& limits) {
  std::vector<std::byte> head(sizeof(CowdHeaderRaw));
  file->read_at(0, head);
  const CowdHeader header = parse_cowd_header(head, file->size(), limits);
  std::vector<std::byte> directory(header.gd_entries * kGtEntrySize);
  file->read_at(header.gd_sector * kSectorSize, directory);
  TableLayout layout;
  layout.grains = div_ceil(header.capacity_sectors, header.grain_sectors);
  layout.entries_per_table = kCowdEntries;
  layout.entry_size = kGtEntrySize;
  layout.tables.reserve(header.gd_entries);
  SectorRanges metadata(limits.metadata_bytes / 4);
  metadata.add(0, kCowdHeaderSectors);
  metadata.add(header.gd_sector, header.gd_sector + div_ceil(directory.size(), kSectorSize));
  for (uint64_t i = 0; i < header.gd_entries; ++i) {
    const uint64_t sector = load<le32>(directory, i * kGtEntrySize);
    layout.tables.push_back(sector * kSectorSize);
    // One outside the file is reported when it is read.
    if (sector != 0 && range_fits(sector * kSectorSize, kCowdTableSectors * kSectorSize, file->size()))
      metadata.add(sector, sector + kCowdTableSectors);
  }
  metadata.settle();
  return std::make_unique<CowdExtent>(std::move(file), header, std::move(layout), std::move(metadata), limits.metadata_bytes);
}

}  // namespace varve::vmdk
