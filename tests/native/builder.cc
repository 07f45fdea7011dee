#include "native/builder.h"

#include <xxhash.h>

#include <cstring>

namespace varve::test {

void put(Bytes& bytes, uint64_t offset, uint64_t value, unsigned size) {
  if (bytes.size() < offset + size) bytes.resize(offset + size);
  for (unsigned i = 0; i < size; ++i) bytes[offset + i] = static_cast<std::byte>(value >> (8 * i));
}

uint64_t get(ConstBytes bytes, uint64_t offset, unsigned size) {
  uint64_t value = 0;
  for (unsigned i = 0; i < size; ++i) value |= static_cast<uint64_t>(bytes[offset + i]) << (8 * i);
  return value;
}

void put_bytes(Bytes& bytes, uint64_t offset, ConstBytes what) {
  if (bytes.size() < offset + what.size()) bytes.resize(offset + what.size());
  std::copy(what.begin(), what.end(), bytes.begin() + static_cast<ptrdiff_t>(offset));
}

Bytes hex(const std::string& text) {
  Bytes out;
  std::string digits;
  for (const char c : text)
    if (c != ' ') digits += c;
  for (size_t i = 0; i < digits.size(); i += 2) out.push_back(static_cast<std::byte>(std::stoul(digits.substr(i, 2), nullptr, 16)));
  return out;
}

std::string to_hex(ConstBytes bytes) {
  std::string out;
  for (const std::byte b : bytes) {
    constexpr char kDigits[] = "0123456789abcdef";
    out += kDigits[static_cast<unsigned>(b) >> 4];
    out += kDigits[static_cast<unsigned>(b) & 15];
  }
  return out;
}

Bytes operator+(Bytes first, const Bytes& second) {
  first.insert(first.end(), second.begin(), second.end());
  return first;
}

Bytes xxh3(ConstBytes bytes) {
  const XXH128_hash_t hash = XXH3_128bits(bytes.data(), bytes.size());
  Bytes out(16);
  for (unsigned i = 0; i < 8; ++i) {
    out[7 - i] = static_cast<std::byte>(hash.high64 >> (8 * i));
    out[15 - i] = static_cast<std::byte>(hash.low64 >> (8 * i));
  }
  return out;
}

native::TagBytes tag_bytes(ConstBytes bytes) {
  native::TagBytes tag;
  std::memcpy(tag.data(), xxh3(bytes).data(), tag.size());
  return tag;
}

void seal(Bytes& block) { put_bytes(block, 4080, xxh3(ConstBytes(block).first(4080))); }

Bytes header_bytes(const HeaderSpec& spec) {
  Bytes b = hex("8956 5256 0d0a 1a0a");
  b.resize(4096);
  put(b, 8, spec.version, 4);
  put(b, 16, spec.sequence, 8);
  put(b, 24, spec.incompatible, 8);
  put(b, 32, spec.read_only, 8);
  put(b, 40, spec.compatible, 8);
  put_bytes(b, 48, Bytes(16, std::byte{0x1d}));
  put_bytes(b, 64, Bytes(16, std::byte{0x2e}));
  put(b, 80, spec.cluster, 4);
  put(b, 84, spec.unit, 4);
  put(b, 88, spec.node, 4);
  put(b, 92, spec.codec, 2);
  put(b, 94, static_cast<uint16_t>(spec.level), 2);
  put(b, 96, spec.journal, 8);
  seal(b);
  if (spec.torn) b[100] ^= std::byte{1};
  return b;
}

Bytes pointer_bytes(const PointerSpec& spec) {
  Bytes b(32);
  put(b, 0, spec.address / spec.unit, 6);
  put(b, 6, spec.length / spec.unit, 2);
  put(b, 8, spec.birth, 6);
  put(b, 14, spec.kind | spec.level << 3 | spec.codec << 7 | spec.skip << 11, 2);
  put_bytes(b, 16, spec.tag);
  return b;
}

Bytes object_bytes(uint64_t size, unsigned height, const Bytes& root, uint32_t parent) {
  Bytes b(32);
  put(b, 0, size, 8);
  put(b, 8, parent, 4);
  put(b, 12, height, 1);
  return b + root;
}

Bytes superblock_bytes(const SuperblockSpec& spec) {
  Bytes b = hex("8956 5342 0d0a 1a0a");
  b.resize(4096);
  put_bytes(b, 8, spec.uuid);
  put(b, 24, spec.generation, 8);
  put(b, 44, spec.flags, 4);
  put_bytes(b, 80, spec.head);
  put_bytes(b, 144, spec.catalog);
  put(b, 240, spec.journal, 8);
  put(b, 248, spec.journal_length, 8);
  put_bytes(b, 256, spec.chain);
  put(b, 272, spec.end, 8);
  put(b, 280, spec.head_parent, 8);
  put(b, 288, spec.last_id, 8);
  seal(b);
  if (spec.torn) b[24] ^= std::byte{2};
  return b;
}

void put_superblock(Storage& file, const SuperblockSpec& superblock) {
  file.write_at(superblock.generation % 2 == 0 ? 4096 : 69632, superblock_bytes(superblock));
  if (file.size() < superblock.end) file.resize(superblock.end);
}

std::shared_ptr<MemoryStorage> file_of(const HeaderSpec& header, const SuperblockSpec& superblock) {
  auto file = std::make_shared<MemoryStorage>("image");
  file->resize(kExtents);
  for (const uint64_t region : {0, 65536}) file->write_at(region, header_bytes(header));
  put_superblock(*file, superblock);
  return file;
}

void seal_record(Bytes& record) {
  put_bytes(record, 64, Bytes(16));
  put_bytes(record, 64, xxh3(record));
}

Bytes record_bytes(const RecordSpec& spec) {
  Bytes b(80);
  put_bytes(b, 0, hex("56 4a 52 31"));
  put(b, 8, spec.generation, 8);
  put(b, 16, spec.sequence, 8);
  put(b, 24, spec.changes.size(), 4);
  put_bytes(b, 32, spec.chain);
  put_bytes(b, 48, spec.previous);
  for (const ChangeSpec& change : spec.changes) {
    Bytes c(24);
    put(c, 0, change.offset, 8);
    put(c, 8, change.length, 8);
    put(c, 16, change.type, 4);
    b = b + c;
  }
  for (const ChangeSpec& change : spec.changes) b = b + change.data;
  b.resize((b.size() + 4095) / 4096 * 4096);
  put(b, 4, b.size(), 4);
  seal_record(b);
  return b;
}

Bytes catalog_bytes(const std::vector<CatalogRecordSpec>& records) {
  Bytes b = hex("56 43 41 54");
  put(b, 4, records.size(), 4);
  b.resize(16);
  for (const CatalogRecordSpec& record : records) {
    Bytes r(16);
    put(r, 0, record.type, 4);
    put(r, 4, record.flags, 2);
    put(r, 6, record.objects.size(), 2);
    put(r, 8, record.payload.size(), 4);
    for (const Bytes& object : record.objects) r = r + object;
    r = r + record.payload;
    r.resize((r.size() + 7) / 8 * 8);
    b = b + r;
  }
  return b;
}

CatalogRecordSpec snapshot_record(const SnapshotSpec& spec) {
  Bytes p(56, std::byte{0});
  put_bytes(p, 0, Bytes(16, std::byte{0x5a}));
  put(p, 16, spec.id, 8);
  put(p, 24, spec.parent, 8);
  put(p, 32, spec.generation, 8);
  put(p, 40, spec.time, 8);
  put(p, 48, spec.flags, 4);
  put(p, 52, spec.name.size(), 4);
  for (const char c : spec.name) p.push_back(static_cast<std::byte>(c));
  return {1, 3, {spec.object}, p};
}

CatalogRecordSpec attachment_record(const AttachmentSpec& spec) {
  Bytes p(32);
  put(p, 0, spec.id, 8);
  put(p, 8, spec.snapshot, 8);
  put(p, 16, spec.time, 8);
  put(p, 24, spec.name.size(), 4);
  for (const char c : spec.name) p.push_back(static_cast<std::byte>(c));
  return {3, 0, {spec.object}, p};
}

CatalogRecordSpec parent_record(uint32_t id, const std::string& format, const std::string& path, const std::string& identity) {
  Bytes p(16);
  put(p, 0, id, 4);
  unsigned at = 4;
  for (const std::string* text : {&format, &path, &identity}) {
    put(p, at, text->size(), 4);
    at += 4;
  }
  for (const std::string* text : {&format, &path, &identity})
    for (const char c : *text) p.push_back(static_cast<std::byte>(c));
  return {2, 3, {}, p};
}

}  // namespace varve::test
