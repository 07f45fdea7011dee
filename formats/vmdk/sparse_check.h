// Checking and repairing the structure of a hosted sparse extent, compressed or not.
//
// Both copies of the directory and of every table are read and compared. Each grain's entry must be possible: in the file, outside the
// metadata, and no other grain's. The first pass claims what the copies agree upon and what the primary one says; the second one looks
// at the tables that differ, so that a stale entry of one copy never takes a grain from its owner. Where the file has more places than the
// memory has room for, both passes are repeated for each part of it; what doesn't depend on owners is reported by the first round alone.
//
// Where the copies differ, the entry that is possible is right; of two, the one that names a grain, because the other would lose it.
// After a crash such a difference is how a writer's order of writes shows, and harmless as long as both entries are possible.
#ifndef VARVE_FORMATS_VMDK_SPARSE_CHECK_H
#define VARVE_FORMATS_VMDK_SPARSE_CHECK_H

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/interval_set.h"
#include "varve/check.h"
#include "varve/limits.h"
#include "vmdk/grain_directory.h"
#include "vmdk/grain_owners.h"
#include "vmdk/header.h"
#include "vmdk/table_cache.h"

namespace varve::vmdk {

/// More parts of a disk that can't be read than this are counted, but no longer told apart.
inline constexpr size_t kMaxBadParts = 10000;

/// Not thread-safe. Offsets of findings count from the extent's start.
class SparseCheck {
 public:
  /// `header`: the one that knows the directory's place. The extent's driver has been flushed and does not write meanwhile.
  /// `limits.metadata_bytes` bounds what all of it takes, but for the tables that a repair rewrites.
  SparseCheck(std::shared_ptr<Storage> file, const SparseHeader& header, const CheckOptions& options, const Limits& limits,
              CheckReport& report);

  /// Looks at everything and reports it, as repaired what options.repair allows to repair.
  void look();
  /// Will repair() make parts of the disk read as never written? Children must then notice that their parent has changed.
  bool gives_up_data() const { return !bad_tables_.empty(); }
  /// Does the repairs that look() has announced. Ordered so that at every moment one copy of each table is whole; doing it twice
  /// changes nothing the second time. True if anything was written.
  bool repair();

  /// Parts of the disk whose entries are bad: their data can't be read. At most kMaxBadParts + 1 of them.
  const IntervalSet& bad_parts() const { return bad_parts_; }

 private:
  struct Entries {
    uint32_t primary = 0;
    uint32_t redundant = 0;
  };
  /// What an entry is to become, and whether anything was right.
  struct Resolved {
    uint32_t entry = 0;
    bool possible = true;
  };

  // sparse_check.cc
  void check_header();
  void check_directories();
  void check_table_place(TableCopy copy, uint64_t table);
  void check_structures();
  void first_pass();
  void second_pass();
  void check_entry(uint64_t grain, uint32_t entry);
  void compare_table(uint64_t table);
  void report_difference(uint64_t table);
  std::vector<bool> find_stale(uint64_t table);
  void find_leaks(uint64_t end);
  void report_leaks();
  void check_unclean();
  uint64_t compressed_bytes() const;
  bool possible(uint64_t grain, uint32_t entry) const;
  bool is_data(uint32_t entry) const { return entry > 1 || (entry == 1 && !header_.has_zeroed_grains()); }
  bool begins_in_file(uint32_t entry) const;
  std::string why_impossible(uint64_t grain, uint32_t entry) const;
  void claim(uint64_t grain, uint32_t entry);
  uint64_t slot_of(uint64_t sector) const { return (sector + step_ - phase_) / step_; }
  uint64_t slots_of(uint64_t sector) const { return slot_of(sector + step_ - 1) - slot_of(sector) + 1; }
  Entries entries_of(uint64_t grain);
  Resolved resolve(uint64_t grain, Entries entries) const;
  uint64_t length_of(uint64_t grain) const;
  Finding finding(Severity severity, std::string message, uint64_t grain, uint64_t grains) const;
  /// Never where structures overlap: two tables in one place would be rewritten with each other's entries.
  bool repairs(Repair needed) const { return !overlapping_ && options_.repair >= needed; }
  void note_bad_part(uint64_t offset, uint64_t length);

  // sparse_repair.cc
  uint32_t derived_place(TableCopy copy, uint64_t table) const;
  bool place_is_free(uint32_t sector) const;
  std::vector<le32> resolved_table(uint64_t table);
  void repair_directories();
  void repair_tables();
  void repair_header();
  void clear_unclean();

  const std::shared_ptr<Storage> file_;
  const uint64_t file_size_;  ///< before any repair
  const SparseHeader header_;
  const CheckOptions& options_;
  CheckReport& report_;
  const uint64_t damages_before_;

  GrainDirectory directory_;
  TableCache primary_;
  TableCache redundant_;
  uint64_t first_usable_[2] = {0, 0};  ///< by copy: the first table that has a place; entries() if none
  const uint64_t step_;                ///< sectors of a slot of the owner map: a grain's, or 1 where grains are compressed
  uint64_t phase_ = 0;
  GrainOwners owners_;
  uint32_t lowest_ = UINT32_MAX;  ///< sectors of the first and the last grain of the file
  uint32_t highest_ = 0;

  uint64_t leak_slot_ = 0;  ///< where to look for leaked grains next
  uint64_t leaked_bytes_ = 0;
  uint64_t first_leak_ = 0;  ///< byte of the file

  struct DirectoryFix {
    TableCopy copy = TableCopy::primary;
    uint64_t table = 0;
    uint32_t sector = 0;
  };
  std::vector<DirectoryFix> directory_fixes_;
  std::vector<uint64_t> differing_;                  ///< tables, ascending
  std::vector<uint64_t> bad_tables_;                 ///< with entries that are given up
  std::map<uint64_t, std::vector<le32>> rewritten_;  ///< what tables are to hold; each takes less than its copies in the file
  bool drop_directory_ = false;
  bool clear_unclean_ = false;
  bool excused_ = false;  ///< something stays that would be damage in an extent that was closed cleanly
  bool overlapping_ = false;
  bool phase_known_ = false;
  IntervalSet bad_parts_;
};

}  // namespace varve::vmdk

#endif
