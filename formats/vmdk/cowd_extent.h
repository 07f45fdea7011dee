// COWD: the sparse extents of ESX Server before VMFS 6, "vmfsSparse". Read only. T, "ESX Server Sparse Extents".
#ifndef VARVE_FORMATS_VMDK_COWD_EXTENT_H
#define VARVE_FORMATS_VMDK_COWD_EXTENT_H

#include <array>
#include <cstdint>
#include <memory>

#include "base/endian.h"
#include "varve/limits.h"
#include "vmdk/extent.h"

namespace varve::vmdk {

/// T: COWDisk_Header, four sectors.
struct CowdHeaderRaw {
  le32 magic;
  le32 version;
  le32 flags;
  le32 capacity;  // sectors, as all that follows
  le32 grain_size;
  le32 gd_offset;
  le32 gd_entries;
  le32 free_sector;
  std::array<uint8_t, 1028> parent;  // geometry of a root, name and generation of the parent of a child
  le32 generation;
  std::array<char, 60> name;
  std::array<char, 512> description;
  le32 saved_generation;
  std::array<uint8_t, 8> reserved;
  le32 unclean_shutdown;
  std::array<uint8_t, 396> pad;
};
static_assert(sizeof(CowdHeaderRaw) == 2048);
static_assert(offsetof(CowdHeaderRaw, generation) == 1060 && offsetof(CowdHeaderRaw, saved_generation) == 1636);
static_assert(offsetof(CowdHeaderRaw, unclean_shutdown) == 1648);

struct CowdHeader {
  uint64_t capacity_sectors = 0;
  uint64_t grain_sectors = 0;
  uint64_t gd_sector = 0;
  uint64_t gd_entries = 0;  ///< that the disk needs; the directory may be longer
  bool unclean = false;
};

bool is_cowd_header(ConstBytes head);

/// Validates against the file, as parse_sparse_header().
CowdHeader parse_cowd_header(ConstBytes header, uint64_t file_size, const Limits& limits);

std::unique_ptr<ExtentDriver> open_cowd_extent(std::shared_ptr<Storage> file, const Limits& limits);

}  // namespace varve::vmdk

#endif
