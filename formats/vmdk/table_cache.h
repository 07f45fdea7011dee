// Grain tables of extents that are only read: loaded when asked for, in pieces of many tables, and kept within a bound.
//
// A table is small (2 KiB) and a large disk has tens of thousands, so what lies side by side in the file is read at once, and a
// hole of the file is not read at all.
#ifndef VARVE_FORMATS_VMDK_TABLE_CACHE_H
#define VARVE_FORMATS_VMDK_TABLE_CACHE_H

#include <cstdint>
#include <list>
#include <memory>
#include <mutex>
#include <unordered_map>
#include <vector>

#include "varve/storage.h"

namespace varve::vmdk {

struct TableLayout {
  uint64_t grains = 0;  ///< of the extent
  uint32_t entries_per_table = 0;
  uint32_t entry_size = 4;       ///< 4 or 8 bytes
  std::vector<uint64_t> tables;  ///< where each lies in the file, bytes; 0: there is none, its entries are 0
};

/// Thread-safe.
class TableCache {
 public:
  /// `layout.tables` covers all grains. Layout and pieces together take no more than `bytes`; throws limit if the layout alone does, and
  /// corrupt if there are more tables than the file has room for.
  TableCache(std::shared_ptr<Storage> file, TableLayout layout, uint64_t bytes);

  /// Entries of neighbouring grains.
  struct Piece {
    uint64_t first = 0;  ///< grain
    uint64_t count = 0;
    std::shared_ptr<const std::vector<uint64_t>> entries;  ///< nullptr: all are 0

    uint64_t operator[](uint64_t grain) const { return entries ? (*entries)[grain - first] : 0; }
    uint64_t end() const { return first + count; }
  };
  /// The piece that holds `grain`, which must be one of the extent's. Throws corrupt if a table lies outside the file.
  Piece piece(uint64_t grain);
  uint64_t entry(uint64_t grain) { return piece(grain)[grain]; }

  const TableLayout& layout() const { return layout_; }

 private:
  bool places_fit(uint64_t first, uint64_t last) const;
  Piece load(uint64_t first, uint64_t last) const;  ///< tables [first, last)
  void load_run(uint64_t table, uint64_t count, uint64_t into, std::vector<uint64_t>& entries) const;

  const std::shared_ptr<Storage> file_;
  const TableLayout layout_;
  const uint64_t tables_per_piece_;
  const uint64_t max_pieces_;  ///< 0: each is read anew

  std::mutex mutex_;                              // covers what follows; not held while tables are read
  std::list<std::pair<uint64_t, Piece>> recent_;  // the latest used first
  std::unordered_map<uint64_t, std::list<std::pair<uint64_t, Piece>>::iterator> places_;
};

}  // namespace varve::vmdk

#endif
