// What a disk lies over: the parent locator, and the flag that says that there is one [MS-VHDX 2.6.2]. They change with one entry of the
// log.
#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "base/checked_math.h"
#include "io/zero_range.h"
#include "varve/error.h"
#include "vhdx/sector_bitmap.h"
#include "vhdx/vhdx_image.h"

namespace varve::vhdx {
namespace {

/// The metadata table and what changes in its region.
class MetadataEdit {
 public:
  MetadataEdit(Storage& file, const Region& region) : file_(file), region_(region), table_(kMetadataTableSize) {
    file.read_at(region.offset, table_);
    const auto head = load<MetadataTableHeaderRaw>(table_);
    for (size_t i = 0; i < head.entry_count; ++i)
      entries_.push_back(load<MetadataEntryRaw>(table_, sizeof(head) + i * sizeof(MetadataEntryRaw)));
  }

  struct Change {
    uint64_t offset = 0;  ///< in the file
    std::vector<std::byte> bytes;
  };
  /// What is to be written so that there is this locator, or none.
  std::vector<Change> put_locator(const std::optional<ParentLocator>& locator);

 private:
  MetadataEntryRaw* find(const Uuid& id);
  uint64_t place_for(uint64_t length, const MetadataEntryRaw* old) const;
  Change table() const;
  Change parameters(bool has_parent);

