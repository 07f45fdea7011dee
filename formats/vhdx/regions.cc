#include "vhdx/regions.h"

#include <algorithm>
#include <optional>

#include "base/checked_math.h"
#include "checksum/crc32c.h"
#include "varve/error.h"
#include "vhdx/header.h"

namespace varve::vhdx {
namespace {

uint32_t checksum_of(ConstBytes table) {
  auto head = load<RegionTableHeaderRaw>(table);
  head.checksum = 0;
  return crc32c(table.subspan(sizeof(head)), crc32c(bytes_of(head)));
}

/// nullopt, and why, if the copy is not whole.
std::optional<std::vector<Region>> parse_copy(Storage& file, uint64_t offset, std::string& fault) {
  const auto broken = [&](const char* why) {
    fault = why;
    return std::nullopt;
  };
  if (!range_fits(offset, kRegionTableSize, file.size())) return broken("the file ends before it");
  std::vector<std::byte> table(kRegionTableSize);
  try {
    file.read_at(offset, table);
  } catch (const Error& error) {
    if (error.code() != Errc::io) throw;
    return broken(kUnreadable);
  }
  const auto head = load<RegionTableHeaderRaw>(table);
  if (head.signature != kRegionSignature) return broken("it has no signature");
  if (head.checksum != checksum_of(table)) return broken("its checksum is wrong");
  if (head.entry_count > kMaxTableEntries) return broken("it has more than 2047 entries");
  std::vector<Region> regions;
  for (size_t i = 0; i < head.entry_count; ++i) {
    const auto raw = load<RegionEntryRaw>(table, sizeof(head) + i * sizeof(RegionEntryRaw));
    regions.push_back({to_uuid(raw.guid), raw.file_offset, raw.length, (raw.required & 1) != 0});
  }
  return regions;
}

/// MEM-17. A region that nobody here knows need not lie in the file, but must not lie on another.
void check_places(const std::vector<Region>& regions, const Interval& log, uint64_t file_size) {
  IntervalSet taken;
  taken.insert(log.offset, log.length);
  for (const Region& region : regions) {
    const std::string name = "the region " + format_uuid(region.guid);
    if (region.offset % kMiB != 0 || region.length % kMiB != 0 || region.length == 0 || region.offset < kHeaderSectionSize)
      throw Error(Errc::corrupt, name + " does not consist of whole MiB behind the first");
    if (taken.insert(region.offset, region.length)) throw Error(Errc::corrupt, name + " lies on another one or on the log");
    const bool known = region.guid == kBatRegion || region.guid == kMetadataRegion;
    if (!known && region.required) throw Error(Errc::unsupported, name + " is required and unknown");
    if (known && !range_fits(region.offset, region.length, file_size))
      throw Error(Errc::corrupt, name + " lies outside the file").hint("the file was cut short: copy it again");
  }
}

void require_one(const std::vector<Region>& regions, const Uuid& guid, const char* name) {
  const auto count = std::count_if(regions.begin(), regions.end(), [&](const Region& region) { return region.guid == guid; });
  if (count != 1)
    throw Error(Errc::corrupt,
                std::string("the region table names ") + std::to_string(count) + " regions for the " + name + " instead of one");
}

}  // namespace

const Region* Regions::find(const Uuid& guid) const {
  const auto found = std::find_if(all.begin(), all.end(), [&](const Region& region) { return region.guid == guid; });
  return found == all.end() ? nullptr : &*found;
}

Regions read_regions(Storage& file, const Interval& log) {
  Regions regions;
  const auto first = parse_copy(file, kRegionTableOffsets[0], regions.faults[0]);
  const auto second = parse_copy(file, kRegionTableOffsets[1], regions.faults[1]);
  if (!first && !second) {
    const bool unreadable = regions.faults[0] == kUnreadable || regions.faults[1] == kUnreadable;
    throw Error(unreadable ? Errc::io : Errc::corrupt,
                "neither copy of the region table is whole: of the first, " + regions.faults[0] + "; of the second, " + regions.faults[1])
        .at(kRegionTableOffsets[0]);
  }
  regions.all = first ? *first : *second;
  regions.copies_differ = first && second && *first != *second;
  check_places(regions.all, log, file.size());
  require_one(regions.all, kBatRegion, "block allocation table");
  require_one(regions.all, kMetadataRegion, "metadata");
  return regions;
}

std::vector<std::byte> encode(const std::vector<Region>& regions) {
  std::vector<std::byte> table(kRegionTableSize);
  RegionTableHeaderRaw head{};
  head.signature = kRegionSignature;
  head.entry_count = static_cast<uint32_t>(regions.size());
  const auto put = [&](size_t at, ConstBytes bytes) { std::copy(bytes.begin(), bytes.end(), table.begin() + static_cast<ptrdiff_t>(at)); };
  put(0, bytes_of(head));
  for (size_t i = 0; i < regions.size(); ++i) {
    RegionEntryRaw raw{};
    raw.guid = to_raw(regions[i].guid);
    raw.file_offset = regions[i].offset;
    raw.length = checked_narrow<uint32_t>(regions[i].length, "a region's length");
    raw.required = regions[i].required ? 1 : 0;
    put(sizeof(head) + i * sizeof(raw), bytes_of(raw));
  }
  head.checksum = checksum_of(table);
  put(0, bytes_of(head));
  return table;
}

}  // namespace varve::vhdx
