// VMDK structures as they lie on disk, named as in VMware's technical note "Virtual Disk Format 5.0" (T).
// Each is turned into a validated value by one parse function (header.h) before anything uses it.
#ifndef VARVE_FORMATS_VMDK_STRUCTURES_H
#define VARVE_FORMATS_VMDK_STRUCTURES_H

#include <array>
#include <cstddef>
#include <cstdint>

#include "base/endian.h"

namespace varve::vmdk {

inline constexpr uint64_t kSectorSize = 512;
inline constexpr uint32_t kSparseMagic = 0x564d444b;  // "KDMV"
inline constexpr uint32_t kCowdMagic = 0x44574f43;    // "COWD"
inline constexpr uint64_t kGdAtEnd = ~uint64_t{0};    // gdOffset of a stream whose footer holds the real one

inline constexpr uint32_t kFlagNewlineTest = 1U << 0;
inline constexpr uint32_t kFlagRedundantTables = 1U << 1;
inline constexpr uint32_t kFlagZeroedGrain = 1U << 2;
inline constexpr uint32_t kFlagCompressed = 1U << 16;
inline constexpr uint32_t kFlagMarkers = 1U << 17;

/// T, "Hosted Sparse Extents": SparseExtentHeader. Offsets and sizes of the note are in sectors.
struct SparseHeaderRaw {
  le32 magic;
  le32 version;
  le32 flags;
  le64 capacity;
  le64 grain_size;
  le64 descriptor_offset;
  le64 descriptor_size;
  le32 num_gtes_per_gt;
  le64 rgd_offset;
  le64 gd_offset;
  le64 overhead;
  uint8_t unclean_shutdown;
  std::array<uint8_t, 4> newlines;  // LF, space, CR, LF
  le16 compress_algorithm;          // 0 none, 1 deflate
  std::array<uint8_t, 433> pad;
};
static_assert(sizeof(SparseHeaderRaw) == 512);
static_assert(offsetof(SparseHeaderRaw, capacity) == 12 && offsetof(SparseHeaderRaw, num_gtes_per_gt) == 44);
static_assert(offsetof(SparseHeaderRaw, gd_offset) == 56 && offsetof(SparseHeaderRaw, overhead) == 64);
static_assert(offsetof(SparseHeaderRaw, unclean_shutdown) == 72 && offsetof(SparseHeaderRaw, compress_algorithm) == 77);

inline constexpr std::array<uint8_t, 4> kNewlines = {'\n', ' ', '\r', '\n'};

enum class MarkerType : uint32_t { end_of_stream = 0, grain_table = 1, grain_directory = 2, footer = 3, progress = 4 };

/// T, "Markers": before a compressed grain {lba, size, data ...}; size 0 makes it a metadata marker {sectors that follow, 0, type}.
struct MarkerRaw {
  le64 value;
  le32 size;
  le32 type;  // of metadata markers; of a grain the data begins here, at byte 12
};
static_assert(sizeof(MarkerRaw) == 16);
inline constexpr uint64_t kGrainMarkerSize = 12;

}  // namespace varve::vmdk

#endif
