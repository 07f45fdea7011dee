#include "vmdk/sparse_check.h"

#include <algorithm>
#include <utility>

#include "base/checked_math.h"
#include "varve/error.h"
#include "vmdk/stream_grain.h"

namespace varve::vmdk {
namespace {

/// A table that one copy has no place for is read from the other one there, too: that is all that is known of it.
TableLayout layout_of(const SparseHeader& header, const GrainDirectory& directory, TableCopy copy) {
  const TableCopy other = copy == TableCopy::primary ? TableCopy::redundant : TableCopy::primary;
  TableLayout layout;
  layout.grains = header.grain_count();
  layout.entries_per_table = header.gtes_per_gt;
  layout.entry_size = kGtEntrySize;
  layout.tables.reserve(directory.entries());
  for (uint64_t i = 0; i < directory.entries(); ++i) {
    const uint64_t own = directory.usable(copy, i);
    layout.tables.push_back((own != 0 ? own : directory.usable(other, i)) * kSectorSize);
  }
  return layout;
}

/// Entries are 32 bits: what lies behind the last sector that they can name is nobody's.
uint64_t nameable_bytes(uint64_t file_size) { return std::min(file_size, (uint64_t{UINT32_MAX} + 1) * kSectorSize); }

Limits share_of(const Limits& limits, uint64_t parts) {
  Limits share = limits;
  share.metadata_bytes /= parts;
  return share;
}

const char* copy_name(TableCopy copy) { return copy == TableCopy::primary ? "the grain directory" : "the redundant grain directory"; }

}  // namespace

SparseCheck::SparseCheck(std::shared_ptr<Storage> file, const SparseHeader& header, const CheckOptions& options, const Limits& limits,
                         CheckReport& report)
    : file_(std::move(file)),
      file_size_(file_->size()),
      header_(header),
      options_(options),
      report_(report),
      damages_before_(report.damages),
      directory_(GrainDirectory::load(*file_, header_, share_of(limits, 2), options.repair == Repair::none ? Copies::one : Copies::both)),
      primary_(file_, layout_of(header_, directory_, TableCopy::primary), limits.metadata_bytes / 4),
      redundant_(file_, layout_of(header_, directory_, directory_.has_redundant() ? TableCopy::redundant : TableCopy::primary),
                 limits.metadata_bytes / 4),
      step_(header_.compressed() ? 1 : header_.grain_sectors),
      phase_(header_.compressed() ? 0 : header_.overhead_sectors % step_),
      owners_(nameable_bytes(file_size_) / kSectorSize / step_ + 3, limits.metadata_bytes / 4) {
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
  return range_fits(entry * kSectorSize, length, file_size_) && !directory_.is_metadata(entry, div_ceil(length, kSectorSize));
}

/// Of such a grain the reader shows what the file has: a safe repair must not hide it behind a copy that knows nothing of it.
bool SparseCheck::begins_in_file(uint32_t entry) const {
  return is_data(entry) && !header_.compressed() && entry >= header_.overhead_sectors && entry * kSectorSize < file_size_ &&
         !directory_.is_metadata(entry, header_.grain_sectors);
}

std::string SparseCheck::why_impossible(uint64_t grain, uint32_t entry) const {
  const bool metadata = directory_.is_metadata(entry, 1) || (!header_.compressed() && entry < header_.overhead_sectors);
  return "grain " + std::to_string(grain) + (metadata ? " lies inside the metadata" : " lies outside the file");
}

void SparseCheck::note_bad_part(uint64_t offset, uint64_t length) {
  if (bad_parts_.count() <= kMaxBadParts) bad_parts_.insert(offset, length);
}

/// `entry` is possible data.
void SparseCheck::claim(uint64_t grain, uint32_t entry) {
  // Grains are aligned like the first one, wherever the overhead ends.
  if (!phase_known_) phase_ = entry % step_;
  phase_known_ = true;
  if (!owners_.claim(slot_of(entry), slots_of(entry))) {
    Finding found = finding(Severity::damage, "grain " + std::to_string(grain) + " shares its place with another", grain, 1);
    found.file_offset = entry * kSectorSize;
    report_.add(std::move(found));
  }
  lowest_ = std::min(lowest_, entry);
  highest_ = std::max(highest_, entry);
  if (!header_.compressed() && owners_.in_window(slot_of(entry))) report_.allocated_bytes += header_.grain_bytes();
}

void SparseCheck::check_entry(uint64_t grain, uint32_t entry) {
  if (!is_data(entry)) return;
  if (possible(grain, entry)) return claim(grain, entry);
  if (!owners_.in_first_window()) return;
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

SparseCheck::Resolved SparseCheck::resolve(uint64_t grain, Entries e) const {
  const bool primary_ok = possible(grain, e.primary);
  const bool redundant_ok = possible(grain, e.redundant);
  // What stays if nothing is given up: what the reader takes.
  const uint32_t kept = begins_in_file(e.redundant) && !begins_in_file(e.primary) ? e.redundant : e.primary;
  if (!primary_ok && !redundant_ok) return {kept, false};
  if (!primary_ok && e.redundant == 0 && begins_in_file(e.primary)) return {e.primary, false};
  if (!primary_ok) return {e.redundant, true};
  return {!redundant_ok || e.primary != 0 ? e.primary : e.redundant, true};
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
    check_table_place(TableCopy::primary, i);
    if (directory_.has_redundant()) check_table_place(TableCopy::redundant, i);
  }
}

void SparseCheck::check_table_place(TableCopy copy, uint64_t table) {
  const TableCopy other = copy == TableCopy::primary ? TableCopy::redundant : TableCopy::primary;
  const uint32_t stored = directory_.stored(copy, table);
  const bool missing = stored == 0 && directory_.has_redundant() && directory_.stored(other, table) != 0;
  const bool outside = stored != 0 && directory_.usable(copy, table) == 0;
  if (!missing && !outside) return;
  const uint32_t place = derived_place(copy, table);
  const bool other_good = directory_.has_redundant() && directory_.usable(other, table) != 0;
  Finding found =
      finding(Severity::damage,
              std::string(copy_name(copy)) + " places table " + std::to_string(table) + (outside ? " outside the file" : " nowhere"),
              table * header_.gtes_per_gt, header_.gtes_per_gt);
  // A crash while a table was being added: one directory has it already.
  if (missing && header_.unclean && other_good) found.severity = Severity::note;
  found.file_offset = directory_.entry_offset(copy, table);
  found.repaired = repairs(Repair::safe) && other_good && place != 0;
  if (found.repaired) directory_fixes_.push_back({copy, table, place});
  excused_ = excused_ || (found.severity == Severity::note && !found.repaired);
  if (!other_good) note_bad_part(*found.disk_offset, found.disk_length);
  report_.add(std::move(found));
}

void SparseCheck::check_structures() {
  const auto sector = directory_.metadata().overlap();
  overlapping_ = sector.has_value();
  if (!overlapping_) return;
  Finding found;
  found.message = "two structures of the extent share a sector";
  found.file_offset = *sector * kSectorSize;
  report_.add(std::move(found));
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
      if (differing_.empty() || differing_.back() < table) differing_.push_back(table);
      if (is_data(entry) && possible(grain, entry)) claim(grain, entry);
    }
  }
}

