#include "vmdk/sparse_check.h"

#include <algorithm>
#include <utility>

#include "base/checked_math.h"
#include "varve/error.h"
#include "vmdk/stream_grain.h"

namespace varve::vmdk {
namespace {

TableLayout layout_of(const SparseHeader& header, const GrainDirectory& directory, TableCopy copy) {
  TableLayout layout;
  layout.grains = header.grain_count();
  layout.entries_per_table = header.gtes_per_gt;
  layout.entry_size = kGtEntrySize;
  layout.tables.reserve(directory.entries());
  for (uint64_t i = 0; i < directory.entries(); ++i) layout.tables.push_back(directory.usable(copy, i) * kSectorSize);
  return layout;
}

const char* copy_name(TableCopy copy) { return copy == TableCopy::primary ? "the grain directory" : "the redundant grain directory"; }

}  // namespace

SparseCheck::SparseCheck(std::shared_ptr<Storage> file, const SparseHeader& header, const CheckOptions& options, const Limits& limits,
                         CheckReport& report)
    : file_(std::move(file)),
      header_(header),
      options_(options),
      limits_(limits),
      report_(report),
      damages_before_(report.damages),
      directory_(GrainDirectory::load(*file_, header_, limits)),
      primary_(file_, layout_of(header_, directory_, TableCopy::primary), limits.metadata_bytes),
      redundant_(file_, layout_of(header_, directory_, directory_.has_redundant() ? TableCopy::redundant : TableCopy::primary),
                 limits.metadata_bytes),
      step_(header_.compressed() ? 1 : header_.grain_sectors),
      phase_(header_.compressed() ? 0 : header_.overhead_sectors % step_),
      owners_(file_->size() / kSectorSize / step_ + 3, limits.metadata_bytes) {
  for (const TableCopy copy : {TableCopy::primary, TableCopy::redundant}) {
    uint64_t& first = first_usable_[static_cast<size_t>(copy)];
    while (first < directory_.entries() && directory_.usable(copy, first) == 0) ++first;
  }
}

uint64_t SparseCheck::length_of(uint64_t grain) const {
  return std::min(header_.grain_bytes(), header_.capacity_bytes() - grain * header_.grain_bytes());
}

Finding SparseCheck::finding(Severity severity, std::string message, uint64_t grain, uint64_t grains) const {
  Finding out;
  out.severity = severity;
  out.message = std::move(message);
  out.disk_offset = grain * header_.grain_bytes();
  out.disk_length = std::min(grains * header_.grain_bytes(), header_.capacity_bytes() - *out.disk_offset);
  return out;
}

bool SparseCheck::possible(uint64_t grain, uint32_t entry) const {
  if (!is_data(entry)) return true;
  if (!header_.compressed() && entry < header_.overhead_sectors) return false;  // the reader's rule, too
  const uint64_t length = header_.compressed() ? kGrainMarkerSize + 1 : length_of(grain);
  return range_fits(entry * kSectorSize, length, file_->size()) && !directory_.is_metadata(entry, div_ceil(length, kSectorSize));
}

std::string SparseCheck::why_impossible(uint64_t grain, uint32_t entry) const {
  const bool metadata = directory_.is_metadata(entry, 1) || (!header_.compressed() && entry < header_.overhead_sectors);
  return "grain " + std::to_string(grain) + (metadata ? " lies inside the metadata" : " lies outside the file");
}

void SparseCheck::note_bad_part(uint64_t offset, uint64_t length) {
  if (bad_parts_.count() <= kMaxBadParts) bad_parts_.insert(offset, length);
}

bool SparseCheck::owned(uint32_t entry) const {
  const uint64_t last = entry + step_ - 1;
  return owners_.test(slot_of(entry)) || owners_.test(slot_of(last));
}

/// `entry` is possible data.
void SparseCheck::claim(uint64_t grain, uint32_t entry) {
  // Grains are aligned like the first one, wherever the overhead ends.
  if (!phase_known_) phase_ = entry % step_;
  phase_known_ = true;
  if (owned(entry)) {
    Finding found = finding(Severity::damage, "grain " + std::to_string(grain) + " shares its place with another", grain, 1);
    found.file_offset = entry * kSectorSize;
    report_.add(std::move(found));
  }
  owners_.set(slot_of(entry));
  owners_.set(slot_of(entry + step_ - 1));
  report_.allocated_bytes += header_.compressed() ? 0 : header_.grain_bytes();
}

void SparseCheck::check_entry(uint64_t grain, uint32_t entry) {
  if (!is_data(entry)) return;
  if (possible(grain, entry)) return claim(grain, entry);
  note_bad_part(grain * header_.grain_bytes(), length_of(grain));
  Finding found = finding(Severity::damage, why_impossible(grain, entry), grain, 1);
  found.file_offset = entry * kSectorSize;
  found.repaired = repairs(Repair::all);
  if (found.repaired) found.message += "; given up, the range reads as never written";
  report_.add(std::move(found));
  const uint64_t table = grain / header_.gtes_per_gt;
  if (repairs(Repair::all) && (bad_tables_.empty() || bad_tables_.back() != table)) bad_tables_.push_back(table);
}

SparseCheck::Entries SparseCheck::entries_of(uint64_t grain) {
  return {static_cast<uint32_t>(primary_.entry(grain)), static_cast<uint32_t>(redundant_.entry(grain))};
}

/// A table without a place in one copy counts as all absent there, so the other copy's entries win.
SparseCheck::Resolved SparseCheck::resolve(uint64_t grain, Entries e) const {
  const bool primary_ok = possible(grain, e.primary);
  const bool redundant_ok = possible(grain, e.redundant);
  if (!primary_ok && !redundant_ok) return {0, false};
  if (!primary_ok) return {e.redundant, true};
  if (!redundant_ok || e.primary != 0) return {e.primary, true};
  // Only the redundant copy names a grain. If it is another's, that entry is stale.
  return is_data(e.redundant) && owned(e.redundant) ? Resolved{e.primary, true} : Resolved{e.redundant, true};
}

void SparseCheck::check_header() {
  if (!header_.lost_directory) return;
  Finding found;
  found.message = "one of the two grain directories lies outside the file; the other one was used";
  found.file_offset = offsetof(SparseHeaderRaw, rgd_offset);
  found.repaired = repairs(Repair::safe) && !header_.compressed();
  drop_directory_ = found.repaired;
  report_.add(std::move(found));
}

void SparseCheck::check_directories() {
  for (uint64_t i = 0; i < directory_.entries(); ++i) {
    const uint32_t stored[] = {directory_.stored(TableCopy::primary, i), directory_.stored(TableCopy::redundant, i)};
    for (const TableCopy copy : {TableCopy::primary, TableCopy::redundant}) {
      if (copy == TableCopy::redundant && !directory_.has_redundant()) continue;
      const bool missing = stored[0] != stored[1] && directory_.has_redundant() && directory_.stored(copy, i) == 0;
      const bool outside = directory_.stored(copy, i) != 0 && directory_.usable(copy, i) == 0;
      if (!missing && !outside) continue;
      const uint32_t place = derived_place(copy, i);
      const bool other_good =
          directory_.has_redundant() && directory_.usable(copy == TableCopy::primary ? TableCopy::redundant : TableCopy::primary, i) != 0;
      Finding found =
          finding(Severity::damage,
                  std::string(copy_name(copy)) + " places table " + std::to_string(i) + (outside ? " outside the file" : " nowhere"),
                  i * header_.gtes_per_gt, header_.gtes_per_gt);
      // A crash while a table was being added: one directory has it already.
      if (missing && !outside && header_.unclean && other_good) found.severity = Severity::note;
      found.file_offset = directory_.entry_offset(copy, i);
      found.repaired = repairs(Repair::safe) && other_good && place != 0;
      if (found.repaired) directory_fixes_.push_back({copy, i, place});
      if (!other_good) note_bad_part(*found.disk_offset, found.disk_length);
      report_.add(std::move(found));
    }
  }
}

void SparseCheck::check_structures() {
  std::vector<SectorRange> ranges = directory_.structures();
  std::sort(ranges.begin(), ranges.end(), [](const SectorRange& a, const SectorRange& b) { return a.first < b.first; });
  for (size_t i = 1; i < ranges.size(); ++i) {
    if (ranges[i].first >= ranges[i - 1].end) continue;
    overlapping_ = true;
    Finding found;
    found.message = "two structures of the extent share a sector";
    found.file_offset = ranges[i].first * kSectorSize;
    report_.add(std::move(found));
  }
}

void SparseCheck::first_pass() {
  const uint64_t grains = header_.grain_count();
  for (uint64_t grain = 0; grain < grains;) {
    if (options_.cancel != nullptr) options_.cancel->check();
    const TableCache::Piece primary = primary_.piece(grain);
    const TableCache::Piece redundant = redundant_.piece(grain);
    if (!primary.entries && !redundant.entries) {
      grain = primary.end();
      continue;
    }
    for (const uint64_t end = std::min(primary.end(), redundant.end()); grain < end; ++grain) {
      const auto entry = static_cast<uint32_t>(primary[grain]);
      if (entry == redundant[grain]) {
        check_entry(grain, entry);
        continue;
      }
      const uint64_t table = grain / header_.gtes_per_gt;
      if (differing_.empty() || differing_.back() != table) differing_.push_back(table);
      if (is_data(entry) && possible(grain, entry)) claim(grain, entry);
    }
  }
}

void SparseCheck::second_pass() {
  for (const uint64_t table : differing_) compare_table(table);
  for (const uint64_t table : bad_tables_)
    if (!rewritten_.contains(table)) rewritten_[table] = resolved_table(table);
}

void SparseCheck::compare_table(uint64_t table) {
  const uint64_t first = table * header_.gtes_per_gt;
  const uint64_t end = std::min(first + header_.gtes_per_gt, header_.grain_count());
  // Before anything is claimed: afterwards an entry that is right looks like another's.
  if (repairs(Repair::safe)) rewritten_[table] = resolved_table(table);
  uint64_t differ = 0;
  bool harmless = header_.unclean;
  for (uint64_t grain = first; grain < end; ++grain) {
    const Entries e = entries_of(grain);
    if (e.primary == e.redundant) continue;
    ++differ;
    harmless = harmless && possible(grain, e.primary) && possible(grain, e.redundant);
    const Resolved right = resolve(grain, e);
    if (!right.possible)
      check_entry(grain, e.primary);
    else if (right.entry != e.primary && is_data(right.entry))
      claim(grain, right.entry);
  }
  // A table that one copy has no place for has been reported by its directory entry.
  const bool both = directory_.usable(TableCopy::primary, table) != 0 && directory_.usable(TableCopy::redundant, table) != 0;
  if (!both) return;
  Finding found = finding(harmless ? Severity::note : Severity::damage,
                          "the two copies of grain table " + std::to_string(table) + " differ in " + std::to_string(differ) + " entries",
                          first, header_.gtes_per_gt);
  found.repaired = repairs(Repair::safe);
  report_.add(std::move(found));
}

/// Grain-sized places behind the metadata that hold data and belong to nobody. Compressed grains have no places of a known size.
void SparseCheck::find_leaks() {
  if (header_.compressed()) return;
  const uint64_t size = file_->size();
  const uint64_t grain_bytes = header_.grain_bytes();
  uint64_t leaked = 0;
  uint64_t first_leak = 0;
  const auto offset_of = [&](uint64_t slot) { return ((slot - 1) * step_ + phase_) * kSectorSize; };
  uint64_t slot = std::max<uint64_t>(1, slot_of(header_.overhead_sectors));
  while (slot < owners_.size() && offset_of(slot) < size) {
    slot = owners_.find_next_clear(slot);
    const uint64_t offset = slot < owners_.size() ? offset_of(slot) : size;
    if (offset >= size) break;
    const StorageExtent run = file_->extent_at(offset);
    if (run.hole) {
      slot += std::max<uint64_t>(1, run.length / grain_bytes);
      continue;
    }
    if (!directory_.is_metadata(offset / kSectorSize, step_)) {
      if (leaked == 0) first_leak = offset;
      leaked += std::min(grain_bytes, size - offset);
    }
    ++slot;
  }
  if (leaked == 0) return;
  Finding found;
  found.severity = Severity::leak;
  found.message = std::to_string(leaked) + " bytes of grains that nothing refers to; a converted copy will not have them";
  found.file_offset = first_leak;
  report_.leaked_bytes += leaked;
  report_.add(std::move(found));
}

void SparseCheck::check_unclean() {
  if (!header_.unclean) return;
  Finding found;
  found.severity = Severity::note;
  found.message = "the extent was not closed cleanly";
  found.file_offset = offsetof(SparseHeaderRaw, unclean_shutdown);
  found.repaired = repairs(Repair::safe) && report_.damages == damages_before_;
  clear_unclean_ = found.repaired;
  report_.add(std::move(found));
}

void SparseCheck::look() {
  check_structures();  // first: it decides whether anything may be repaired
  check_header();
  check_directories();
  first_pass();
  second_pass();
  find_leaks();
  // How long each compressed grain is, only its marker knows.
  if (header_.compressed()) report_.allocated_bytes += file_->size() - std::min(file_->size(), header_.overhead_bytes());
  check_unclean();
}

}  // namespace varve::vmdk
