// The header of a hosted sparse extent ("KDMV"), validated. T, "Hosted Sparse Extents".
#ifndef VARVE_FORMATS_VMDK_HEADER_H
#define VARVE_FORMATS_VMDK_HEADER_H

#include <cstdint>

#include "varve/limits.h"
#include "varve/storage.h"
#include "vmdk/structures.h"

namespace varve::vmdk {

inline constexpr uint64_t kMaxGrainSectors = 2048;
inline constexpr uint32_t kMaxGtesPerGt = 512;
inline constexpr uint64_t kMaxDirectoryEntries = uint64_t{4} << 20;
inline constexpr uint64_t kGtEntrySize = 4;

/// What a header says, after parse_sparse_header() has held it against the file. Every product below fits 64 bits.
struct SparseHeader {
  uint32_t version = 1;
  uint32_t flags = kFlagNewlineTest | kFlagRedundantTables;
  uint64_t capacity_sectors = 0;
  uint64_t grain_sectors = 128;
  uint64_t descriptor_sector = 0;  ///< 0: no embedded descriptor
  uint64_t descriptor_sectors = 0;
  uint32_t gtes_per_gt = 512;
  uint64_t rgd_sector = 0;        ///< counts only with kFlagRedundantTables
  uint64_t gd_sector = 0;         ///< kGdAtEnd: the footer knows
  uint64_t overhead_sectors = 0;  ///< where the first grain may lie
  bool unclean = false;
  /// Of two directories one lies where none can be. gd_sector is the other one's place then, and the image is only read.
  bool lost_directory = false;

  bool compressed() const { return (flags & kFlagCompressed) != 0; }
  bool has_markers() const { return (flags & kFlagMarkers) != 0; }
  bool has_zeroed_grains() const { return (flags & kFlagZeroedGrain) != 0; }
  bool gd_at_end() const { return gd_sector == kGdAtEnd; }
  bool has_redundant() const { return (flags & kFlagRedundantTables) != 0 && !gd_at_end() && !lost_directory; }
  bool has_descriptor() const { return descriptor_sector != 0 && descriptor_sectors != 0; }

  uint64_t capacity_bytes() const { return capacity_sectors * kSectorSize; }
  uint64_t grain_bytes() const { return grain_sectors * kSectorSize; }
  uint64_t grain_count() const { return capacity_sectors / grain_sectors + (capacity_sectors % grain_sectors != 0 ? 1 : 0); }
  /// Entries of the directory, that is grain tables.
  uint64_t gd_entries() const { return grain_count() / gtes_per_gt + (grain_count() % gtes_per_gt != 0 ? 1 : 0); }
  uint64_t gd_bytes() const { return gd_entries() * kGtEntrySize; }
  uint64_t gt_bytes() const { return gtes_per_gt * kGtEntrySize; }
  uint64_t overhead_bytes() const { return overhead_sectors * kSectorSize; }
};

/// Does `bytes` begin with the magic of a hosted sparse extent?
bool is_sparse_header(ConstBytes bytes);

/// Reads a header or a footer. `file_size` is that of the file it lies in, UINT64_MAX of a pipe. Throws corrupt for what contradicts
/// the format or the file, unsupported for versions and flags that nobody has defined, limit for what exceeds `limits`. Where a header
/// names two directories, one of them will do.
SparseHeader parse_sparse_header(ConstBytes sector, uint64_t file_size, const Limits& limits);

/// The bytes of a header that writers store.
SparseHeaderRaw encode(const SparseHeader& header);

}  // namespace varve::vmdk

#endif
