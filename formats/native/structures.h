// The native format's structures as they lie on disk (docs/formats/varve.md). Each is turned into a validated value by one parse function
// before anything uses it.
#ifndef VARVE_FORMATS_NATIVE_STRUCTURES_H
#define VARVE_FORMATS_NATIVE_STRUCTURES_H

#include <array>
#include <cstddef>
#include <cstdint>

#include "base/endian.h"

namespace varve::native {

/// What space is reused in, and what media are taken to tear at worst.
inline constexpr uint64_t kBlock = 4096;
inline constexpr std::array<uint64_t, 2> kRegions = {0, 65536};
inline constexpr uint64_t kSuperblockInRegion = 4096;
inline constexpr uint64_t kKeyAreaInRegion = 8192;
/// Everything but headers, superblocks and key areas lies behind this.
inline constexpr uint64_t kFirstExtent = 131072;

inline constexpr uint64_t kNodeSize = 16384;
inline constexpr uint64_t kFanout = 512;
/// A cluster that is stored as it is may lack zeros at its beginning and end: in steps of this many of its parts, or of blocks.
inline constexpr uint64_t kGranules = 32;
inline constexpr uint64_t kMinCluster = 4096;
inline constexpr uint64_t kMaxCluster = 2097152;
inline constexpr uint64_t kMaxSize = uint64_t{1} << 62;
/// Clusters of 4 KiB up to kMaxSize need no more.
inline constexpr unsigned kMaxHeight = 6;
inline constexpr uint64_t kMaxGeneration = (uint64_t{1} << 48) - 1;
/// Nobody counts that far: a generation this close to the end is not written on.
inline constexpr uint64_t kLastWritable = (uint64_t{1} << 48) - (uint64_t{1} << 16);

using TagBytes = std::array<uint8_t, 16>;
using UuidBytes = std::array<uint8_t, 16>;

// ---- section 3 -------------------------------------------------------------------------------------

inline constexpr std::array<uint8_t, 8> kHeaderMagic = {0x89, 'V', 'R', 'V', '\r', '\n', 0x1a, '\n'};
inline constexpr uint32_t kVersion = 1;
inline constexpr uint64_t kEncrypted = 1;  // an incompatible feature

struct HeaderRaw {
  std::array<uint8_t, 8> magic;
  le32 version;
  le32 reserved;
  le64 sequence;
  le64 incompatible;
  le64 read_only_compatible;
  le64 compatible;
  UuidBytes image_uuid;
  UuidBytes crypt_uuid;
  le32 cluster_size;
  le32 unit;
  le32 node_size;
  le16 codec;
  le16 level;  // signed
  le64 journal_bytes;
  std::array<uint8_t, 3976> reserved2;
  TagBytes tag;  // of all before it
};
static_assert(sizeof(HeaderRaw) == kBlock);
static_assert(offsetof(HeaderRaw, image_uuid) == 48 && offsetof(HeaderRaw, cluster_size) == 80 && offsetof(HeaderRaw, tag) == 4080);

// ---- section 5 -------------------------------------------------------------------------------------

struct PointerRaw {
  le64 place;  // 48 bits of address, 16 of length, in units
  le64 kind;   // 48 bits of birth, 3 of kind, 4 of level, 4 of codec, 5 of granules left out
  TagBytes tag;
};
static_assert(sizeof(PointerRaw) == 32);

struct NodeRaw {
  std::array<PointerRaw, kFanout> entries;
};
static_assert(sizeof(NodeRaw) == kNodeSize);

// ---- section 6 -------------------------------------------------------------------------------------

struct ObjectRaw {
  le64 size;
  le32 parent;
  uint8_t height;
  std::array<uint8_t, 19> reserved;
  PointerRaw root;
};
static_assert(sizeof(ObjectRaw) == 64 && offsetof(ObjectRaw, root) == 32);

// ---- section 4 -------------------------------------------------------------------------------------

inline constexpr std::array<uint8_t, 8> kSuperblockMagic = {0x89, 'V', 'S', 'B', '\r', '\n', 0x1a, '\n'};
inline constexpr uint32_t kClean = 1;

struct SuperblockRaw {
  std::array<uint8_t, 8> magic;
  UuidBytes image_uuid;
  le64 generation;
  std::array<uint8_t, 12> nonce;
  le32 flags;
  std::array<uint8_t, 32> salt;
  ObjectRaw head;
  ObjectRaw catalog;
  PointerRaw sessions;
  le64 journal_offset;
  le64 journal_length;
  TagBytes chain;
  le64 end;
  le64 head_parent;
  le64 last_snapshot_id;
  std::array<uint8_t, 3784> reserved;
  TagBytes tag;  // of all before it
};
static_assert(sizeof(SuperblockRaw) == kBlock);
static_assert(offsetof(SuperblockRaw, nonce) == 32 && offsetof(SuperblockRaw, salt) == 48 && offsetof(SuperblockRaw, sessions) == 208);
static_assert(offsetof(SuperblockRaw, head) == 80 && offsetof(SuperblockRaw, journal_offset) == 240 &&
              offsetof(SuperblockRaw, tag) == 4080);

// ---- section 7 -------------------------------------------------------------------------------------

inline constexpr std::array<uint8_t, 4> kCatalogMagic = {'V', 'C', 'A', 'T'};
inline constexpr uint64_t kMaxCatalog = uint64_t{16} << 20;

struct CatalogHeadRaw {
  std::array<uint8_t, 4> magic;
  le32 records;
  le64 reserved;
};
static_assert(sizeof(CatalogHeadRaw) == 16);

inline constexpr uint16_t kMustUnderstandToRead = 1;
inline constexpr uint16_t kMustUnderstandToWrite = 2;

struct RecordRaw {
  le32 type;
  le16 flags;
  le16 objects;
  le32 payload;
  le32 reserved;
};
static_assert(sizeof(RecordRaw) == 16);

inline constexpr uint32_t kSnapshotRecord = 1;
inline constexpr uint32_t kParentRecord = 2;
inline constexpr uint32_t kAttachmentRecord = 3;
inline constexpr uint32_t kRotationRecord = 4;

struct SnapshotRaw {
  UuidBytes uuid;
  le64 id;
  le64 parent;
  le64 generation;
  le64 time;
  le32 flags;
  le32 name_length;
};
static_assert(sizeof(SnapshotRaw) == 56);
inline constexpr uint32_t kHidden = 1;
inline constexpr uint32_t kHeld = 2;
inline constexpr uint32_t kMaxName = 1024;

struct ParentRaw {
  le32 id;
  le32 format_length;
  le32 path_length;
  le32 identity_length;
};
static_assert(sizeof(ParentRaw) == 16);

struct AttachmentRaw {
  le64 id;
  le64 snapshot;
  le64 time;
  le32 name_length;
  le32 reserved;
};
static_assert(sizeof(AttachmentRaw) == 32);

struct RotationRaw {
  le32 epoch;
  le32 generations;
  le32 done;
  le32 reserved;
  le64 next_cluster;
  TagBytes head_tag;
  le64 head_size;
};
static_assert(sizeof(RotationRaw) == 48);

// ---- section 9 -------------------------------------------------------------------------------------

inline constexpr std::array<uint8_t, 4> kJournalMagic = {'V', 'J', 'R', '1'};

inline constexpr uint64_t kMinJournal = 65536;
inline constexpr uint64_t kMaxJournal = uint64_t{1} << 30;

struct JournalRecordRaw {
  std::array<uint8_t, 4> magic;
  le32 length;
  le64 generation;
  le64 sequence;
  le32 changes;
  le32 reserved;
  TagBytes chain;     // as in the superblock
  TagBytes previous;  // the tag of the record before
  TagBytes tag;       // of the whole record with this field zero
};
static_assert(sizeof(JournalRecordRaw) == 80 && offsetof(JournalRecordRaw, chain) == 32);

struct JournalChangeRaw {
  le64 offset;
  le64 length;
  le32 type;
  le32 reserved;
};
static_assert(sizeof(JournalChangeRaw) == 24);
inline constexpr uint32_t kChangeWrite = 1;
inline constexpr uint32_t kChangeZero = 2;
inline constexpr uint32_t kChangeDiscard = 3;

// ---- section 13 ------------------------------------------------------------------------------------

using SaltBytes = std::array<uint8_t, 32>;

inline constexpr std::array<uint8_t, 8> kKeyAreaMagic = {0x89, 'V', 'K', 'A', '\r', '\n', 0x1a, '\n'};
inline constexpr uint32_t kKeyAreaVersion = 1;
inline constexpr uint32_t kSuiteAes256Gcm = 1;
inline constexpr size_t kKeySlots = 16;

inline constexpr uint32_t kSlotScrypt = 1;
inline constexpr uint32_t kSlotPbkdf2 = 2;
inline constexpr uint32_t kSlotRaw = 3;
/// Of one master key, and of the next one while everything is encrypted anew.
inline constexpr size_t kMasterKeys = 2;

/// Each by itself, so that the older one can be taken away without the secret.
struct WrappedKeyRaw {
  le32 epoch;  // 0: there is none
  std::array<uint8_t, 12> nonce;
  std::array<uint8_t, 32> key;  // encrypted
  TagBytes tag;
};
static_assert(sizeof(WrappedKeyRaw) == 64);

struct KeySlotRaw {
  le32 type;  // 0: the slot is empty, and all of it zero
  le32 log2_n;
  le32 r;
  le32 p;
  le64 iterations;
  le64 reserved;
  SaltBytes salt;
  SaltBytes commitment;
  std::array<WrappedKeyRaw, kMasterKeys> wrapped;  // epochs ascend
  std::array<uint8_t, 2848> reserved2;
};
static_assert(sizeof(KeySlotRaw) == 3072 && offsetof(KeySlotRaw, salt) == 32 && offsetof(KeySlotRaw, wrapped) == 96);

struct KeyAreaRaw {
  std::array<uint8_t, 8> magic;
  le32 version;
  le32 suite;
  le64 sequence;
  le64 reserved;
  std::array<uint8_t, 32> mac;  // of the header and of this with `mac` and `tag` zero
  std::array<uint8_t, 4016> reserved2;
  TagBytes tag;  // of all of this with `tag` zero
  std::array<KeySlotRaw, kKeySlots> slots;
  std::array<uint8_t, 4096> reserved3;
};
static_assert(sizeof(KeyAreaRaw) == kRegions[1] - kKeyAreaInRegion && offsetof(KeyAreaRaw, slots) == kBlock);

inline constexpr std::array<uint8_t, 4> kSessionsMagic = {'V', 'S', 'E', 'S'};
inline constexpr uint64_t kMaxSessionTable = uint64_t{16} << 20;

struct SessionTableRaw {
  std::array<uint8_t, 4> magic;
  le32 sessions;
  le32 rewrites;
  le32 reserved;
};
static_assert(sizeof(SessionTableRaw) == 16);

struct SessionRaw {
  le64 first;
  le32 epoch;
  le32 reserved;
  SaltBytes salt;
};
static_assert(sizeof(SessionRaw) == 48);

struct RewriteRaw {
  le64 begin;
  le64 end;
  le64 generation;
};
static_assert(sizeof(RewriteRaw) == 24);

}  // namespace varve::native

#endif
