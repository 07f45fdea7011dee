// The grain directories of a sparse extent: where its grain tables lie. T, "Grain Directory".
//
// There are two copies, each with tables of its own. They are read with OR: a table counts as present if either copy names a
// place where it can be, and only if neither does although one tries is it damaged.
#ifndef VARVE_FORMATS_VMDK_GRAIN_DIRECTORY_H
#define VARVE_FORMATS_VMDK_GRAIN_DIRECTORY_H

#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#include "varve/limits.h"
#include "varve/storage.h"
#include "vmdk/header.h"
#include "vmdk/sector_ranges.h"

namespace varve::vmdk {

enum class TableCopy : uint8_t { primary, redundant };

/// How many of two directories have to be readable. One is enough for reading. Whoever writes would take the other one for empty, and
/// put something else in the place of what is there.
enum class Copies : uint8_t { one, both };

/// Not thread-safe for changes; the tables above it lock.
class GrainDirectory {
 public:
  /// Reads both copies. `header` must have been parsed against this file. Throws what reading threw if fewer than `needed` can be read.
  static GrainDirectory load(Storage& file, const SparseHeader& header, const Limits& limits, Copies needed);
  /// Of a new extent whose tables lie one behind the other from these sectors on.
  static GrainDirectory lay_out(const SparseHeader& header, uint64_t first_table, uint64_t first_redundant_table);

  /// The same with more tables, for `header` of a larger disk whose directories lie elsewhere: tables are added from these sectors on.
  GrainDirectory grow(const SparseHeader& header, uint64_t first_table, uint64_t first_redundant_table) const;

  uint64_t entries() const { return primary_.size(); }
  bool has_redundant() const { return !redundant_.empty(); }
  uint64_t table_sectors() const { return table_sectors_; }
  uint64_t table_bytes() const { return table_bytes_; }

  /// The sector that a copy stores for table `index`; 0: none.
  uint32_t stored(TableCopy copy, uint64_t index) const { return list(copy).empty() ? 0 : list(copy)[index]; }
  /// The same if a table can lie there, else 0.
  uint32_t usable(TableCopy copy, uint64_t index) const;
  /// Where to read table `index`: 0 if there is none, nullopt if no copy names a possible place.
  std::optional<uint32_t> readable(uint64_t index) const;

  void set(TableCopy copy, uint64_t index, uint32_t sector);
  /// Byte offset in the file of the entry.
  uint64_t entry_offset(TableCopy copy, uint64_t index) const;
  void write_all(Storage& file, TableCopy copy) const;

  /// Does any structure of the extent (header, descriptor, directories, tables) lie on [sector, sector + count)?
  bool is_metadata(uint64_t sector, uint64_t count) const { return metadata_.takes(sector, count); }
  /// Where all of these lie.
  const SectorRanges& metadata() const { return metadata_; }

 private:
  GrainDirectory(const SparseHeader& header, uint64_t file_sectors);
  const std::vector<uint32_t>& list(TableCopy copy) const { return copy == TableCopy::primary ? primary_ : redundant_; }
  void refuse_aliases(const std::string& path) const;
  void note_metadata(const Limits& limits);
  void note_table(uint32_t sector) { metadata_.add(sector, sector + table_sectors_); }

  SparseHeader header_;
  uint64_t file_sectors_;
  uint64_t table_sectors_;
  uint64_t table_bytes_;
  std::vector<uint32_t> primary_;
  std::vector<uint32_t> redundant_;
  SectorRanges metadata_;
};

}  // namespace varve::vmdk

#endif
