#include "vhdx/block_map.h"

#include <algorithm>
#include <string>

#include "base/checked_math.h"
#include "base/endian.h"
#include "varve/error.h"

namespace varve::vhdx {
namespace {

// Typed constants: a mask of 32 bits would cut offsets above 4 GiB off [MEM-24].
constexpr uint64_t kStateMask = 0x7;
constexpr unsigned kOffsetShift = 20;
constexpr uint64_t kReservedMask = ((uint64_t{1} << kOffsetShift) - 1) & ~kStateMask;

}  // namespace

std::string_view state_name(BlockState state) noexcept {
  switch (state) {
    case BlockState::not_present: return "not present";
    case BlockState::undefined: return "undefined";
    case BlockState::zero: return "zero";
    case BlockState::unmapped:
    case BlockState::unmapped_v095: return "unmapped";
    case BlockState::fully_present: return "fully present";
    case BlockState::partially_present: return "partially present";
  }
  return "unknown";
}

BatEntry unpack(uint64_t raw) {
  // The upper 44 bits count MiB: shifted by 20 they are the offset as it is.
  return {static_cast<BlockState>(raw & kStateMask), raw & ~(kStateMask | kReservedMask), raw & kReservedMask};
}

uint64_t pack(const BatEntry& entry) { return static_cast<uint64_t>(entry.state) | entry.offset; }

Geometry::Geometry(const Metadata& metadata)
    : disk_size(metadata.disk_size),
      block_size(metadata.block_size),
      sector(metadata.logical_sector),
      blocks_a_chunk(kSectorsPerBitmapBlock * metadata.logical_sector / metadata.block_size),
      differencing(metadata.parent.has_value()) {}

uint64_t Geometry::blocks() const { return div_ceil(disk_size, block_size); }

uint64_t Geometry::chunks() const { return div_ceil(blocks(), blocks_a_chunk); }

uint64_t Geometry::entries() const { return differencing ? chunks() * (blocks_a_chunk + 1) : blocks() + (blocks() - 1) / blocks_a_chunk; }

uint64_t Geometry::bytes_of_block(uint64_t block) const { return std::min(block_size, disk_size - block * block_size); }

void require_room(const Geometry& geometry, const Region& region) {
  if (geometry.bat_bytes() <= region.length) return;
  throw Error(Errc::corrupt, "the block allocation table takes " + std::to_string(geometry.bat_bytes()) + " bytes, and its region has " +
                                 std::to_string(region.length))
      .at(region.offset);
}

BatEntry BlockMap::entry(uint64_t index) const {
  const uint64_t offset = region_.offset + index * kBatEntrySize;
  const PagePtr page = pages_.page(align_down(offset, kPageSize));
  return unpack(load<le64>(*page, offset % kPageSize));
}

void BlockMap::set(uint64_t index, const BatEntry& value) {
  pages_.write(region_.offset + index * kBatEntrySize, bytes_of(le64(pack(value))));
}

BlockMap::Run BlockMap::run_at(uint64_t first, uint64_t most) const {
  Run run{payload(first), 1};
  if (run.entry.state == BlockState::partially_present) return run;
  most = std::min({most, geometry_.blocks() - first, kMaxRun});
  uint64_t page_offset = UINT64_MAX;
  PagePtr page;
  for (; run.blocks < most; ++run.blocks) {
    const uint64_t offset = region_.offset + geometry_.payload_index(first + run.blocks) * kBatEntrySize;
    if (align_down(offset, kPageSize) != page_offset) {
      page_offset = align_down(offset, kPageSize);
      page = pages_.page(page_offset);
    }
    const BatEntry next = unpack(load<le64>(*page, offset % kPageSize));
    const uint64_t side_by_side = run.entry.has_place() ? run.blocks * geometry_.block_size : 0;
    if (next.state != run.entry.state || next.reserved != run.entry.reserved || next.offset != run.entry.offset + side_by_side) break;
  }
  return run;
}

}  // namespace varve::vhdx
