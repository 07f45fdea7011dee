// Writing into a VHDX.
#include <algorithm>
#include <utility>
#include <vector>

#include "base/checked_math.h"
#include "io/zero_range.h"
#include "varve/error.h"
#include "vhdx/sector_bitmap.h"
#include "vhdx/vhdx_image.h"

namespace varve::vhdx {
namespace {

/// How much may wait for a flush to be free, bytes, while the file grows: a guest that never flushes must not fill the host.
constexpr uint64_t kMostGivenUp = 256 * kMiB;

}  // namespace

void VhdxImage::write_at(uint64_t offset, ConstBytes data) {
  begin_session();
  while (!data.empty()) {
    size_t length = 0;
    {
      const InFlight::Request request(in_flight_);
      const Piece piece = piece_at(offset, data.size());
      if (piece.entry.state == BlockState::fully_present) {
        length = piece.length;
        file_->write_at(place_of(piece), data.first(length));
      } else {
        length = std::min<uint64_t>(data.size(), parts_.metadata.block_size - piece.within);
        write_blocks(offset, data.first(length));
      }
    }
    // After the data: a flush that runs meanwhile need not cover it, the next one must.
    session_.data_written();
    bound_changes();
    offset += length;
    data = data.subspan(length);
  }
}

/// Within one block, which was not fully present when the caller looked. Under the claim it is looked up again: another thread may have
/// been first.
void VhdxImage::write_blocks(uint64_t offset, ConstBytes data) {
  const RangeClaims::Claim claim(claims_, offset / parts_.metadata.block_size, 1);
  const Piece piece = piece_at(offset, data.size());
  switch (piece.entry.state) {
    case BlockState::fully_present: file_->write_at(place_of(piece), data); return;
    case BlockState::partially_present: write_partial_block(piece, offset, data); return;
    case BlockState::not_present:
    case BlockState::undefined:
    case BlockState::zero:
    case BlockState::unmapped:
    case BlockState::unmapped_v095: write_new_block(piece, offset, data); return;
  }
  throw_bad_block(piece.block, "is in a state that does not exist");
}

/// The block enters the map only when it holds what it must.
void VhdxImage::write_new_block(const Piece& piece, uint64_t offset, ConstBytes data) {
  const Geometry& geometry = map_->geometry();
  const bool whole = !inherits(piece.entry) || data.size() == needed_of(piece.block);
  if (!whole) ensure_bitmap(piece.block / geometry.blocks_a_chunk);
  NewBlock block(*this);
  if (whole) {
    file_->write_at(block.place() + piece.within, data);
  } else {
    clear_bits(piece.block);
    write_sectors(piece.block, block.place(), offset, data);
  }
  block.enter_map(piece.block, whole ? BlockState::fully_present : BlockState::partially_present);
}

void VhdxImage::write_partial_block(const Piece& piece, uint64_t offset, ConstBytes data) {
  place_of(piece);
  write_sectors(piece.block, piece.entry.offset, offset, data);
}

/// Sectors are the unit in which a block is here: of those that are written in part the rest comes from what the disk reads there.
void VhdxImage::write_sectors(uint64_t block, uint64_t place, uint64_t offset, ConstBytes data) {
  const Geometry& geometry = map_->geometry();
  const uint64_t start = block * geometry.block_size;
  SectorBitmap bitmap(pages_, bitmap_place(block / geometry.blocks_a_chunk));
  const auto write_in_sector = [&](uint64_t at, ConstBytes part) {
    const uint64_t sector = at / geometry.sector * geometry.sector;
    std::vector<std::byte> whole(geometry.sector);
    const bool here = bitmap.run_at(first_sector(block) + (sector - start) / geometry.sector, 1).present;
    if (here)
      file_->read_at(place + (sector - start), whole);
    else
      read_backing(sector, whole);
    std::copy(part.begin(), part.end(), whole.begin() + static_cast<ptrdiff_t>(at - sector));
    file_->write_at(place + (sector - start), whole);
  };
  const uint64_t first = (offset - start) / geometry.sector;
  const uint64_t count = div_ceil(offset - start + data.size(), geometry.sector) - first;
  while (!data.empty()) {
    const bool aligned = offset % geometry.sector == 0 && data.size() >= geometry.sector;
    const uint64_t length =
        aligned ? align_down(data.size(), geometry.sector) : std::min<uint64_t>(data.size(), geometry.sector - offset % geometry.sector);
    if (aligned)
      file_->write_at(place + (offset - start), data.first(length));
    else
      write_in_sector(offset, data.first(length));
    offset += length;
    data = data.subspan(length);
  }
  bitmap.fill(first_sector(block) + first, count, true);
}

// ---- space -------------------------------------------------------------------------------------------

VhdxImage::NewBlock::NewBlock(VhdxImage& image) : image_(image), place_(image.allocate_block()) {}

VhdxImage::NewBlock::~NewBlock() {
  if (place_ == 0) return;
  const std::lock_guard lock(image_.space_mutex_);
  image_.space_->give_blocks(place_, 1);
}

void VhdxImage::NewBlock::enter_map(uint64_t block, BlockState state) {
  image_.map_->set_payload(block, {state, place_});
  place_ = 0;
}

/// For callers that are not within a request of their own.
void VhdxImage::bound_changes() {
  session_.flush_beyond(most_changes_);
  if (crowded_.exchange(false)) flush();
}

void VhdxImage::grow_file(uint64_t size) {
  if (file_->size() < size) file_->resize(size);
}

/// A place at the end, which lies in the file and reads as zeros. A region that nobody knows may lie behind the end, and is passed over.
/// Under space_mutex_.
uint64_t VhdxImage::take_end(uint64_t length) {
  while (const auto region = reserved_.find_overlap(space_->end(), length)) space_->take_end(region->end() - space_->end());
  grow_file(space_->end() + length);
  return space_->take_end(length);
}

/// A place for a whole block, which lies in the file and reads as zeros.
uint64_t VhdxImage::allocate_block() {
  const uint64_t block_size = parts_.metadata.block_size;
  std::unique_lock lock(space_mutex_);
  if (!space_->has_free_block()) {
    if (given_up_.size() > kMostGivenUp / block_size) crowded_ = true;
    return take_end(block_size);
  }
  const uint64_t place = space_->take_free_block();
  try {
    grow_file(place + block_size);
    lock.unlock();
    zero_range(*file_, place, block_size);
  } catch (...) {
    if (!lock.owns_lock()) lock.lock();
    space_->give_blocks(place, 1);
    throw;
  }
  return place;
}

/// The chunk's bitmap exists afterwards, on the medium too: no table that is written later may name a block whose bitmap is not there. So
/// others who need it wait until it is durable.
void VhdxImage::ensure_bitmap(uint64_t chunk) {
  const std::lock_guard lock(space_mutex_);
  if (map_->bitmap(chunk).state == BlockState::fully_present) return;
  map_->set_bitmap(chunk, {BlockState::fully_present, take_end(kBitmapBlockSize)});
  session_.flush();
}

/// No sector of the block is here, whatever its bits said when the block was last used.
void VhdxImage::clear_bits(uint64_t block) {
  const Geometry& geometry = map_->geometry();
  SectorBitmap(pages_, bitmap_place(block / geometry.blocks_a_chunk))
      .fill(first_sector(block), geometry.block_size / geometry.sector, false);
}

}  // namespace varve::vhdx
