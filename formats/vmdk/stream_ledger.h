// Do the tables of a stream say what its grains' markers say?
//
// Who reads a stream from a pipe goes by the markers, who reads the file goes by the tables: both must see the same disk. Tables come
// before or behind their grains, and which grains a table stands for only the directory knows, which may come last. So each table, as
// it stands and as the grains make it, is remembered as one number: its entries as a polynomial at a random point, which whoever made
// the stream cannot know. Two tables that differ have the same number once in 2^52.
#ifndef VARVE_FORMATS_VMDK_STREAM_LEDGER_H
#define VARVE_FORMATS_VMDK_STREAM_LEDGER_H

#include <cstdint>
#include <span>
#include <vector>

#include "vmdk/header.h"

namespace varve::vmdk {

/// Memory: 16 bytes for each table that came by, and for each that has grains. Not thread-safe.
class StreamLedger {
 public:
  /// `key` is random.
  StreamLedger(const SparseHeader& header, const Limits& limits, uint64_t key);

  /// A grain whose marker lies in `sector` of the stream. Numbers ascend.
  void add_grain(uint64_t number, uint64_t sector);
  /// A grain table, whole. Sectors ascend. Throws limit for more tables than may be remembered.
  void add_table(uint64_t sector, std::span<const le32> entries);

  /// Throws corrupt unless the tables that `directory` names have come by, and name all grains that came by, each in its sector, and no
  /// others.
  void require_agreement(std::span<const le32> directory);

 private:
  struct Sum {
    uint64_t of = 0;  ///< a table: its sector, or its number
    uint64_t value = 0;
  };

  uint64_t sum_of(std::span<const le32> entries) const;
  const Sum* table_in(uint64_t sector) const;
  void finish_table();
  void add(std::vector<Sum>& sums, Sum sum);

  const bool zeroed_grains_;
  const uint64_t max_sums_;
  const uint64_t key_;
  std::vector<Sum> tables_;    ///< by sector, ascending
  std::vector<Sum> expected_;  ///< by number, ascending: what the grains make
  uint64_t current_ = 0;       ///< the table that the grains are in
  bool current_used_ = false;
  std::vector<le32> current_entries_;
};

}  // namespace varve::vmdk

#endif
