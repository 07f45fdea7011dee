#include "vhdx/vhdx_image.h"

#include <algorithm>
#include <utility>

#include "base/checked_math.h"
#include "varve/error.h"
#include "vhdx/bulk.h"
#include "vhdx/sector_bitmap.h"

namespace varve::vhdx {

VhdxImage::VhdxImage(ImageParts parts)
    : parts_(std::move(parts)),
      file_(parts_.file),
      most_changes_(
          std::min<uint64_t>(parts_.limits.metadata_bytes / 4, LogWriter::capacity_of(parts_.headers.header().log_length) / 2 * kPageSize)),
      pages_(file_, parts_.limits.metadata_bytes / 2),
      map_(std::make_unique<BlockMap>(pages_, Geometry(parts_.metadata), parts_.regions.bat())),
      session_(file_, parts_.headers, pages_, parts_.regions.metadata().offset, *parts_.random,
               parts_.created ? Publication::pending : Publication::published) {
  reserved_ = places_of_structures(parts_.regions.all);
  session_.set_table(map_->region());
  if (!parts_.created) return;
  space_.emplace(parts_.metadata.block_size, file_->size());
  ready_ = true;
}

/// MEM-18: no block lies on anything else.
IntervalSet VhdxImage::places_of_structures(const std::vector<Region>& regions) const {
  IntervalSet places;
  places.insert(0, kHeaderSectionSize);
  places.insert(parts_.headers.header().log_offset, parts_.headers.header().log_length);
  for (const Region& region : regions) places.insert(region.offset, region.length);
  return places;
}

// ---- where things are --------------------------------------------------------------------------------

VhdxImage::Piece VhdxImage::piece_at(uint64_t offset, uint64_t most) const {
  const uint64_t block_size = parts_.metadata.block_size;
  Piece piece{};
  piece.block = offset / block_size;
  piece.within = offset % block_size;
  const BlockMap::Run run = map_->run_at(piece.block, div_ceil(piece.within + most, block_size));
  piece.entry = run.entry;
  piece.length = std::min(most, run.blocks * block_size - piece.within);
  return piece;
}

std::string VhdxImage::place_fault(uint64_t offset, uint64_t length) const {
  if (!range_fits(offset, length, file_->size())) return "lies outside the file";
  if (reserved_.find_overlap(offset, length)) return "lies on the image's own structures";
  return {};
}

std::string VhdxImage::state_fault(uint64_t block, const BatEntry& entry) const {
  if (!entry.known()) return "is in a state that does not exist";
  if (entry.state != BlockState::partially_present) return {};
  if (!parts_.metadata.parent) return "is partially present in a disk without a parent";
  const BatEntry bitmap = map_->bitmap(block / map_->geometry().blocks_a_chunk);
  return bitmap.state == BlockState::fully_present ? "" : "is partially present, and its sector bitmap is missing";
}

void VhdxImage::throw_bad_block(uint64_t block, const std::string& why) const {
  throw Error(Errc::corrupt, "block " + std::to_string(block) + " of the disk " + why)
      .in(file_->name())
      .at(map_->region().offset + map_->geometry().payload_index(block) * kBatEntrySize);
}

/// Of the piece's first byte. The whole run is held against the file.
uint64_t VhdxImage::place_of(const Piece& piece) const {
  if (piece.entry.state == BlockState::partially_present && !parts_.metadata.parent)
    throw_bad_block(piece.block, "is partially present in a disk without a parent");
  const uint64_t last = piece.block + (piece.within + piece.length - 1) / parts_.metadata.block_size;
  const uint64_t needed = (last - piece.block) * parts_.metadata.block_size + needed_of(last);
  if (const std::string fault = place_fault(piece.entry.offset, needed); !fault.empty()) throw_bad_block(piece.block, fault);
  return piece.entry.offset + piece.within;
}

uint64_t VhdxImage::bitmap_place(uint64_t chunk) const {
  const BatEntry entry = map_->bitmap(chunk);
  const std::string fault = entry.state == BlockState::fully_present ? place_fault(entry.offset, kBitmapBlockSize) : "is missing";
  if (fault.empty()) return entry.offset;
  throw Error(Errc::corrupt, "sector bitmap " + std::to_string(chunk) + " " + fault)
      .in(file_->name())
      .at(map_->region().offset + map_->geometry().bitmap_index(chunk) * kBatEntrySize);
}

uint64_t VhdxImage::first_sector(uint64_t block) const {
  const Geometry& geometry = map_->geometry();
  return block % geometry.blocks_a_chunk * (geometry.block_size / geometry.sector);
}

/// Is what the block does not hold the parent's? [MS-VHDX 2.5.1.1]
bool VhdxImage::inherits(const BatEntry& entry) const {
  return parts_.metadata.parent.has_value() && entry.state == BlockState::not_present;
}

// ---- reading -----------------------------------------------------------------------------------------

void VhdxImage::read_at(uint64_t offset, MutableBytes out) {
  const InFlight::Request request(in_flight_);
  while (!out.empty()) {
    const Piece piece = piece_at(offset, out.size());
    read_piece(piece, offset, out.first(piece.length));
    offset += piece.length;
    out = out.subspan(piece.length);
  }
}

void VhdxImage::read_piece(const Piece& piece, uint64_t offset, MutableBytes out) {
  switch (piece.entry.state) {
    case BlockState::fully_present: file_->read_at(place_of(piece), out); return;
    case BlockState::partially_present: read_partial_block(piece, offset, out); return;
    case BlockState::not_present:
    case BlockState::undefined:
    case BlockState::zero:
    case BlockState::unmapped:
    case BlockState::unmapped_v095:
      if (inherits(piece.entry)) return read_backing(offset, out);
      std::fill(out.begin(), out.end(), std::byte{0});
      return;
  }
  throw_bad_block(piece.block, "is in a state that does not exist");
}

void VhdxImage::read_partial_block(const Piece& piece, uint64_t offset, MutableBytes out) {
  const uint64_t place = place_of(piece);
  const uint64_t sector = parts_.metadata.logical_sector;
  const SectorBitmap bitmap(pages_, bitmap_place(piece.block / map_->geometry().blocks_a_chunk));
  for (uint64_t done = 0; done < piece.length;) {
    const uint64_t within = piece.within + done;
    const uint64_t left = piece.length - done;
    const auto run = bitmap.run_at(first_sector(piece.block) + within / sector, div_ceil(within % sector + left, sector));
    const uint64_t length = std::min(left, run.sectors * sector - within % sector);
    const MutableBytes part = out.subspan(done, length);
    if (run.present)
      file_->read_at(place + done, part);
    else
      read_backing(offset + done, part);
    done += length;
  }
}

Extent VhdxImage::extent_at(uint64_t offset, uint64_t limit) {
  const InFlight::Request request(in_flight_);
  const Piece piece = piece_at(offset, limit);
  Extent run;
  run.offset = offset;
  run.length = piece.length;
  switch (piece.entry.state) {
    case BlockState::fully_present:
      run.kind = ExtentKind::data;
      run.host_offset = place_of(piece);
      return run;
    case BlockState::partially_present: {
      const uint64_t sector = parts_.metadata.logical_sector;
      const uint64_t place = place_of(piece);
      const SectorBitmap bitmap(pages_, bitmap_place(piece.block / map_->geometry().blocks_a_chunk));
      const auto sectors =
          bitmap.run_at(first_sector(piece.block) + piece.within / sector, div_ceil(piece.within % sector + piece.length, sector));
      run.length = std::min(piece.length, sectors.sectors * sector - piece.within % sector);
      run.kind = sectors.present ? ExtentKind::data : ExtentKind::absent;
      if (sectors.present) run.host_offset = place;
      return run;
    }
    case BlockState::not_present: run.kind = ExtentKind::absent; return run;
    case BlockState::undefined:
    case BlockState::zero:
    case BlockState::unmapped:
    case BlockState::unmapped_v095: run.kind = ExtentKind::zero; return run;
  }
  throw_bad_block(piece.block, "is in a state that does not exist");
}

// ---- the rest ----------------------------------------------------------------------------------------

std::optional<ParentLink> VhdxImage::parent() const {
  if (!parts_.metadata.parent) return std::nullopt;
  return parent_link(*parts_.metadata.parent);
}

std::string VhdxImage::identity() const { return identity_of(session_.header().data_write_guid); }

CheckReport VhdxImage::check(const CheckOptions& options) { return check_image(*this, options); }

BulkWriter* VhdxImage::bulk_writer() {
  if (!parts_.created || parts_.metadata.parent) return nullptr;
  if (bulk_ == nullptr) bulk_ = std::make_unique<VhdxBulkWriter>(*this);
  return bulk_.get();
}

}  // namespace varve::vhdx
