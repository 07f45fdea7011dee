// Images of the native format built byte by byte from docs/formats/varve.md, without the product's code.
#ifndef VARVE_TESTS_NATIVE_BUILDER_H
#define VARVE_TESTS_NATIVE_BUILDER_H

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "io/memory_storage.h"
#include "native/pointer.h"
#include "support/test.h"
#include "varve/image.h"

namespace varve::test {

using Bytes = std::vector<std::byte>;

inline constexpr uint64_t kKiB = 1024;
inline constexpr uint64_t kMiB = 1024 * kKiB;
inline constexpr uint64_t kBlock = 4096;
inline constexpr uint64_t kExtents = 131072;  ///< where the first may lie
inline constexpr uint64_t kNode = 16384;

// Little-endian.
void put(Bytes& bytes, uint64_t offset, uint64_t value, unsigned size);
uint64_t get(ConstBytes bytes, uint64_t offset, unsigned size);
void put_bytes(Bytes& bytes, uint64_t offset, ConstBytes what);
Bytes hex(const std::string& text);
std::string to_hex(ConstBytes bytes);
Bytes operator+(Bytes first, const Bytes& second);

/// XXH3-128 in its canonical form.
Bytes xxh3(ConstBytes bytes);
native::TagBytes tag_bytes(ConstBytes bytes);
/// A header or superblock ends in the tag of all before it.
void seal(Bytes& block);

struct HeaderSpec {
  uint32_t version = 1;
  uint64_t sequence = 1;
  uint64_t incompatible = 0, read_only = 0, compatible = 0;
  uint32_t cluster = 4096, unit = 4096, node = 16384;
  uint16_t codec = 0;
  int16_t level = 0;
  uint64_t journal = 0;
  bool torn = false;  ///< the tag is wrong
};
Bytes header_bytes(const HeaderSpec& spec = {});

struct PointerSpec {
  uint64_t address = 0;  ///< bytes
  uint64_t length = 0;   ///< bytes
  uint64_t birth = 1;
  unsigned kind = 2, level = 0, codec = 0, skip = 0;
  Bytes tag = Bytes(16);
  uint64_t unit = 4096;
};
Bytes pointer_bytes(const PointerSpec& spec);
inline const Bytes kAbsent = Bytes(32);

Bytes object_bytes(uint64_t size, unsigned height, const Bytes& root, uint32_t parent = 0);

struct SuperblockSpec {
  uint64_t generation = 1;
  uint32_t flags = 0;
  Bytes head = object_bytes(0, 0, kAbsent);
  Bytes catalog = object_bytes(0, 0, kAbsent);
  uint64_t journal = 0, journal_length = 0;
  Bytes chain = Bytes(16, std::byte{0xc4});
  uint64_t end = kExtents;
  uint64_t head_parent = 0, last_id = 0;
  Bytes uuid = Bytes(16, std::byte{0x1d});  ///< header_bytes() has the same
  bool torn = false;
};
Bytes superblock_bytes(const SuperblockSpec& spec);

/// Two headers, and a superblock in its slot.
std::shared_ptr<MemoryStorage> file_of(const HeaderSpec& header, const SuperblockSpec& superblock);
void put_superblock(Storage& file, const SuperblockSpec& superblock);

struct ChangeSpec {
  uint64_t offset = 0;
  uint64_t length = 0;
  uint32_t type = 1;
  Bytes data;
};
struct RecordSpec {
  uint64_t generation = 1;
  uint64_t sequence = 1;
  Bytes chain = Bytes(16, std::byte{0xc4});
  Bytes previous = Bytes(16);
  std::vector<ChangeSpec> changes;
};
Bytes record_bytes(const RecordSpec& spec);
/// The tag anew, after a change.
void seal_record(Bytes& record);
inline Bytes tag_of_record(const Bytes& record) { return {record.begin() + 64, record.begin() + 80}; }

struct CatalogRecordSpec {
  uint32_t type = 1;
  uint16_t flags = 3;
  std::vector<Bytes> objects;
  Bytes payload;
};
Bytes catalog_bytes(const std::vector<CatalogRecordSpec>& records);

struct SnapshotSpec {
  uint64_t id = 1, parent = 0, generation = 1, time = 0;
  uint32_t flags = 0;
  std::string name = "one";
  Bytes object = object_bytes(0, 0, kAbsent);
};
CatalogRecordSpec snapshot_record(const SnapshotSpec& spec);
struct AttachmentSpec {
  uint64_t id = 1, snapshot = 0, time = 0;
  std::string name = "note";
  Bytes object = object_bytes(10, 0, kAbsent);
};
CatalogRecordSpec attachment_record(const AttachmentSpec& spec);
CatalogRecordSpec parent_record(uint32_t id, const std::string& format, const std::string& path, const std::string& identity);

}  // namespace varve::test

#endif
