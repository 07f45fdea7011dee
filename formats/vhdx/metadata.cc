#include "vhdx/metadata.h"

#include <algorithm>
#include <array>
#include <map>
#include <string>

#include "base/checked_math.h"
#include "base/interval_set.h"
#include "varve/error.h"

namespace varve::vhdx {
namespace {

constexpr uint64_t kMaxItemLength = kMiB;

struct KnownItem {
  Uuid id;
  const char* name;
  uint32_t flags;   // as writers store them
  uint32_t length;  // 0: any
};

constexpr std::array<KnownItem, 6> kKnownItems{{
    {kFileParametersItem, "the file parameters", kItemIsRequired, sizeof(FileParametersRaw)},
    {kDiskSizeItem, "the size of the disk", kItemIsRequired | kItemIsVirtualDisk, 8},
    {kDiskIdItem, "the disk's identifier", kItemIsRequired | kItemIsVirtualDisk, 16},
    {kLogicalSectorItem, "the logical sector size", kItemIsRequired | kItemIsVirtualDisk, 4},
    {kPhysicalSectorItem, "the physical sector size", kItemIsRequired | kItemIsVirtualDisk, 4},
    {kParentLocatorItem, "the parent locator", kItemIsRequired, 0},
}};

const KnownItem* known(const Uuid& id) {
  const auto found = std::find_if(kKnownItems.begin(), kKnownItems.end(), [&](const KnownItem& item) { return item.id == id; });
  return found == kKnownItems.end() ? nullptr : found;
}

[[noreturn]] void bad(std::string what) { throw Error(Errc::corrupt, std::move(what)).during("reading the metadata"); }

/// The items of the table that are known, each with its bytes.
class Items {
 public:
  Items(Storage& file, const Region& region) : file_(file), region_(region) {
    std::vector<std::byte> table(kMetadataTableSize);
    file.read_at(region.offset, table);
    const auto head = load<MetadataTableHeaderRaw>(table);
    if (head.signature != kMetadataSignature) bad("the metadata table has no signature");
    if (head.entry_count > kMaxTableEntries) bad("the metadata table has more than 2047 entries");
    for (size_t i = 0; i < head.entry_count; ++i) add(load<MetadataEntryRaw>(table, sizeof(head) + i * sizeof(MetadataEntryRaw)));
  }

  bool has(const Uuid& id) const { return entries_.contains(id.bytes); }
  uint64_t file_offset(const Uuid& id) const { return region_.offset + entries_.at(id.bytes).offset; }

  std::vector<std::byte> bytes(const Uuid& id) const {
    const auto found = entries_.find(id.bytes);
    if (found == entries_.end()) bad(std::string("the metadata lacks ") + known(id)->name);
    std::vector<std::byte> item(found->second.length);
    file_.read_at(region_.offset + found->second.offset, item);
    return item;
  }
  template <typename T>
  T value(const Uuid& id) const {
    return load<T>(bytes(id));
  }

 private:
  void add(const MetadataEntryRaw& entry) {
    const Uuid id = to_uuid(entry.item_id);
    const KnownItem* item = known(id);
    const std::string name = item != nullptr ? item->name : "item " + format_uuid(id);
    if (item == nullptr && (entry.flags & kItemIsRequired) != 0)
      throw Error(Errc::unsupported, "the metadata holds " + name + ", which is required and unknown");
    const bool empty = entry.length == 0 && entry.offset == 0;
    const bool placed =
        entry.offset >= kMetadataTableSize && entry.length <= kMaxItemLength && range_fits(entry.offset, entry.length, region_.length);
    if (!empty && !placed) bad(name + " lies outside its region");
    if (taken_.insert(entry.offset, entry.length)) bad(name + " lies on another item");
    if (item == nullptr || (entry.flags & kItemIsUser) != 0) return;
    if (item->length != 0 && entry.length != item->length)
      bad(name + " takes " + std::to_string(entry.length) + " bytes instead of " + std::to_string(item->length));
    if (!entries_.emplace(id.bytes, entry).second) bad(name + " stands twice in the metadata");
  }