void SparseCheck::second_pass() {
  for (const uint64_t table : differing_) {
    if (options_.cancel != nullptr) options_.cancel->check();
    if (owners_.in_first_window()) report_difference(table);
    compare_table(table);
  }
}

/// A bit for each entry that only the redundant copy has, and that names another's grain.
std::vector<bool> SparseCheck::find_stale(uint64_t table) {
  const uint64_t first = table * header_.gtes_per_gt;
  std::vector<bool> stale(std::min<uint64_t>(header_.gtes_per_gt, header_.grain_count() - first));
  for (uint64_t i = 0; i < stale.size(); ++i) {
    const Entries e = entries_of(first + i);
    stale[i] = e.primary == 0 && is_data(e.redundant) && possible(first + i, e.redundant) &&
               owners_.owned(slot_of(e.redundant), slots_of(e.redundant));
  }
  return stale;
}

/// Claims what the first pass has not.
void SparseCheck::compare_table(uint64_t table) {
  // Before anything is claimed: afterwards an entry that is right looks like another's.
  const std::vector<bool> stale = find_stale(table);
  const auto rewritten = rewritten_.find(table);
  for (uint64_t i = 0; i < stale.size(); ++i) {
    const uint64_t grain = table * header_.gtes_per_gt + i;
    if (stale[i]) {
      if (rewritten != rewritten_.end()) rewritten->second[i] = 0;
      continue;
    }
    const Entries e = entries_of(grain);
    const Resolved right = resolve(grain, e);
    if (right.possible && right.entry != e.primary && is_data(right.entry)) claim(grain, right.entry);
  }
}

