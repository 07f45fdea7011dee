// seSparse: the sparse extents of VMFS 6 and of disks above 2 TiB. Read only.
//
// VMware has published nothing; the layout is what other readers have found out. So all that is not understood is refused.
#ifndef VARVE_FORMATS_VMDK_SESPARSE_EXTENT_H
#define VARVE_FORMATS_VMDK_SESPARSE_EXTENT_H

#include <array>
#include <cstdint>
#include <memory>

#include "base/endian.h"
#include "varve/limits.h"
#include "vmdk/extent.h"
#include "vmdk/sector_ranges.h"

namespace varve::vmdk {

inline constexpr uint64_t kSeSparseMagic = 0xcafebabe;
inline constexpr uint64_t kSeSparseVolatileMagic = 0xcafecafe;
inline constexpr uint64_t kSeSparseVersion = 0x200000001;

/// A part of the file, in sectors.
struct SeSparseAreaRaw {
  le64 offset;
  le64 size;
};

/// The first sector. Never changes.
struct SeSparseConstHeaderRaw {
  le64 magic;
  le64 version;
  le64 capacity;  // sectors, as all that follows
  le64 grain_size;
  le64 grain_table_size;
  le64 flags;
  std::array<le64, 4> reserved;
  SeSparseAreaRaw volatile_header;
  SeSparseAreaRaw journal_header;
  SeSparseAreaRaw journal;
  SeSparseAreaRaw grain_directory;
  SeSparseAreaRaw grain_tables;
  SeSparseAreaRaw free_bitmap;
  SeSparseAreaRaw backmap;
  SeSparseAreaRaw grains;
  std::array<uint8_t, 304> pad;
};
static_assert(sizeof(SeSparseConstHeaderRaw) == 512);
static_assert(offsetof(SeSparseConstHeaderRaw, volatile_header) == 80 && offsetof(SeSparseConstHeaderRaw, grains) == 192);

struct SeSparseVolatileHeaderRaw {
  le64 magic;
  le64 free_table;
  le64 next_transaction;
  le64 replay_journal;  // not 0: the journal holds changes that the tables lack
  std::array<uint8_t, 480> pad;
};
static_assert(sizeof(SeSparseVolatileHeaderRaw) == 512);

struct SeSparseHeader {
  uint64_t capacity_sectors = 0;
  SectorRanges metadata;  ///< all areas but those of tables and grains, and the header itself
  uint64_t volatile_sector = 0;
  uint64_t gd_sector = 0;
  uint64_t gd_entries = 0;  ///< that the disk needs
  uint64_t tables_sector = 0;
  uint64_t tables_sectors = 0;
  uint64_t grains_sector = 0;
};

bool is_sesparse_header(ConstBytes head);

/// Validates against the file, as parse_sparse_header().
SeSparseHeader parse_sesparse_header(ConstBytes sector, uint64_t file_size, const Limits& limits);

/// Throws unsupported if the journal must be replayed first.
std::unique_ptr<ExtentDriver> open_sesparse_extent(std::shared_ptr<Storage> file, const Limits& limits);

}  // namespace varve::vmdk

#endif
