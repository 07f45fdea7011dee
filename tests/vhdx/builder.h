// VHDX files built byte by byte from [MS-VHDX], without the product's code but for its CRC: what it has to read, and what it has to refuse.
#ifndef VARVE_TESTS_VHDX_BUILDER_H
#define VARVE_TESTS_VHDX_BUILDER_H

#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "io/memory_file_system.h"
#include "io/memory_storage.h"
#include "support/test.h"
#include "varve/image.h"

namespace varve::test {

using Bytes = std::vector<std::byte>;

inline constexpr uint64_t kKiB = 1024;
inline constexpr uint64_t kMiB = 1024 * kKiB;
inline constexpr uint64_t kGiB = 1024 * kMiB;
inline constexpr uint64_t kTiB = 1024 * kGiB;

// Little-endian.
void put(Bytes& bytes, uint64_t offset, uint64_t value, unsigned size);
uint64_t get(ConstBytes bytes, uint64_t offset, unsigned size);
void put_text(Bytes& bytes, uint64_t offset, const std::string& text);
/// "2dc27766-f623-4200-9d64-115e9bfd4a08" as a GUID: its first three groups little-endian, the rest as it reads.
void put_guid(Bytes& bytes, uint64_t offset, const std::string& text);
std::string get_guid(ConstBytes bytes, uint64_t offset);
/// ASCII as UTF-16LE.
Bytes utf16(const std::string& text);
/// CRC-32C of bytes[offset, offset + length), with the 4 bytes at offset + 4 taken as zero, put there.
void seal(Bytes& bytes, uint64_t offset, uint64_t length);

inline const std::string kNoGuid = "00000000-0000-0000-0000-000000000000";
inline const std::string kFileGuid = "f11e0000-0000-4000-8000-000000000001";
inline const std::string kDataGuid = "da7a0000-0000-4000-8000-000000000002";
inline const std::string kLogGuid = "106c0000-1234-4567-89ab-0123456789ab";
inline const std::string kBat = "2dc27766-f623-4200-9d64-115e9bfd4a08";
inline const std::string kMetadata = "8b7ca206-4790-4b9a-b8fe-575f050f886e";
inline const std::string kUnknown = "deadbeef-0000-4000-8000-00000000beef";

inline const std::string kFileParameters = "caa16737-fa36-4d43-b3b6-33f0aa44e76b";
inline const std::string kDiskSize = "2fa54224-cd1b-4876-b211-5dbed83bf4b8";
inline const std::string kDiskId = "beca12ab-b2e6-4523-93ef-c309e000c746";
inline const std::string kLogicalSector = "8141bf1d-a96f-4709-ba47-f233a8faab5f";
inline const std::string kPhysicalSector = "cda348c7-445d-4471-9cc9-e9885251c556";
inline const std::string kParentLocator = "a8d35f2d-b30b-454d-abf7-d3d84834ab0c";
inline const std::string kLocatorType = "b04aefb7-d19e-4a81-b789-25b8e9445913";

struct HeaderSpec {
  uint64_t sequence = 1;
  std::string file_guid = kFileGuid;
  std::string data_guid = kDataGuid;
  std::string log_guid = kNoGuid;
  uint16_t log_version = 0;
  uint16_t version = 1;
  uint32_t log_length = kMiB;
  uint64_t log_offset = kMiB;
  bool torn = false;
};
Bytes header_bytes(const HeaderSpec& spec);

struct RegionSpec {
  std::string guid;
  uint64_t offset = 0;
  uint32_t length = kMiB;
  uint32_t required = 1;
};
/// `count`: what the header says, if not the truth.
Bytes region_table(const std::vector<RegionSpec>& regions, std::optional<uint32_t> count = std::nullopt);

struct ItemSpec {
  std::string id;
  uint32_t flags = 0;
  Bytes value;
  std::optional<uint32_t> offset = std::nullopt;  ///< else one behind the other from 64 KiB on
  std::optional<uint32_t> length = std::nullopt;  ///< else the value's
};
Bytes number(uint64_t value, unsigned size);
Bytes guid_bytes(const std::string& text);

using Pairs = std::vector<std::pair<std::string, std::string>>;
/// Keys and values as UTF-16, one behind the other.
Bytes locator_bytes(const Pairs& pairs);

/// One change of a log entry: a sector of 4 KiB, or `zeros` bytes of nothing.
struct LogChange {
  uint64_t offset = 0;
  Bytes sector;
  uint64_t zeros = 0;
};
struct LogEntrySpec {
  uint64_t sequence = 1;
  uint32_t tail = 0;
  std::vector<LogChange> changes = {};
  uint64_t flushed_size = 8 * kMiB;
  uint64_t last_size = 8 * kMiB;
  std::string guid = kLogGuid;
};
/// A whole entry, checksum included.
Bytes log_entry(const LogEntrySpec& spec);

/// The log at 1 MiB, metadata at 2 MiB, the table at 3 MiB, blocks behind. Change what is to be changed, then build().
struct VhdxSpec {
  explicit VhdxSpec(uint64_t disk_size = 4 * kMiB, uint64_t block_size = kMiB, uint64_t sector = 512);

