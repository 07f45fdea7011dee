// Zeroing and discarding.
#include <algorithm>
#include <optional>
#include <vector>

#include "base/checked_math.h"
#include "io/zero_range.h"
#include "vhdx/sector_bitmap.h"
#include "vhdx/vhdx_image.h"

namespace varve::vhdx {

/// Calls `use` with the part of each block that the range covers, under a claim on that block. Runs of blocks that are zero already are
/// passed over.
void VhdxImage::for_each_block(uint64_t offset, uint64_t length, const std::function<void(const Piece&)>& use) {
  const uint64_t block_size = parts_.metadata.block_size;
  const auto is_zero = [this](const BatEntry& entry) {
    return entry.state == BlockState::zero || (entry.state == BlockState::not_present && !inherits(entry));
  };
  for (const uint64_t end = offset + length; offset < end;) {
    uint64_t step = std::min(end - offset, block_size - offset % block_size);
    {
      const InFlight::Request request(in_flight_);
      if (is_zero(piece_at(offset, step).entry)) {
        if (const Piece run = piece_at(offset, end - offset); is_zero(run.entry)) step = run.length;
      } else {
        const RangeClaims::Claim claim(claims_, offset / block_size, 1);
        use(piece_at(offset, step));
      }
    }
    session_.data_written();
    bound_changes();
    offset += step;
  }
}

bool VhdxImage::zero(uint64_t offset, uint64_t length) {
  begin_session();
  for_each_block(offset, length, [this](const Piece& piece) {
    if (!parts_.metadata.fixed && piece.length == needed_of(piece.block)) return give_up(piece, BlockState::zero);
    zero_part(piece);
    // Every block of a fixed disk stays where it is, and keeps its space.
    if (parts_.metadata.fixed && piece.entry.has_place()) file_->reserve(place_of(piece), piece.length);
  });
  return true;
}

/// Whole blocks only; what a parent holds is not uncovered [WRT-8]. Where nothing is given up the image is not changed, and children stay
/// valid.
void VhdxImage::discard(uint64_t offset, uint64_t length) {
  if (parts_.metadata.fixed) return;
  for_each_block(offset, length, [this](const Piece& piece) {
    if (piece.length != needed_of(piece.block) || !piece.entry.has_place()) return;
    begin_session();
    give_up(piece, parts_.metadata.parent ? BlockState::zero : BlockState::unmapped);
  });
}

void VhdxImage::give_up(const Piece& piece, BlockState state) {
  if (piece.entry.has_place()) place_of(piece);  // what lies where no block can be is never freed
  map_->set_payload(piece.block, {state, 0});
  if (!piece.entry.has_place()) return;
  // Only now, so that a flush which frees it has written a table that does not name it.
  const std::lock_guard lock(space_mutex_);
  given_up_.push_back(piece.entry.offset);
}

/// Whole sectors, as granularity() asks for.
void VhdxImage::zero_part(const Piece& piece) {
  if (!piece.entry.has_place() && !inherits(piece.entry)) {
    // Others may show anything for unmapped and undefined blocks.
    if (piece.entry.state != BlockState::zero) map_->set_payload(piece.block, {BlockState::zero, 0});
    return;
  }
  if (piece.entry.has_place()) zero_range(*file_, place_of(piece), piece.length);
  if (piece.entry.state == BlockState::fully_present) return;
  // Zeros that hide the parent. A new block reads as zeros, so only its bits are to be set.
  const Geometry& geometry = map_->geometry();
  const uint64_t chunk = piece.block / geometry.blocks_a_chunk;
  std::optional<NewBlock> block;
  if (!piece.entry.has_place()) {
    ensure_bitmap(chunk);
    block.emplace(*this);
    clear_bits(piece.block);
  }
  SectorBitmap(pages_, bitmap_place(chunk))
      .fill(first_sector(piece.block) + piece.within / geometry.sector, piece.length / geometry.sector, true);
  if (block) block->enter_map(piece.block, BlockState::partially_present);
}

}  // namespace varve::vhdx
