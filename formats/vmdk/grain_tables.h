// The grain tables of a sparse extent, read when needed and kept within a bound. T, "Grain Table".
//
// Tables are handled in pages of 32 (1 GiB of the disk with the usual sizes), fewer if the bound is low. A page whose tables are holes of
// the file, or all zeros, takes no memory, so an empty disk of any size costs next to nothing. Clean pages are dropped, least recently used
// first, when the bound is reached; changed ones stay until they have been written.
//
// To write, take() hands out all changed tables as they are at that moment; the caller makes the grains durable and then writes the
// batch copy by copy. Changes that come meanwhile go to a copy of the page and belong to the next batch.
#ifndef VARVE_FORMATS_VMDK_GRAIN_TABLES_H
#define VARVE_FORMATS_VMDK_GRAIN_TABLES_H

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <shared_mutex>
#include <span>
#include <vector>

#include "base/endian.h"
#include "varve/storage.h"
#include "vmdk/grain_directory.h"
#include "vmdk/header.h"

namespace varve::vmdk {

inline constexpr uint32_t kEntryAbsent = 0;
inline constexpr uint32_t kEntryZero = 1;  ///< only with kFlagZeroedGrain
inline constexpr uint64_t kMaxTablesPerPage = 32;

enum class GrainKind : uint8_t {
  absent,
  zero,
  data,
  bad,  ///< the entry, or the table's place, contradicts the format: reading it is an error
};

/// Consecutive grains of one kind; of data, also consecutive in the file.
struct GrainRun {
  GrainKind kind = GrainKind::absent;
  uint64_t grains = 0;
  uint32_t sector = 0;  ///< of data: where the first lies; of bad: the entry as stored
};

/// Changed tables on their way to the file.
struct TableBatch {
  struct Item {
    uint64_t page = 0;
    uint32_t tables = 0;  ///< bit i: table i of the page
    std::shared_ptr<std::vector<le32>> entries;
  };
  struct Created {
    uint64_t table = 0;
    TableCopy copy = TableCopy::primary;
    uint32_t sector = 0;
  };
  std::vector<Item> items;
  std::vector<Created> created;  ///< tables that had no place: nothing refers to them yet
  bool empty() const { return items.empty(); }
};

/// Thread-safe. mutex_ covers all members but the constant ones; it is held while tables are read, never over a grain's I/O. Under
/// it no other lock is taken but the one that take()'s `allocate` takes.
class GrainTables {
 public:
  /// `metadata_bytes`: what the directory and the pages together may take; clean pages are dropped where that would be exceeded. Throws
  /// limit if it is too little for the directory and a few pages.
  GrainTables(std::shared_ptr<Storage> file, const SparseHeader& header, GrainDirectory directory, uint64_t metadata_bytes);
  /// Throws if the constructor would.
  static void require_memory(const SparseHeader& header, uint64_t metadata_bytes) { plan(header, header.gd_entries(), metadata_bytes); }

  /// The run that begins at `grain`, at most `limit` (> 0) grains and no more than a few pages.
  GrainRun run_at(uint64_t grain, uint64_t limit);
  /// Stores a consecutive run of sectors, or the same special entry for all.
  void set_data(uint64_t grain, uint64_t count, uint32_t first_sector);
  void set_special(uint64_t grain, uint64_t count, uint32_t entry);

  uint64_t grain_count() const { return grains_; }
  /// End of the file as entries are held against it; grows with allocations.
  uint64_t file_end() const { return file_end_.load(std::memory_order_relaxed); }
  void set_file_end(uint64_t bytes) { file_end_.store(bytes, std::memory_order_relaxed); }
  uint64_t changed_bytes() const { return changed_pages_.load(std::memory_order_relaxed) * page_bytes_; }

  /// The changed tables. `allocate(sectors)` gives a sector at the end of the file, for tables that have no place yet.
  TableBatch take(const std::function<uint32_t(uint64_t sectors)>& allocate);
  void write(const TableBatch& batch, TableCopy copy);
  /// Writes the contents of created tables, to which nothing refers yet.
  void write_created(const TableBatch& batch);
  /// After the last write. A batch that could not be written is never finished: its pages stay in memory, and nothing more is written.
  void finish(const TableBatch& batch) noexcept;

  /// Marks tables as changed that were read in part from the redundant copy and, if `compare`, those whose copies differ, for
  /// which it reads all of both.
  void reconcile(bool compare);

  const GrainDirectory& directory() const { return directory_; }  ///< while nothing is written

 private:
  enum class PageState : uint8_t { unread, empty, held };
  struct Page {
    PageState state = PageState::unread;
    uint32_t changed = 0;                   ///< bit i: table i
    uint32_t bad = 0;                       ///< bit i: no copy of table i can be read
    uint32_t healed = 0;                    ///< bit i: entries of table i came from the redundant copy
    uint32_t writing = 0;                   ///< batches that hold it
    mutable std::atomic<uint64_t> used{0};  ///< clock_ at the last look
    std::shared_ptr<std::vector<le32>> entries;
  };
  struct Place {
    uint64_t page;
    uint64_t index;  ///< of the entry within the page
  };

  struct Plan {
    uint64_t tables_per_page = 0;
    uint64_t max_pages = 0;
  };
  static Plan plan(const SparseHeader& header, uint64_t entries, uint64_t metadata_bytes);

  Place place_of(uint64_t grain) const { return {grain / page_grains_, grain % page_grains_}; }
  uint64_t tables_in(uint64_t page) const;
  GrainKind classify(uint32_t entry) const;
  bool fits_file(uint32_t sector) const;
  GrainRun run_in_page(const Page& page, uint64_t index, uint64_t limit) const;
  Page& load(uint64_t number);
  void read_tables(uint64_t number, Page& page, std::vector<le32>& entries);
  void read_run(uint64_t first, uint64_t count, uint32_t sector, std::span<le32> out);
  void read_one(uint64_t table, std::span<le32> out);
  int sense_of(uint64_t grain, uint32_t entry) const;
  void heal(uint64_t table, std::span<le32> entries);
  bool in_hole(uint64_t offset, uint64_t length);
  void drop_pages();
  std::vector<le32>& change(uint64_t number, uint64_t first_index, uint64_t count);
  void write_tables(const TableBatch::Item& item, TableCopy copy);
  bool copies_differ(uint64_t table);
  void create_missing(TableBatch& batch, const std::function<uint32_t(uint64_t)>& allocate);

  const std::shared_ptr<Storage> file_;
  const SparseHeader header_;
  const uint64_t grains_;
  const Plan plan_;
  const uint64_t page_grains_;
  const uint64_t page_bytes_;
  std::atomic<uint64_t> file_end_;
  std::atomic<uint64_t> changed_pages_{0};
  std::atomic<uint64_t> clock_{0};

  std::shared_mutex mutex_;
  GrainDirectory directory_;
  std::vector<Page> pages_;
  uint64_t held_pages_ = 0;
  StorageExtent hole_;  ///< of the file, last seen
};

}  // namespace varve::vmdk

#endif
