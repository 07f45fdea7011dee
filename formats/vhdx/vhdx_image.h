// An open VHDX.
//
// Reading goes block allocation table -> block, in differencing disks by way of a sector bitmap for blocks that are here in part.
//
// Writing allocates whole blocks. Tables and bitmaps change in memory (page_cache.h) and reach the file by way of the log (session.h), so
// after a cut no table names a block that is not on the medium. A block that zero() or discard() gives up is used again once the table
// that no longer names it is durable and no request is under way that may still know its place.
#ifndef VARVE_FORMATS_VHDX_VHDX_IMAGE_H
#define VARVE_FORMATS_VHDX_VHDX_IMAGE_H

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/in_flight.h"
#include "base/interval_set.h"
#include "base/range_claims.h"
#include "image/driver.h"
#include "vhdx/block_map.h"
#include "vhdx/file_space.h"
#include "vhdx/metadata.h"
#include "vhdx/owner_map.h"
#include "vhdx/page_cache.h"
#include "vhdx/regions.h"
#include "vhdx/session.h"

namespace varve::vhdx {

/// What was read from a file or laid out for a new one.
struct ImageParts {
  std::shared_ptr<Storage> file;
  std::string creator;  ///< the program that made the file, by its own word
  Headers headers;
  Regions regions;
  Metadata metadata;
  uint64_t size_offset = 0;  ///< where in the file the disk's size stands
  bool writable = false;
  bool created = false;       ///< unpublished: nobody reads the file before close()
  bool log_pending = false;   ///< the file's log holds changes; `file` shows them already
  bool log_replayed = false;  ///< it held changes, which opening brought into the file
  Limits limits;
  RandomSource* random = nullptr;
};

/// Thread-safe as FormatImage says. Lock order: a claim, session_mutex_, space_mutex_, then those of members.
class VhdxImage final : public FormatImage {
 public:
  explicit VhdxImage(ImageParts parts);

  ImageInfo info() const override;
  uint64_t size() const override { return parts_.metadata.disk_size; }
  uint64_t granularity() const override { return parts_.metadata.logical_sector; }
  void read_at(uint64_t offset, MutableBytes out) override;
  void write_at(uint64_t offset, ConstBytes data) override;
  bool zero(uint64_t offset, uint64_t length) override;
  void discard(uint64_t offset, uint64_t length) override;
  Extent extent_at(uint64_t offset, uint64_t limit) override;
  void flush() override;
  void close() override;
  CheckReport check(const CheckOptions& options) override;
  void resize(uint64_t size) override;
  std::optional<ParentLink> parent() const override;
  std::string identity() const override;
  void check_new_parent(const CreateContext::Parent* parent) const override;
  void change_parent(const CreateContext::Parent* parent) override;
  void renew_parent(const std::string& identity) override;
  std::string announce_change() override;
  BulkWriter* bulk_writer() override;

  // For check.cc.
  const ImageParts& parts() const { return parts_; }
  const BlockMap& map() const { return *map_; }
  PageCache& pages() { return pages_; }
  const Headers& headers() const { return session_.headers(); }
  /// Why no block can lie there, or empty. `length`: how much of it must be in the file, bytes.
  std::string place_fault(uint64_t offset, uint64_t length) const;
  /// Why a block can't be in this state, or empty.
  std::string state_fault(uint64_t block, const BatEntry& entry) const;
  /// How much of a block must be in the file: not what lies behind the disk's end, which some writers leave out.
  uint64_t needed_of(uint64_t block) const { return map_->geometry().bytes_of_block(block); }
  /// As flush(); no request is under way, so what was given up is free at once.
  void settle();
  /// What the runs of blocks held is lost: they read as zeros from now on. So is which sectors the chunks' bitmaps had. After settle().
  void drop(std::span<const Interval> blocks, std::span<const uint64_t> bitmaps);
  void mend_headers() { session_.mend_headers(); }
  void mend_regions();

 private:
  friend class VhdxBulkWriter;

