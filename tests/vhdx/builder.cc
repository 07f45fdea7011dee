#include "vhdx/builder.h"

#include <algorithm>
#include <cstdio>

#include "checksum/crc32c.h"

namespace varve::test {

// ---- bytes -------------------------------------------------------------------------------------------

void put(Bytes& bytes, uint64_t offset, uint64_t value, unsigned size) {
  for (unsigned i = 0; i < size; ++i) bytes.at(offset + i) = static_cast<std::byte>(i < 8 ? value >> (8 * i) : 0);
}

uint64_t get(ConstBytes bytes, uint64_t offset, unsigned size) {
  uint64_t value = 0;
  for (unsigned i = 0; i < size; ++i) value |= std::to_integer<uint64_t>(bytes[offset + i]) << (8 * i);
  return value;
}

void put_text(Bytes& bytes, uint64_t offset, const std::string& text) {
  for (size_t i = 0; i < text.size(); ++i) bytes.at(offset + i) = static_cast<std::byte>(text[i]);
}

namespace {

/// Where in a GUID the bytes lie which its text shows one after the other.
constexpr std::array<unsigned, 16> kGuidOrder = {3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15};

void put_bytes(Bytes& bytes, uint64_t offset, ConstBytes data) {
  REQUIRE(offset + data.size() <= bytes.size());
  std::copy(data.begin(), data.end(), bytes.begin() + static_cast<ptrdiff_t>(offset));
}

}  // namespace

void put_guid(Bytes& bytes, uint64_t offset, const std::string& text) {
  std::string digits;
  std::copy_if(text.begin(), text.end(), std::back_inserter(digits), [](char c) { return c != '-'; });
  REQUIRE(digits.size() == 32);
  for (unsigned i = 0; i < 16; ++i)
    bytes.at(offset + kGuidOrder[i]) = static_cast<std::byte>(std::stoul(digits.substr(2 * i, 2), nullptr, 16));
}

std::string get_guid(ConstBytes bytes, uint64_t offset) {
  std::string text;
  for (unsigned i = 0; i < 16; ++i) {
    std::array<char, 3> two{};
    std::snprintf(two.data(), two.size(), "%02x", std::to_integer<unsigned>(bytes[offset + kGuidOrder[i]]));
    if (i == 4 || i == 6 || i == 8 || i == 10) text += '-';
    text += two.data();
  }
  return text;
}

Bytes utf16(const std::string& text) {
  Bytes bytes(2 * text.size());
  for (size_t i = 0; i < text.size(); ++i) bytes[2 * i] = static_cast<std::byte>(text[i]);
  return bytes;
}

void seal(Bytes& bytes, uint64_t offset, uint64_t length) {
  put(bytes, offset + 4, 0, 4);
  put(bytes, offset + 4, crc32c(ConstBytes(bytes).subspan(offset, length)), 4);
}

Bytes number(uint64_t value, unsigned size) {
  Bytes bytes(size);
  put(bytes, 0, value, size);
  return bytes;
}

Bytes guid_bytes(const std::string& text) {
  Bytes bytes(16);
  put_guid(bytes, 0, text);
  return bytes;
}

Bytes filled(uint64_t length, unsigned value) { return Bytes(length, static_cast<std::byte>(value)); }

// ---- structures --------------------------------------------------------------------------------------

Bytes header_bytes(const HeaderSpec& spec) {
  Bytes bytes(4096);
  put_text(bytes, 0, "head");
  put(bytes, 8, spec.sequence, 8);
  put_guid(bytes, 16, spec.file_guid);
  put_guid(bytes, 32, spec.data_guid);
  put_guid(bytes, 48, spec.log_guid);
  put(bytes, 64, spec.log_version, 2);
  put(bytes, 66, spec.version, 2);
  put(bytes, 68, spec.log_length, 4);
  put(bytes, 72, spec.log_offset, 8);
  seal(bytes, 0, bytes.size());
  if (spec.torn) bytes[4000] ^= std::byte{1};
  return bytes;
}

Bytes region_table(const std::vector<RegionSpec>& regions, std::optional<uint32_t> count) {
  Bytes bytes(64 * kKiB);
  put_text(bytes, 0, "regi");
  put(bytes, 8, count.value_or(static_cast<uint32_t>(regions.size())), 4);
  for (size_t i = 0; i < regions.size(); ++i) {
    const uint64_t at = 16 + 32 * i;
    put_guid(bytes, at, regions[i].guid);
    put(bytes, at + 16, regions[i].offset, 8);
    put(bytes, at + 24, regions[i].length, 4);
    put(bytes, at + 28, regions[i].required, 4);
  }
  seal(bytes, 0, bytes.size());
  return bytes;
}

Bytes locator_bytes(const Pairs& pairs) {
  Bytes bytes(20 + 12 * pairs.size());
  put_guid(bytes, 0, kLocatorType);
  put(bytes, 18, pairs.size(), 2);
  for (size_t i = 0; i < pairs.size(); ++i) {
    const Bytes key = utf16(pairs[i].first);
    const Bytes value = utf16(pairs[i].second);
    const uint64_t at = 20 + 12 * i;
    put(bytes, at, bytes.size(), 4);
    put(bytes, at + 8, key.size(), 2);
    bytes.insert(bytes.end(), key.begin(), key.end());
    put(bytes, at + 4, bytes.size(), 4);
    put(bytes, at + 10, value.size(), 2);
    bytes.insert(bytes.end(), value.begin(), value.end());
  }
  return bytes;
}

Bytes log_entry(const LogEntrySpec& spec) {
  const uint64_t heads = (64 + 32 * spec.changes.size() + 4095) / 4096 * 4096;
  Bytes bytes(heads);
  put_text(bytes, 0, "loge");
  put(bytes, 12, spec.tail, 4);
  put(bytes, 16, spec.sequence, 8);
  put(bytes, 24, spec.changes.size(), 4);
  put_guid(bytes, 32, spec.guid);
  put(bytes, 48, spec.flushed_size, 8);
  put(bytes, 56, spec.last_size, 8);
  for (size_t i = 0; i < spec.changes.size(); ++i) {
    const LogChange& change = spec.changes[i];
    const uint64_t at = 64 + 32 * i;
    put(bytes, at + 16, change.offset, 8);
    put(bytes, at + 24, spec.sequence, 8);
    if (change.sector.empty()) {
      put_text(bytes, at, "zero");
      put(bytes, at + 8, change.zeros, 8);
      continue;
    }
    put_text(bytes, at, "desc");
    put(bytes, at + 4, get(change.sector, 4092, 4), 4);
    put(bytes, at + 8, get(change.sector, 0, 8), 8);
    Bytes sector(4096);
    put_text(sector, 0, "data");
    put(sector, 4, spec.sequence >> 32, 4);
    put_bytes(sector, 8, ConstBytes(change.sector).subspan(8, 4084));
    put(sector, 4092, spec.sequence, 4);
    bytes.insert(bytes.end(), sector.begin(), sector.end());
  }
  put(bytes, 8, bytes.size(), 4);
  seal(bytes, 0, bytes.size());
  return bytes;
}

// ---- whole images ------------------------------------------------------------------------------------

VhdxSpec::VhdxSpec(uint64_t size, uint64_t block, uint64_t sector_size) : disk_size(size), block_size(block), sector(sector_size) {
  headers[1].sequence = 2;
  regions = {{kBat, kBatAt}, {kMetadata, kMetadataAt}};
  items = {{kFileParameters, 4, number(block, 8)},
           {kDiskSize, 6, number(size, 8)},
           {kDiskId, 6, guid_bytes("d15c0000-0000-4000-8000-000000000003")},
           {kLogicalSector, 6, number(sector_size, 4)},
           {kPhysicalSector, 6, number(4096, 4)}};
}

ItemSpec& VhdxSpec::item(const std::string& id) {
  const auto found = std::find_if(items.begin(), items.end(), [&](const ItemSpec& one) { return one.id == id; });
  REQUIRE(found != items.end());
  return *found;
}

void VhdxSpec::drop_item(const std::string& id) {
  std::erase_if(items, [&](const ItemSpec& one) { return one.id == id; });
}

void VhdxSpec::set_parent(const Pairs& locator) {
  set_parameters(static_cast<uint32_t>(block_size), 2);
  drop_item(kParentLocator);
  items.push_back({kParentLocator, 4, locator_bytes(locator)});
}

void VhdxSpec::set_log(const std::map<uint64_t, Bytes>& entries) {
  for (HeaderSpec& header : headers) header.log_guid = kLogGuid;
  log = entries;
}

namespace {

Bytes metadata_region(const VhdxSpec& spec) {
  Bytes bytes(kMiB);
  put_text(bytes, 0, "metadata");
  put(bytes, 10, spec.items.size(), 2);
  uint64_t next = 64 * kKiB;
  for (size_t i = 0; i < spec.items.size() && i < 2047; ++i) {
    const ItemSpec& item = spec.items[i];
    const uint64_t at = 32 + 32 * i;
    const uint64_t offset = item.offset.value_or(item.value.empty() ? 0 : static_cast<uint32_t>(next));
    put_guid(bytes, at, item.id);
    put(bytes, at + 16, offset, 4);
    put(bytes, at + 20, item.length.value_or(static_cast<uint32_t>(item.value.size())), 4);
    put(bytes, at + 24, item.flags, 4);
    if (offset >= 64 * kKiB && offset + item.value.size() <= bytes.size()) put_bytes(bytes, offset, item.value);
    if (!item.offset) next += item.value.size();
  }
  return bytes;
}

void write_log(Storage& file, const VhdxSpec& spec) {
  const uint64_t start = spec.headers[1].log_offset;
  const uint64_t length = spec.headers[1].log_length;
  for (const auto& [position, entry] : spec.log) {
    const uint64_t first = std::min<uint64_t>(entry.size(), length - position);
    file.write_at(start + position, ConstBytes(entry).first(first));
    if (first < entry.size()) file.write_at(start, ConstBytes(entry).subspan(first));
  }
}

}  // namespace

std::shared_ptr<MemoryStorage> VhdxSpec::build(const std::string& name) const {
  auto file = std::make_shared<MemoryStorage>(name);
  file->resize(file_size);
  Bytes identifier(520);
  put_text(identifier, 0, "vhdxfile");
  put_bytes(identifier, 8, utf16(creator));
  file->write_at(0, identifier);
  for (unsigned i = 0; i < 2; ++i) {
    file->write_at(64 * kKiB * (1 + i), header_bytes(headers[i]));
    Bytes table = region_table(i == 1 && second_regions ? *second_regions : regions);
    if (torn_regions[i]) table[60000] ^= std::byte{1};
    file->write_at(64 * kKiB * (3 + i), table);
  }
  write_log(*file, *this);
  file->write_at(kMetadataAt, metadata_region(*this));
  for (const auto& [index, entry] : bat) file->write_at(kBatAt + 8 * index, number(entry, 8));
  for (const auto& [offset, bytes] : data) file->write_at(offset, bytes);
  return file;
}

Image World::open(Access access, const std::string& path) {
  OpenOptions how = options;
  how.access = access;
  how.format = "vhdx";
  how.file_system = &files;
  return Image::open(path, how);
}

std::string opening_fails(const VhdxSpec& spec, Errc code) {
  std::string message;
  for (const Access access : {Access::read_only, Access::read_write}) {
    World world(spec);
    const bool small = world.files.find(World::kPath)->size() < kGiB;
    const Bytes before = small ? world.bytes() : Bytes();
    const auto open = [&] {
      try {
        world.open(access);
      } catch (const Error& error) {
        message = error.what();
        throw;
      }
    };
    CHECK_ERRC(open(), code);
    if (small) CHECK_MESSAGE(world.bytes() == before, "a file that could not be opened was changed");
  }
  return message;
}

Bytes read_some(Image& image, uint64_t offset, uint64_t length) {
  Bytes out(length);
  image.read_at(offset, out);
  return out;
}

Bytes read_all(Image& image) { return read_some(image, 0, image.size()); }

}  // namespace varve::test