void SparseCheck::report_difference(uint64_t table) {
  const uint64_t first = table * header_.gtes_per_gt;
  const uint64_t end = std::min(first + header_.gtes_per_gt, header_.grain_count());
  if (repairs(Repair::safe)) rewritten_[table] = resolved_table(table);
  uint64_t differ = 0;
  bool harmless = header_.unclean;
  for (uint64_t grain = first; grain < end; ++grain) {
    const Entries e = entries_of(grain);
    if (e.primary == e.redundant) continue;
    ++differ;
    harmless = harmless && possible(grain, e.primary) && possible(grain, e.redundant);
    if (!resolve(grain, e).possible) check_entry(grain, e.primary);
  }
  Finding found = finding(harmless ? Severity::note : Severity::damage,
                          "the two copies of grain table " + std::to_string(table) + " differ in " + std::to_string(differ) + " entries",
                          first, header_.gtes_per_gt);
  found.repaired = repairs(Repair::safe);
  report_.add(std::move(found));
}

/// Grain-sized places behind the metadata and before slot `end` that hold data and belong to nobody. Compressed grains have no places of a
/// known size.
void SparseCheck::find_leaks(uint64_t end) {
  if (header_.compressed()) return;
  const uint64_t grain_bytes = header_.grain_bytes();
  if (leak_slot_ == 0) leak_slot_ = std::max<uint64_t>(1, slot_of(header_.overhead_sectors));
  for (; (leak_slot_ = owners_.next_free(leak_slot_)) < end; ++leak_slot_) {
    if (options_.cancel != nullptr) options_.cancel->check();
    const uint64_t offset = ((leak_slot_ - 1) * step_ + phase_) * kSectorSize;
    if (offset >= file_size_) return;
    const StorageExtent run = file_->extent_at(offset);
    if (run.hole) {
      leak_slot_ += std::max<uint64_t>(1, run.length / grain_bytes) - 1;
    } else if (!directory_.is_metadata(offset / kSectorSize, step_)) {
      if (leaked_bytes_ == 0) first_leak_ = offset;
      leaked_bytes_ += std::min(grain_bytes, file_size_ - offset);
    }
  }
}

void SparseCheck::report_leaks() {
  if (leaked_bytes_ == 0) return;
  Finding found;
  found.severity = Severity::leak;
  found.message = std::to_string(leaked_bytes_) + " bytes of grains that nothing refers to; a converted copy will not have them";
  found.file_offset = first_leak_;
  report_.leaked_bytes += leaked_bytes_;
  report_.add(std::move(found));
}

void SparseCheck::check_unclean() {
  if (!header_.unclean) return;
  Finding found;
  found.severity = Severity::note;
  found.message = "the extent was not closed cleanly";
  found.file_offset = offsetof(SparseHeaderRaw, unclean_shutdown);
  found.repaired = repairs(Repair::safe) && report_.damages == damages_before_ && !excused_;
  clear_unclean_ = found.repaired;
  report_.add(std::move(found));
}

/// From the first grain to the end of the last one, without the structures in between. How long a compressed grain is, only its marker
/// knows.
uint64_t SparseCheck::compressed_bytes() const {
  if (lowest_ > highest_) return 0;
  uint64_t end = file_size_ / kSectorSize;
  if (header_.has_markers()) {
    std::vector<std::byte> marker(kGrainMarkerSize);
    file_->read_at(highest_ * kSectorSize, marker);
    end = std::min(end, highest_ + div_ceil(kGrainMarkerSize + load_marker(marker).size, kSectorSize));
  }
  uint64_t stored = end - std::min<uint64_t>(end, lowest_);
  for (const SectorRange& range : directory_.metadata().ranges()) {
    if (range.first < lowest_ || range.end > end) continue;
    stored -= std::min(stored, range.end - range.first + (header_.has_markers() ? 1 : 0));
  }
  return stored * kSectorSize;
}

void SparseCheck::look() {
  check_structures();  // first: it decides whether anything may be repaired
  check_header();
  check_directories();
  do {
    first_pass();
    second_pass();
    find_leaks(owners_.end());
  } while (owners_.advance());
  find_leaks(UINT64_MAX);
  report_leaks();
  for (const uint64_t table : bad_tables_)
    if (!rewritten_.contains(table)) rewritten_[table] = resolved_table(table);
  if (header_.compressed()) report_.allocated_bytes += compressed_bytes();
  check_unclean();
}

}  // namespace varve::vmdk
