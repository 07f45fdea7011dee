// The block allocation table: where each block of the disk and each sector bitmap lies [MS-VHDX 2.5].
#ifndef VARVE_FORMATS_VHDX_BLOCK_MAP_H
#define VARVE_FORMATS_VHDX_BLOCK_MAP_H

#include <cstdint>
#include <string_view>

#include "vhdx/metadata.h"
#include "vhdx/page_cache.h"
#include "vhdx/structures.h"

namespace varve::vhdx {

/// Of a payload block. A bitmap block knows only not_present and fully_present.
enum class BlockState : uint8_t {
  not_present = 0,
  undefined = 1,
  zero = 2,
  unmapped = 3,
  unmapped_v095 = 5,  ///< as a draft of the format wrote it
  fully_present = 6,
  partially_present = 7,
};

/// "not present", ...; "unknown" for numbers that mean nothing.
std::string_view state_name(BlockState state) noexcept;

/// An entry: 3 bits of state, 17 reserved, 44 of offset in MiB.
struct BatEntry {
  BlockState state = BlockState::not_present;
  uint64_t offset = 0;    ///< in the file, bytes, whole MiB
  uint64_t reserved = 0;  ///< bits that should be zero

  /// Of the numbers that three bits hold one means nothing.
  bool known() const { return static_cast<unsigned>(state) != 4; }
  bool has_place() const { return state == BlockState::fully_present || state == BlockState::partially_present; }
};

BatEntry unpack(uint64_t raw);
uint64_t pack(const BatEntry& entry);

/// The arithmetic of blocks, from validated metadata: nothing here overflows.
struct Geometry {
  explicit Geometry(const Metadata& metadata);

  uint64_t disk_size;
  uint64_t block_size;
  uint64_t sector;          ///< logical, bytes
  uint64_t blocks_a_chunk;  ///< that one sector bitmap covers
  bool differencing;

  uint64_t blocks() const;
  uint64_t chunks() const;
  /// How many entries the table has [MEM-8].
  uint64_t entries() const;
  uint64_t bat_bytes() const { return entries() * kBatEntrySize; }
  uint64_t payload_index(uint64_t block) const { return block + block / blocks_a_chunk; }
  uint64_t bitmap_index(uint64_t chunk) const { return chunk * (blocks_a_chunk + 1) + blocks_a_chunk; }
  /// How much of the block the disk has; the last one may be cut.
  uint64_t bytes_of_block(uint64_t block) const;
};

/// Throws corrupt if `region` is too small for the table [MEM-8].
void require_room(const Geometry& geometry, const Region& region);

/// The table of an open image. Thread-safe.
class BlockMap {
 public:
  /// `region` has room for the table.
  BlockMap(PageCache& pages, const Geometry& geometry, const Region& region) : pages_(pages), geometry_(geometry), region_(region) {}

  const Geometry& geometry() const { return geometry_; }
  const Region& region() const { return region_; }
  BatEntry payload(uint64_t block) const { return entry(geometry_.payload_index(block)); }
  BatEntry bitmap(uint64_t chunk) const { return entry(geometry_.bitmap_index(chunk)); }
  void set_payload(uint64_t block, const BatEntry& value) { set(geometry_.payload_index(block), value); }
  void set_bitmap(uint64_t chunk, const BatEntry& value) { set(geometry_.bitmap_index(chunk), value); }

  /// Blocks from `first` on, `most` at most, that are alike: all without a place and in the same state, or all fully present and side by
  /// side. One partially present block is a run of its own. Looks at no more than kMaxRun blocks.
  struct Run {
    BatEntry entry;  ///< of the first
    uint64_t blocks;
  };
  static constexpr uint64_t kMaxRun = uint64_t{1} << 20;
  Run run_at(uint64_t first, uint64_t most) const;

 private:
  BatEntry entry(uint64_t index) const;
  void set(uint64_t index, const BatEntry& value);

  PageCache& pages_;
  const Geometry geometry_;
  const Region region_;
};

}  // namespace varve::vhdx

#endif