  Storage& file_;
  const Region region_;
  std::vector<std::byte> table_;
  std::vector<MetadataEntryRaw> entries_;
};

MetadataEntryRaw* MetadataEdit::find(const Uuid& id) {
  for (MetadataEntryRaw& entry : entries_)
    if (to_uuid(entry.item_id) == id && (entry.flags & kItemIsUser) == 0) return &entry;
  return nullptr;
}

/// In the old one's place if it fits there, else behind all other items.
uint64_t MetadataEdit::place_for(uint64_t length, const MetadataEntryRaw* old) const {
  if (old != nullptr && length <= old->length) return old->offset;
  uint64_t end = kMetadataTableSize;
  for (const MetadataEntryRaw& entry : entries_)
    if (&entry != old) end = std::max<uint64_t>(end, uint64_t{entry.offset} + entry.length);
  const uint64_t place = align_up(end, sizeof(uint64_t));
  if (!range_fits(place, length, std::min<uint64_t>(region_.length, UINT32_MAX)))
    throw Error(Errc::limit, "the metadata have no room for the parent's name").hint("convert the image into a new one");
  return place;
}

MetadataEdit::Change MetadataEdit::table() const {
  MetadataTableHeaderRaw head = load<MetadataTableHeaderRaw>(table_);
  const size_t slots = std::max<size_t>(head.entry_count, entries_.size());
  head.entry_count = checked_narrow<uint16_t>(entries_.size());
  std::vector<std::byte> bytes(sizeof(head) + slots * sizeof(MetadataEntryRaw));
  const auto put = [&](size_t at, ConstBytes part) { std::copy(part.begin(), part.end(), bytes.begin() + static_cast<ptrdiff_t>(at)); };
  put(0, bytes_of(head));
  for (size_t i = 0; i < entries_.size(); ++i) put(sizeof(head) + i * sizeof(MetadataEntryRaw), bytes_of(entries_[i]));
  return {region_.offset, std::move(bytes)};
}

MetadataEdit::Change MetadataEdit::parameters(bool has_parent) {
  const uint64_t offset = region_.offset + find(kFileParametersItem)->offset;
  std::vector<std::byte> bytes(sizeof(FileParametersRaw));
  file_.read_at(offset, bytes);
  auto raw = load<FileParametersRaw>(bytes);
  raw.flags = has_parent ? raw.flags | kHasParent : raw.flags & ~kHasParent;
  const ConstBytes changed = bytes_of(raw);
  return {offset, {changed.begin(), changed.end()}};
}

std::vector<MetadataEdit::Change> MetadataEdit::put_locator(const std::optional<ParentLocator>& locator) {
  std::vector<Change> changes;
  MetadataEntryRaw* entry = find(kParentLocatorItem);
  if (locator) {
    std::vector<std::byte> item = encode(*locator);
    const uint64_t place = place_for(item.size(), entry);
    if (entry == nullptr) {
      if (entries_.size() == kMaxTableEntries) throw Error(Errc::limit, "the metadata table is full");
      entry = &entries_.emplace_back();
      entry->item_id = to_raw(kParentLocatorItem);
      entry->flags = kItemIsRequired;
    }
    entry->offset = checked_narrow<uint32_t>(place);
    entry->length = checked_narrow<uint32_t>(item.size());
    changes.push_back({region_.offset + place, std::move(item)});
  } else if (entry != nullptr) {
    entries_.erase(entries_.begin() + (entry - entries_.data()));
  }
  changes.push_back(table());
  changes.push_back(parameters(locator.has_value()));
  return changes;
}

}  // namespace

void VhdxImage::check_new_parent(const CreateContext::Parent* parent) const {
  if (parent == nullptr) return;
  if (parent->format != "vhdx") {
    throw Error(Errc::unsupported, "the parent of a VHDX can only be a VHDX, not " + parent->format)
        .hint("convert the parent to vhdx first");
  }
  make_locator(parent->name, parent->identity);
  if (parts_.metadata.fixed)
    throw Error(Errc::unsupported, "a VHDX with a parent can't be fixed").hint("convert the image to subformat=dynamic first");
  const auto* image = dynamic_cast<const VhdxImage*>(parent->image);
  if (image != nullptr && image->parts().metadata.logical_sector != parts_.metadata.logical_sector)
    throw Error(Errc::invalid_argument, "the parent has logical sectors of " + std::to_string(image->parts().metadata.logical_sector) +
                                            " bytes, the image of " + std::to_string(parts_.metadata.logical_sector));
}

void VhdxImage::change_parent(const CreateContext::Parent* parent) {
  check_new_parent(parent);
  begin_session();
  if (parent == nullptr) {
    if (!parts_.metadata.parent) return;
    complete_blocks();
    const std::vector<uint64_t> bitmaps = drop_bitmaps();
    put_locator(std::nullopt);
    for (const uint64_t place : bitmaps) {
      try {
        file_->punch_hole(place, kBitmapBlockSize);
      } catch (const Error&) {
        // Its space stays taken.
      }
    }
    return;
  }
  if (!parts_.metadata.parent) prepare_bitmaps();
  put_locator(make_locator(parent->name, parent->identity));
}

void VhdxImage::renew_parent(const std::string& identity) {
  if (!parts_.metadata.parent) throw Error(Errc::invalid_argument, "the image has no parent");
  begin_session();
  ParentLocator locator = *parts_.metadata.parent;
  locator.erase("parent_linkage2");
  locator["parent_linkage"] = make_locator("-", identity).at("parent_linkage");
  put_locator(locator);
}

std::string VhdxImage::announce_change() {
  begin_session();
  return identity();
}

void VhdxImage::put_locator(const std::optional<ParentLocator>& locator) {
  flush();  // so that what follows is one entry of the log, and the file holds what it changes
  const std::vector<MetadataEdit::Change> changes = MetadataEdit(*file_, parts_.regions.metadata()).put_locator(locator);
  uint64_t pages = 0;
  for (const MetadataEdit::Change& change : changes) pages += change.bytes.size() / kPageSize + 2;
  if (pages > LogWriter::capacity_of(session_.header().log_length)) throw Error(Errc::limit, "the log is too small for the change");
  flush_all_of([&] {
    for (const MetadataEdit::Change& change : changes) pages_.write(change.offset, change.bytes);
  });
  parts_.metadata.parent = locator;
}

/// Blocks that are here in part become whole: sectors that the disk does not hold are zeros, if there is no parent.
void VhdxImage::complete_blocks() {
  const Geometry& geometry = map_->geometry();
  for (uint64_t block = 0; block < geometry.blocks(); ++block) {
    const BatEntry entry = map_->payload(block);
    if (entry.state != BlockState::partially_present) continue;
    const uint64_t place = place_of({entry, block, 0, needed_of(block)});
    const SectorBitmap bitmap(pages_, bitmap_place(block / geometry.blocks_a_chunk));
    const uint64_t sectors = needed_of(block) / geometry.sector;
    for (uint64_t done = 0; done < sectors;) {
      const auto run = bitmap.run_at(first_sector(block) + done, sectors - done);
      if (!run.present) zero_range(*file_, place + done * geometry.sector, run.sectors * geometry.sector);
      done += run.sectors;
    }
    session_.data_written();
    map_->set_payload(block, {BlockState::fully_present, entry.offset});
    bound_changes();
  }
  flush();
}

/// No block is here in part, so nobody needs them. Returns where they were.
std::vector<uint64_t> VhdxImage::drop_bitmaps() {
  std::vector<uint64_t> places;
  for (uint64_t chunk = 0; chunk < map_->geometry().chunks(); ++chunk) {
    const BatEntry entry = map_->bitmap(chunk);
    if (entry.state == BlockState::fully_present) places.push_back(bitmap_place(chunk));
    if (pack(entry) != 0) map_->set_bitmap(chunk, {});
    bound_changes();
  }
  return places;
}

/// Entries that a disk without a parent does not have may hold anything.
void VhdxImage::prepare_bitmaps() {
  Metadata with_parent = parts_.metadata;
  with_parent.parent.emplace();
  const Geometry after(with_parent);
  if (after.bat_bytes() > map_->region().length) move_table(after);
  BlockMap map(pages_, after, map_->region());
  for (uint64_t block = after.blocks(); block < after.chunks() * after.blocks_a_chunk; ++block)
    if (pack(map.payload(block)) != 0) map.set_payload(block, {});
  for (uint64_t chunk = 0; chunk < after.chunks(); ++chunk) {
    if (pack(map.bitmap(chunk)) != 0) map.set_bitmap(chunk, {});
    bound_changes();
  }
}

}  // namespace varve::vhdx
