// The region table: where the block allocation table and the metadata lie [MS-VHDX 2.2.3].
#ifndef VARVE_FORMATS_VHDX_REGIONS_H
#define VARVE_FORMATS_VHDX_REGIONS_H

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "base/interval_set.h"
#include "varve/storage.h"
#include "vhdx/structures.h"

namespace varve::vhdx {

struct Region {
  Uuid guid;
  uint64_t offset = 0;
  uint64_t length = 0;
  bool required = true;

  uint64_t end() const { return offset + length; }
  bool operator==(const Region&) const = default;
};

struct Regions {
  std::vector<Region> all;              ///< pairwise disjoint, behind the header section
  std::array<std::string, 2> faults{};  ///< of each copy of the table: why it is not whole; empty if it is
  bool copies_differ = false;           ///< both are whole but say different things: the first counts

  const Region& bat() const { return *find(kBatRegion); }
  const Region& metadata() const { return *find(kMetadataRegion); }
  const Region* find(const Uuid& guid) const;
};

/// Reads the first copy of the table, or the second if the first is not whole. Throws corrupt if neither is (io if one can't be read
/// besides), or for regions that overlap each other or the log, lie outside the file or are missing; unsupported for an unknown region that
/// is required.
Regions read_regions(Storage& file, const Interval& log);

/// The 64 KiB of a table, checksum included.
std::vector<std::byte> encode(const std::vector<Region>& regions);

}  // namespace varve::vhdx

#endif