  static constexpr uint64_t kLogAt = kMiB;
  static constexpr uint64_t kMetadataAt = 2 * kMiB;
  static constexpr uint64_t kBatAt = 3 * kMiB;
  static constexpr uint64_t kBlocksAt = 4 * kMiB;

  std::string creator = "a test";
  std::array<HeaderSpec, 2> headers;
  std::vector<RegionSpec> regions;
  std::optional<std::vector<RegionSpec>> second_regions;  ///< of the second copy, if it differs
  std::array<bool, 2> torn_regions{};
  std::vector<ItemSpec> items;
  std::map<uint64_t, uint64_t> bat;  ///< raw entries by index
  std::map<uint64_t, Bytes> log;     ///< by position in the ring, wrapped
  std::map<uint64_t, Bytes> data;    ///< by offset in the file
  uint64_t file_size = 8 * kMiB;     ///< at least
  uint64_t disk_size, block_size, sector;

  ItemSpec& item(const std::string& id);
  void drop_item(const std::string& id);
  void set_parameters(uint32_t block, uint32_t flags) { item(kFileParameters).value = number(block | uint64_t{flags} << 32, 8); }
  void set_parent(const Pairs& locator);

  uint64_t ratio() const { return (uint64_t{1} << 23) * sector / block_size; }
  void set_block(uint64_t block, unsigned state, uint64_t offset = 0) { bat[block + block / ratio()] = offset | state; }
  void set_bitmap(uint64_t chunk, unsigned state, uint64_t offset = 0) { bat[chunk * (ratio() + 1) + ratio()] = offset | state; }
  /// The log counts, and holds these.
  void set_log(const std::map<uint64_t, Bytes>& entries);

  std::shared_ptr<MemoryStorage> build(const std::string& name = "dir/disk.vhdx") const;
};

/// A file system with images in it; dir/disk.vhdx is the one that tests look at.
struct World {
  World() = default;
  explicit World(const VhdxSpec& spec) { add(spec); }

  static constexpr const char* kPath = "dir/disk.vhdx";
  void add(const VhdxSpec& spec, const std::string& path = kPath) { files.add(path, spec.build(path)); }
  Image open(Access access = Access::read_only, const std::string& path = kPath);
  Bytes bytes(const std::string& path = kPath) { return files.find(path)->contents(); }

  MemoryFileSystem files;
  OpenOptions options;  ///< what open() starts from
};

/// Opening fails with this code for reading and for writing, and leaves the file as it was. Returns the message.
std::string opening_fails(const VhdxSpec& spec, Errc code);

Bytes read_all(Image& image);
Bytes read_some(Image& image, uint64_t offset, uint64_t length);
Bytes filled(uint64_t length, unsigned value);

}  // namespace varve::test

#endif