  Storage& file_;
  const Region& region_;
  std::map<std::array<uint8_t, 16>, MetadataEntryRaw> entries_;
  IntervalSet taken_;
};

/// Everything that block numbers are derived from [MEM-7].
void check_geometry(const Metadata& m, const Limits& limits) {
  if (!is_power_of_two(m.block_size) || m.block_size < kMinBlockSize || m.block_size > kMaxBlockSize)
    bad("a block of " + std::to_string(m.block_size) + " bytes, allowed are powers of two from 1 MiB to 256 MiB");
  for (const uint64_t sector : {m.logical_sector, m.physical_sector})
    if (sector != 512 && sector != 4096) bad("a sector of " + std::to_string(sector) + " bytes, allowed are 512 and 4096");
  if (m.disk_size == 0 || m.disk_size % m.logical_sector != 0)
    bad("a disk of " + std::to_string(m.disk_size) + " bytes, which are not whole sectors");
  if (m.disk_size > kMaxDiskSize) bad("a disk of " + std::to_string(m.disk_size) + " bytes, allowed are 64 TiB");
  if (m.disk_size > limits.virtual_size)
    throw Error(Errc::limit, "a disk of " + std::to_string(m.disk_size) + " bytes, allowed are " + std::to_string(limits.virtual_size));
}

}  // namespace

Metadata read_metadata(Storage& file, const Region& region, const Limits& limits, uint64_t* size_offset) {
  const Items items(file, region);
  const auto parameters = items.value<FileParametersRaw>(kFileParametersItem);
  Metadata metadata;
  metadata.block_size = parameters.block_size;
  metadata.fixed = (parameters.flags & kLeaveBlocksAllocated) != 0;
  metadata.disk_size = items.value<le64>(kDiskSizeItem);
  metadata.logical_sector = items.value<le32>(kLogicalSectorItem);
  metadata.physical_sector = items.value<le32>(kPhysicalSectorItem);
  metadata.disk_id = to_uuid(items.value<GuidRaw>(kDiskIdItem));
  check_geometry(metadata, limits);
  const bool has_parent = (parameters.flags & kHasParent) != 0;
  if (has_parent != items.has(kParentLocatorItem))
    bad(has_parent ? "the disk has a parent, but no parent locator" : "the disk has a parent locator, but says that it has no parent");
  if (has_parent && metadata.fixed) bad("a fixed disk with a parent");
  if (has_parent) metadata.parent = parse_locator(items.bytes(kParentLocatorItem));
  if (size_offset != nullptr) *size_offset = items.file_offset(kDiskSizeItem);
  return metadata;
}

std::vector<std::byte> encode(const Metadata& metadata) {
  std::vector<std::byte> region(kMetadataRegionSize);
  size_t entries = 0;
  uint64_t next = kMetadataTableSize;
  const auto put = [&](uint64_t at, ConstBytes bytes) {
    std::copy(bytes.begin(), bytes.end(), region.begin() + static_cast<ptrdiff_t>(at));
  };
  const auto add = [&](const Uuid& id, ConstBytes item) {
    if (!range_fits(next, item.size(), region.size())) throw Error(Errc::limit, "the parent's name is too long for the metadata");
    MetadataEntryRaw entry{};
    entry.item_id = to_raw(id);
    entry.offset = checked_narrow<uint32_t>(next);
    entry.length = checked_narrow<uint32_t>(item.size());
    entry.flags = known(id)->flags;
    put(sizeof(MetadataTableHeaderRaw) + entries++ * sizeof(entry), bytes_of(entry));
    put(next, item);
    next += item.size();
  };
  FileParametersRaw parameters{};
  parameters.block_size = checked_narrow<uint32_t>(metadata.block_size);
  parameters.flags = (metadata.fixed ? kLeaveBlocksAllocated : 0) | (metadata.parent ? kHasParent : 0);
  add(kFileParametersItem, bytes_of(parameters));
  add(kDiskSizeItem, bytes_of(le64(metadata.disk_size)));
  add(kDiskIdItem, bytes_of(to_raw(metadata.disk_id)));
  add(kLogicalSectorItem, bytes_of(le32(static_cast<uint32_t>(metadata.logical_sector))));
  add(kPhysicalSectorItem, bytes_of(le32(static_cast<uint32_t>(metadata.physical_sector))));
  if (metadata.parent) add(kParentLocatorItem, encode(*metadata.parent));
  MetadataTableHeaderRaw head{};
  head.signature = kMetadataSignature;
  head.entry_count = static_cast<uint16_t>(entries);
  put(0, bytes_of(head));
  return region;
}

}  // namespace varve::vhdx
