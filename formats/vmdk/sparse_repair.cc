// The repairs of sparse_check.h. The order is that of every writer here: what is to be referred to, flush, the redundant copy, flush,
// the primary one, flush. So a crash in the middle of a repair leaves an extent that the same repair finishes.
#include <algorithm>
#include <array>
#include <utility>

#include "base/checked_math.h"
#include "vmdk/sparse_check.h"

namespace varve::vmdk {

/// Where table `table` of a copy has to be if the tables lie side by side, as all known writers lay them out, and nothing else lies
/// there; 0 if that can't be told.
uint32_t SparseCheck::derived_place(TableCopy copy, uint64_t table) const {
  const uint64_t known = first_usable_[static_cast<size_t>(copy)];
  if (known >= directory_.entries()) return 0;
  const uint64_t sector = directory_.usable(copy, known);
  const uint64_t back = known > table ? (known - table) * directory_.table_sectors() : 0;
  if (back >= sector) return 0;
  const uint64_t place = sector - back + (table > known ? (table - known) * directory_.table_sectors() : 0);
  if (place + directory_.table_sectors() > header_.overhead_sectors || place > UINT32_MAX) return 0;
  return place_is_free(static_cast<uint32_t>(place)) ? static_cast<uint32_t>(place) : 0;
}

bool SparseCheck::place_is_free(uint32_t sector) const {
  return sector != 0 && !directory_.is_metadata(sector, directory_.table_sectors());
}

/// What the table has to hold, as far as that is known now.
std::vector<le32> SparseCheck::resolved_table(uint64_t table) {
  std::vector<le32> entries(header_.gtes_per_gt, le32(0));
  const uint64_t first = table * header_.gtes_per_gt;
  for (uint64_t i = 0; i < entries.size() && first + i < header_.grain_count(); ++i) {
    const Entries stored = entries_of(first + i);
    const Resolved right = resolve(first + i, stored);
    // What cannot be right is given up only on the user's word.
    entries[i] = right.possible || !repairs(Repair::all) ? right.entry : 0;
  }
  return entries;
}

/// A table gets its place back, filled from the other copy.
void SparseCheck::repair_directories() {
  if (directory_fixes_.empty()) return;
  for (const DirectoryFix& fix : directory_fixes_) {
    const auto known = rewritten_.find(fix.table);
    const auto entries = known != rewritten_.end() ? known->second : resolved_table(fix.table);
    file_->write_at(fix.sector * kSectorSize, std::as_bytes(std::span(entries)));
  }
  file_->flush();
  for (const DirectoryFix& fix : directory_fixes_)
    file_->write_at(directory_.entry_offset(fix.copy, fix.table), bytes_of(le32(fix.sector)));
  file_->flush();
}

void SparseCheck::repair_tables() {
  if (rewritten_.empty()) return;
  for (const TableCopy copy : {TableCopy::redundant, TableCopy::primary}) {
    for (const auto& [table, entries] : rewritten_)
      if (const uint64_t sector = directory_.usable(copy, table); sector != 0)
        file_->write_at(sector * kSectorSize, std::as_bytes(std::span(entries)));
    file_->flush();
  }
}

/// The header names the directory that is there, alone. What the lost one knew is not to be had, and new places for its tables would
/// have to be found behind the grains.
void SparseCheck::repair_header() {
  if (!drop_directory_) return;
  std::array<std::byte, kSectorSize> sector{};
  file_->read_at(0, sector);
  auto raw = load<SparseHeaderRaw>(sector);
  raw.flags = header_.flags & ~kFlagRedundantTables;
  raw.rgd_offset = 0;
  raw.gd_offset = header_.gd_sector;
  file_->write_at(0, bytes_of(raw));
  file_->flush();
}

void SparseCheck::clear_unclean() {
  if (!clear_unclean_) return;
  const std::array<std::byte, 1> clean{};
  file_->write_at(offsetof(SparseHeaderRaw, unclean_shutdown), clean);
  file_->flush();
}

bool SparseCheck::repair() {
  const bool any = !directory_fixes_.empty() || !rewritten_.empty() || drop_directory_ || clear_unclean_;
  repair_directories();
  repair_tables();
  repair_header();
  clear_unclean();
  return any;
}

}  // namespace varve::vmdk
