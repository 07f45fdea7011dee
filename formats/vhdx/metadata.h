// The metadata region: what the disk is [MS-VHDX 2.6].
#ifndef VARVE_FORMATS_VHDX_METADATA_H
#define VARVE_FORMATS_VHDX_METADATA_H

#include <cstdint>
#include <optional>
#include <vector>

#include "varve/limits.h"
#include "varve/storage.h"
#include "vhdx/locator.h"
#include "vhdx/regions.h"
#include "vhdx/structures.h"

namespace varve::vhdx {

inline constexpr uint64_t kMaxDiskSize = uint64_t{64} << 40;
inline constexpr uint64_t kMinBlockSize = kMiB;
inline constexpr uint64_t kMaxBlockSize = 256 * kMiB;

/// Validated: no product of these overflows, and none is zero [MEM-7].
struct Metadata {
  uint64_t disk_size = 0;  ///< bytes
  uint64_t block_size = 0;
  uint64_t logical_sector = 512;
  uint64_t physical_sector = 4096;
  bool fixed = false;  ///< LeaveBlocksAllocated
  Uuid disk_id;        ///< the SCSI page 83 identifier
  std::optional<ParentLocator> parent;
};

/// Throws corrupt for what contradicts the format, unsupported for a required item that is not known, limit beyond `limits`. If
/// `size_offset` is not null it becomes the place of the disk's size in the file.
Metadata read_metadata(Storage& file, const Region& region, const Limits& limits, uint64_t* size_offset = nullptr);

/// The whole region of a new image, kMetadataRegionSize bytes.
std::vector<std::byte> encode(const Metadata& metadata);

inline constexpr uint64_t kMetadataRegionSize = kMiB;

}  // namespace varve::vhdx

#endif