  /// A part of the disk within one run of the map, and what the map says of it.
  struct Piece {
    BatEntry entry;   ///< of `block`
    uint64_t block;   ///< the first
    uint64_t within;  ///< offset from its start, bytes
    uint64_t length;  ///< bytes
  };
  /// A place that goes back unless the block enters the map.
  class NewBlock {
   public:
    explicit NewBlock(VhdxImage& image);
    ~NewBlock();
    NewBlock(const NewBlock&) = delete;
    NewBlock& operator=(const NewBlock&) = delete;
    uint64_t place() const { return place_; }
    void enter_map(uint64_t block, BlockState state);

   private:
    VhdxImage& image_;
    uint64_t place_;
  };

  Piece piece_at(uint64_t offset, uint64_t most) const;
  uint64_t place_of(const Piece& piece) const;
  uint64_t bitmap_place(uint64_t chunk) const;
  uint64_t first_sector(uint64_t block) const;  ///< counted from its chunk's start
  [[noreturn]] void throw_bad_block(uint64_t block, const std::string& why) const;
  IntervalSet places_of_structures(const std::vector<Region>& regions) const;
  void read_piece(const Piece& piece, uint64_t offset, MutableBytes out);
  void read_partial_block(const Piece& piece, uint64_t offset, MutableBytes out);

  // parent.cc
  void put_locator(const std::optional<ParentLocator>& locator);
  void complete_blocks();
  std::vector<uint64_t> drop_bitmaps();
  void prepare_bitmaps();

  // vhdx_write.cc
  void write_blocks(uint64_t offset, ConstBytes data);
  void write_new_block(const Piece& piece, uint64_t offset, ConstBytes data);
  void write_partial_block(const Piece& piece, uint64_t offset, ConstBytes data);
  void write_sectors(uint64_t block, uint64_t place, uint64_t offset, ConstBytes data);
  void grow_file(uint64_t size);
  uint64_t take_end(uint64_t length);
  uint64_t allocate_block();
  void ensure_bitmap(uint64_t chunk);
  void clear_bits(uint64_t block);
  bool inherits(const BatEntry& entry) const;
  void bound_changes();

  // vhdx_zero.cc
  void for_each_block(uint64_t offset, uint64_t length, const std::function<void(const Piece&)>& use);
  void zero_part(const Piece& piece);
  void give_up(const Piece& piece, BlockState state);

  // vhdx_space.cc
  void begin_session();
  FileSpace examine();
  void take_block_run(OwnerMap& owners, uint64_t block, const BlockMap::Run& run) const;
  void recycle();
  void free_blocks(std::vector<uint64_t>& blocks);

  // vhdx_resize.cc
  void require_resizable(uint64_t size) const;
  void clear_tail();
  void prepare_new_blocks(const Geometry& grown);
  void flush_all_of(const std::function<void()>& change);
  void move_table(const Geometry& grown);
  void drop_blocks_beyond(const Geometry& before);

  ImageParts parts_;
  const std::shared_ptr<Storage> file_;
  const uint64_t most_changes_;  ///< bytes of changed pages that are kept in memory
  PageCache pages_;
  std::unique_ptr<BlockMap> map_;  ///< replaced only in resize()
  IntervalSet reserved_;           ///< of the file: what is no block's
  std::unique_ptr<BulkWriter> bulk_;
  RangeClaims claims_;  ///< of blocks
  Session session_;

  InFlight in_flight_;        ///< requests that use places which they read from the map
  std::mutex session_mutex_;  ///< one thread begins the session
  std::atomic<bool> ready_{false};

  std::atomic<bool> crowded_{false};  ///< so much waits to be free, while the file grows, that a flush is due
  std::mutex space_mutex_;            ///< covers what follows
  std::optional<FileSpace> space_;
  // A block is used again when no table names it any more, on the medium neither, and no request that may know it is under way.
  std::vector<uint64_t> given_up_;  ///< the map in memory no longer names them
  std::vector<uint64_t> unnamed_;   ///< nor does the one on the medium
  std::vector<uint64_t> waiting_;   ///< since before the present generation of requests
};

/// As FormatImage::check().
CheckReport check_image(VhdxImage& image, const CheckOptions& options);

}  // namespace varve::vhdx

#endif
