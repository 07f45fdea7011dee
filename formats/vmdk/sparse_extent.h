// A hosted sparse extent: monolithicSparse and the parts of twoGbMaxExtentSparse. T, "Hosted Sparse Extents".
//
// Reading goes grain directory -> grain table -> grain. Runs of grains that lie side by side in the file are read at once.
//
// Writing allocates at the end of the file. What a crash leaves behind is ordered by flush(): grains, flush, redundant tables,
// flush, tables, flush. So a table never refers to a grain that is not on the medium, and at every moment one copy of each
// table is whole. A crash before that costs the grains nothing refers to yet, which check() reports as leaked.
//
// Grains that zero() or discard() gives up are not used again before the image is closed; their space is freed once the tables
// that no longer name them are durable.
#ifndef VARVE_FORMATS_VMDK_SPARSE_EXTENT_H
#define VARVE_FORMATS_VMDK_SPARSE_EXTENT_H

#include <array>
#include <atomic>
#include <cstddef>
#include <functional>
#include <memory>
#include <mutex>
#include <vector>

#include "base/range_claims.h"
#include "varve/limits.h"
#include "vmdk/extent.h"
#include "vmdk/grain_tables.h"
#include "vmdk/header.h"

namespace varve::vmdk {

struct SparseMode {
  bool writable = false;
  /// The disk has a parent, so an absent grain is not zero. Counts also if the parent is not opened.
  bool over_parent = false;
  Limits limits = {};  ///< metadata_bytes: this extent's share
  /// What the passage over all grains before the first write may take for its time.
  uint64_t passing_bytes = Limits{}.metadata_bytes;
};

/// Where the parts of a new extent lie, and what its header will say.
struct SparseLayout {
  SparseHeader header;
  uint64_t first_table = 0;            ///< sector
  uint64_t first_redundant_table = 0;  ///< sector
};

/// `descriptor_sectors` are kept free from sector 1 on; 0 for none. Throws limit where a sparse extent can't be that large.
SparseLayout lay_out_sparse(uint64_t size, uint64_t grain_sectors, uint64_t descriptor_sectors, bool zeroed_grains);

/// Thread-safe as ExtentDriver says. Lock order: flush_mutex_ or session_mutex_, then the tables' own lock, then space_mutex_. Claims
/// (range_claims.h) are taken with none of them held; under a claim any of them may be taken.
class SparseExtent final : public ExtentDriver {
 public:
  /// Opens an uncompressed extent; `header` was parsed against `file`.
  SparseExtent(std::shared_ptr<Storage> file, const SparseHeader& header, const SparseMode& mode);
  /// A new one in an empty file that nobody reads before close(), and that whoever publishes it flushes: nothing needs an order
  /// but the header, which comes last.
  SparseExtent(std::shared_ptr<Storage> file, const SparseLayout& layout, const SparseMode& mode);
  ~SparseExtent() override;

  const SparseHeader& header() const { return header_; }
  Storage& file() const { return *file_; }
  GrainTables& tables() { return *tables_; }

  uint64_t size() const override { return header_.capacity_bytes(); }
  uint64_t granularity() const override { return header_.grain_bytes(); }
  bool writable() const override { return mode_.writable; }
  void prepare_write() override;
  void read_at(uint64_t offset, MutableBytes out) override;
  void write_at(uint64_t offset, ConstBytes data) override;
  bool zero(uint64_t offset, uint64_t length) override;
  void discard(uint64_t offset, uint64_t length) override;
  Extent extent_at(uint64_t offset, uint64_t limit) override;
  void flush() override;
  void close() override;
  void check_resize(uint64_t size) const override;
  void resize(uint64_t size) override;
  BulkWriter* bulk_writer() override;
  uint64_t allocated_bytes() const override;

 private:
  friend class SparseBulkWriter;

  GrainRun run_at(uint64_t offset, uint64_t length);
  uint64_t run_bytes(const GrainRun& run, uint64_t offset, uint64_t limit) const;
  [[noreturn]] void throw_bad_grain(uint64_t grain, uint32_t entry) const;

  // sparse_write.cc
  void write_unallocated(uint64_t offset, ConstBytes data);
  void write_new_grains(uint64_t offset, ConstBytes data, GrainKind before);
  void write_part_of_grain(uint64_t offset, ConstBytes data, uint64_t file_offset, GrainKind before);
  void give_up(uint64_t first, uint64_t count, uint32_t entry, bool data_only);
  uint32_t allocate(uint64_t sectors);
  void undo_allocation(uint32_t sector, uint64_t sectors);
  void bound_changed_tables();

  // sparse_resize.cc
  SparseHeader grown_header(uint64_t size) const;
  uint64_t growth_sectors(const SparseHeader& grown) const;
  void grow(SparseHeader grown);
  std::unique_ptr<GrainTables> lay_out_growth(SparseHeader& grown);
  void write_zero_tables(uint64_t sector, uint64_t count);
  void clear_last_grain();
  std::array<std::byte, 1> read_last_byte();

  // sparse_session.cc
  void begin_session();
  void claim_existing_grains();
  void check_structures() const;
  void write_header(bool unclean);
  void require_sound() const;
  void finish_or_fail(const std::function<void()>& change);
  void write_changes();
  void write_batch(GrainTables& tables, const TableBatch& batch);
  void write_new_tables();
  void close_new();
  void free_given_up(const std::vector<SectorRange>& ranges);

  const std::shared_ptr<Storage> file_;
  SparseHeader header_;  ///< changes only in resize()
  const SparseMode mode_;
  const bool fresh_;  ///< created here, unpublished
  std::unique_ptr<GrainTables> tables_;
  std::unique_ptr<BulkWriter> bulk_;
  RangeClaims claims_;

  std::mutex flush_mutex_;  ///< one flush at a time
  std::atomic<bool> data_written_{false};
  std::atomic<bool> failed_{false};  ///< a change of the tables stopped half way: nothing more is written

  std::mutex session_mutex_;
  std::atomic<bool> examined_{false};  ///< fit to be written to
  std::atomic<bool> in_session_{false};

  std::mutex space_mutex_;
  uint64_t next_sector_ = 0;           ///< where the next grain goes
  std::vector<SectorRange> given_up_;  ///< grains that the tables in memory no longer name
};

}  // namespace varve::vmdk

#endif
