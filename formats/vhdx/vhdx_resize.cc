// Growing and shrinking. At no moment does the size promise blocks whose entries say something else than they should: growth prepares
// the entries first, shrinking drops them afterwards. Each step goes through the log.
#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "base/checked_math.h"
#include "io/zero_range.h"
#include "varve/error.h"
#include "vhdx/vhdx_image.h"

namespace varve::vhdx {

void VhdxImage::require_resizable(uint64_t size) const {
  if (size == 0 || size % parts_.metadata.logical_sector != 0) {
    throw Error(Errc::invalid_argument,
                "the size of this VHDX is a multiple of " + std::to_string(parts_.metadata.logical_sector) + " bytes and not 0");
  }
  if (size > kMaxDiskSize) throw Error(Errc::limit, "a VHDX has at most 64 TiB");
}

void VhdxImage::resize(uint64_t size) {
  require_resizable(size);
  if (size == this->size()) return;
  begin_session();
  const Geometry before = map_->geometry();
  Metadata changed = parts_.metadata;
  changed.disk_size = size;
  const Geometry after(changed);
  if (size > before.disk_size) {
    clear_tail();
    if (after.bat_bytes() > map_->region().length) move_table(after);
    prepare_new_blocks(after);
    session_.flush();
  }
  auto map = std::make_unique<BlockMap>(pages_, after, map_->region());
  flush_all_of([&] { pages_.write(parts_.size_offset, bytes_of(le64(size))); });
  // Nothing fails between the file and what is in memory.
  parts_.metadata = std::move(changed);
  map_ = std::move(map);
  if (size < before.disk_size) {
    drop_blocks_beyond(before);
    flush();
  }
}

/// What the last block holds behind the disk's end, left by an earlier shrinking, comes to light with growth.
void VhdxImage::clear_tail() {
  const Geometry& geometry = map_->geometry();
  const uint64_t last = geometry.blocks() - 1;
  const uint64_t within = geometry.bytes_of_block(last);
  if (within == geometry.block_size) return;
  const BatEntry entry = map_->payload(last);
  if (!entry.has_place() && !(inherits(entry) && backing_size() > size())) return;
  const uint64_t length = geometry.block_size - within;
  if (entry.has_place()) grow_file(entry.offset + geometry.block_size);  // some writers cut the last block short
  zero_part({entry, last, within, length});
  session_.data_written();
}

/// Entries behind the last may hold anything. Where the parent has data the new part of a child must hide it.
void VhdxImage::prepare_new_blocks(const Geometry& grown) {
  BlockMap map(pages_, grown, map_->region());
  const uint64_t hidden_end = grown.differencing ? div_ceil(backing_size(), grown.block_size) : 0;
  for (uint64_t block = map_->geometry().blocks(); block < grown.blocks(); ++block) {
    BatEntry entry;
    if (parts_.metadata.fixed) {
      entry = {BlockState::fully_present, allocate_block()};
      file_->reserve(entry.offset, grown.block_size);
    }
    if (block < hidden_end) entry.state = BlockState::zero;
    if (pack(map.payload(block)) != pack(entry)) map.set_payload(block, entry);
    bound_changes();
  }
  if (!grown.differencing) return;
  for (uint64_t chunk = map_->geometry().chunks(); chunk < grown.chunks(); ++chunk) {
    if (pack(map.bitmap(chunk)) != 0) {
      map.set_bitmap(chunk, {});
      bound_changes();
    }
  }
}

/// Changes pages in one step, and the file. If that fails half way, a later flush must not bring into the file what the caller was refused.
void VhdxImage::flush_all_of(const std::function<void()>& change) {
  try {
    change();
    session_.flush();
  } catch (...) {
    session_.give_up();
    throw;
  }
}

void VhdxImage::drop_blocks_beyond(const Geometry& before) {
  BlockMap old(pages_, before, map_->region());
  for (uint64_t block = map_->geometry().blocks(); block < before.blocks(); ++block) {
    const BatEntry entry = old.payload(block);
    if (pack(entry) == 0) continue;
    old.set_payload(block, {});
    bound_changes();
    if (!entry.has_place()) continue;
    const std::lock_guard lock(space_mutex_);
    given_up_.push_back(entry.offset);
  }
  if (!before.differencing) return;
  for (uint64_t chunk = map_->geometry().chunks(); chunk < before.chunks(); ++chunk) {
    if (pack(old.bitmap(chunk)) != 0) old.set_bitmap(chunk, {});
    bound_changes();
  }
}

/// The table gets a larger region at the end of the file. Both copies of the region table name it with one entry of the log.
void VhdxImage::move_table(const Geometry& grown) {
  session_.flush();
  const Region from = map_->region();
  std::vector<Region> regions = parts_.regions.all;
  Region& to = *std::find_if(regions.begin(), regions.end(), [](const Region& region) { return region.guid == kBatRegion; });
  to.length = align_up(grown.bat_bytes(), kMiB);
  {
    const std::lock_guard lock(space_mutex_);
    to.offset = take_end(to.length);
  }
  std::vector<std::byte> buffer(kMiB);
  for (uint64_t done = 0; done < from.length; done += buffer.size()) {
    file_->read_at(from.offset + done, buffer);
    file_->write_at(to.offset + done, buffer);
  }
  auto map = std::make_unique<BlockMap>(pages_, map_->geometry(), to);
  IntervalSet reserved = places_of_structures(regions);
  const std::vector<std::byte> table = encode(regions);
  for (const uint64_t copy : kRegionTableOffsets)
    for (uint64_t at = 0; at < table.size(); at += kPageSize) pages_.page(copy + at);  // what can fail to be read fails here
  flush_all_of([&] {
    for (const uint64_t copy : kRegionTableOffsets) pages_.write(copy, table);
  });
  // Nothing fails between the file and what is in memory. Both copies are whole now.
  parts_.regions = {.all = std::move(regions)};
  map_ = std::move(map);
  reserved_ = std::move(reserved);
  session_.set_table(map_->region());
  zero_range(*file_, from.offset, from.length);
}

}  // namespace varve::vhdx
