// VHDX structures as they lie on disk, named as in [MS-VHDX]. Each is turned into a validated value by one parse function before
// anything uses it.
#ifndef VARVE_FORMATS_VHDX_STRUCTURES_H
#define VARVE_FORMATS_VHDX_STRUCTURES_H

#include <array>
#include <cstddef>
#include <cstdint>

#include "base/endian.h"
#include "base/uuid.h"

namespace varve::vhdx {

inline constexpr uint64_t kKiB = 1024;
inline constexpr uint64_t kMiB = 1024 * kKiB;

/// A GUID: the first three fields little-endian, unlike the text.
struct GuidRaw {
  std::array<uint8_t, 16> bytes;
  bool operator==(const GuidRaw&) const = default;
};

constexpr Uuid to_uuid(const GuidRaw& raw) {
  const auto& b = raw.bytes;
  return {{b[3], b[2], b[1], b[0], b[5], b[4], b[7], b[6], b[8], b[9], b[10], b[11], b[12], b[13], b[14], b[15]}};
}
constexpr GuidRaw to_raw(const Uuid& uuid) { return {to_uuid({uuid.bytes}).bytes}; }

/// A GUID written as its text reads: five groups of hex digits.
constexpr Uuid guid(uint32_t a, uint16_t b, uint16_t c, uint16_t d, uint64_t e) {
  Uuid uuid;
  const auto put = [&](size_t at, size_t count, uint64_t value) {
    for (size_t i = 0; i < count; ++i) uuid.bytes.at(at + i) = static_cast<uint8_t>(value >> (8 * (count - 1 - i)));
  };
  put(0, 4, a);
  put(4, 2, b);
  put(6, 2, c);
  put(8, 2, d);
  put(10, 6, e);
  return uuid;
}

// ---- 2.2: the first MiB ------------------------------------------------------------------------

inline constexpr uint64_t kFileSignature = 0x656c696678646876;  // "vhdxfile"
inline constexpr size_t kCreatorBytes = 512;
inline constexpr std::array<uint64_t, 2> kHeaderOffsets = {64 * kKiB, 128 * kKiB};
inline constexpr std::array<uint64_t, 2> kRegionTableOffsets = {192 * kKiB, 256 * kKiB};
inline constexpr uint64_t kHeaderSize = 4 * kKiB;
inline constexpr uint64_t kRegionTableSize = 64 * kKiB;
/// Everything but the above lies behind this, and begins at a multiple of it.
inline constexpr uint64_t kHeaderSectionSize = kMiB;

struct FileIdentifierRaw {
  le64 signature;
  std::array<uint8_t, kCreatorBytes> creator;  // UTF-16
};
static_assert(sizeof(FileIdentifierRaw) == 520);

inline constexpr uint32_t kHeaderSignature = 0x64616568;  // "head"

/// 2.2.2
struct HeaderRaw {
  le32 signature;
  le32 checksum;  // CRC-32C of the 4 KiB with this field zero
  le64 sequence_number;
  GuidRaw file_write_guid;
  GuidRaw data_write_guid;
  GuidRaw log_guid;
  le16 log_version;
  le16 version;
  le32 log_length;
  le64 log_offset;
  std::array<uint8_t, 4016> reserved;
};
static_assert(sizeof(HeaderRaw) == kHeaderSize);
static_assert(offsetof(HeaderRaw, sequence_number) == 8 && offsetof(HeaderRaw, log_guid) == 48 && offsetof(HeaderRaw, log_offset) == 72);

inline constexpr uint32_t kRegionSignature = 0x69676572;  // "regi"

/// 2.2.3.1
struct RegionTableHeaderRaw {
  le32 signature;
  le32 checksum;  // CRC-32C of the 64 KiB with this field zero
  le32 entry_count;
  le32 reserved;
};
static_assert(sizeof(RegionTableHeaderRaw) == 16);

/// 2.2.3.2
struct RegionEntryRaw {
  GuidRaw guid;
  le64 file_offset;
  le32 length;
  le32 required;  // bit 0
};
static_assert(sizeof(RegionEntryRaw) == 32);

inline constexpr uint32_t kMaxTableEntries = 2047;
inline constexpr Uuid kBatRegion = guid(0x2dc27766, 0xf623, 0x4200, 0x9d64, 0x115e9bfd4a08);
inline constexpr Uuid kMetadataRegion = guid(0x8b7ca206, 0x4790, 0x4b9a, 0xb8fe, 0x575f050f886e);

// ---- 2.3: the log --------------------------------------------------------------------------------

inline constexpr uint64_t kLogSector = 4 * kKiB;
inline constexpr uint32_t kLogSignature = 0x65676f6c;         // "loge"
inline constexpr uint32_t kZeroSignature = 0x6f72657a;        // "zero"
inline constexpr uint32_t kDescriptorSignature = 0x63736564;  // "desc"
inline constexpr uint32_t kDataSignature = 0x61746164;        // "data"

/// 2.3.1.1
struct LogEntryHeaderRaw {
  le32 signature;
  le32 checksum;  // CRC-32C of the whole entry with this field zero
  le32 entry_length;
  le32 tail;  // from the start of the log
  le64 sequence_number;
  le32 descriptor_count;
  le32 reserved;
  GuidRaw log_guid;
  le64 flushed_file_offset;
  le64 last_file_offset;
};
static_assert(sizeof(LogEntryHeaderRaw) == 64);

/// 2.3.1.2 and 2.3.1.3: a descriptor is one or the other, by its signature.
struct LogDescriptorRaw {
  le32 signature;
  le32 trailing_bytes;  // data: the last 4 bytes of the sector; zero: reserved
  le64 leading_bytes;   // data: the first 8 bytes of the sector; zero: how many bytes
  le64 file_offset;
  le64 sequence_number;
};
static_assert(sizeof(LogDescriptorRaw) == 32);

/// 2.3.1.4
struct LogDataRaw {
  le32 signature;
  le32 sequence_high;
  std::array<uint8_t, 4084> data;
  le32 sequence_low;
};
static_assert(sizeof(LogDataRaw) == kLogSector);

// ---- 2.5: the block allocation table ---------------------------------------------------------------

inline constexpr uint64_t kBatEntrySize = 8;
inline constexpr uint64_t kBitmapBlockSize = kMiB;
inline constexpr uint64_t kSectorsPerBitmapBlock = uint64_t{1} << 23;

// ---- 2.6: metadata -----------------------------------------------------------------------------------

inline constexpr uint64_t kMetadataSignature = 0x617461646174656d;  // "metadata"
inline constexpr uint64_t kMetadataTableSize = 64 * kKiB;

/// 2.6.1.1
struct MetadataTableHeaderRaw {
  le64 signature;
  le16 reserved;
  le16 entry_count;
  std::array<uint8_t, 20> reserved2;
};
static_assert(sizeof(MetadataTableHeaderRaw) == 32);

inline constexpr uint32_t kItemIsUser = 1;
inline constexpr uint32_t kItemIsVirtualDisk = 2;
inline constexpr uint32_t kItemIsRequired = 4;

/// 2.6.1.2
struct MetadataEntryRaw {
  GuidRaw item_id;
  le32 offset;  // from the start of the region
  le32 length;
  le32 flags;
  le32 reserved;
};
static_assert(sizeof(MetadataEntryRaw) == 32);

inline constexpr Uuid kFileParametersItem = guid(0xcaa16737, 0xfa36, 0x4d43, 0xb3b6, 0x33f0aa44e76b);
inline constexpr Uuid kDiskSizeItem = guid(0x2fa54224, 0xcd1b, 0x4876, 0xb211, 0x5dbed83bf4b8);
inline constexpr Uuid kDiskIdItem = guid(0xbeca12ab, 0xb2e6, 0x4523, 0x93ef, 0xc309e000c746);
inline constexpr Uuid kLogicalSectorItem = guid(0x8141bf1d, 0xa96f, 0x4709, 0xba47, 0xf233a8faab5f);
inline constexpr Uuid kPhysicalSectorItem = guid(0xcda348c7, 0x445d, 0x4471, 0x9cc9, 0xe9885251c556);
inline constexpr Uuid kParentLocatorItem = guid(0xa8d35f2d, 0xb30b, 0x454d, 0xabf7, 0xd3d84834ab0c);

/// 2.6.2.1
struct FileParametersRaw {
  le32 block_size;
  le32 flags;
};
static_assert(sizeof(FileParametersRaw) == 8);
inline constexpr uint32_t kLeaveBlocksAllocated = 1;
inline constexpr uint32_t kHasParent = 2;

/// 2.6.2.6.1
struct ParentLocatorHeaderRaw {
  GuidRaw locator_type;
  le16 reserved;
  le16 key_value_count;
};
static_assert(sizeof(ParentLocatorHeaderRaw) == 20);

/// 2.6.2.6.2: offsets from the start of the locator, lengths in bytes
struct ParentLocatorEntryRaw {
  le32 key_offset;
  le32 value_offset;
  le16 key_length;
  le16 value_length;
};
static_assert(sizeof(ParentLocatorEntryRaw) == 12);

inline constexpr Uuid kVhdxLocatorType = guid(0xb04aefb7, 0xd19e, 0x4a81, 0xb789, 0x25b8e9445913);

}  // namespace varve::vhdx

#endif
