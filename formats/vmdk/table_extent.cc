#include "vmdk/table_extent.h"

#include <algorithm>
#include <string>
#include <utility>

#include "base/checked_math.h"
#include "varve/error.h"

namespace varve::vmdk {
namespace {

/// extent_at() looks at no more than this many pieces of the tables.
constexpr int kMaxPieces = 16;

}  // namespace

// A half is the tables', a quarter each the places of structures and the owners of grains.
TableExtent::TableExtent(std::shared_ptr<Storage> file, const GrainLayout& layout, TableLayout tables, SectorRanges metadata,
                         uint64_t metadata_bytes)
    : file_(std::move(file)),
      layout_(layout),
      metadata_(std::move(metadata)),
      metadata_bytes_(metadata_bytes),
      tables_(file_, std::move(tables), metadata_bytes / 2) {}

uint64_t TableExtent::grain_length(uint64_t grain) const {
  return std::min(layout_.grain_bytes, layout_.size - grain * layout_.grain_bytes);
}

GrainPlace TableExtent::checked_place(uint64_t entry, uint64_t grain, uint64_t file_size) const {
  const GrainPlace place = place_of(entry);
  if (!place.known) throw Error(Errc::corrupt, "grain " + std::to_string(grain) + " has a table entry of no known kind").in(file_->name());
  if (place.kind != ExtentKind::data) return place;
  if (!range_fits(place.offset, grain_length(grain), file_size))  // MEM-20
    throw Error(Errc::corrupt, "grain " + std::to_string(grain) + " lies outside the file").in(file_->name()).at(place.offset);
  if (metadata_.takes(place.offset / kSectorSize, div_ceil(grain_length(grain), kSectorSize)))  // MEM-18
    throw Error(Errc::corrupt, "grain " + std::to_string(grain) + " lies inside the metadata").in(file_->name()).at(place.offset);
  return place;
}

void TableExtent::read_at(uint64_t offset, MutableBytes out) {
  while (!out.empty()) {
    const Extent run = extent_at(offset, out.size());
    const MutableBytes part = out.first(run.length);
    if (run.kind == ExtentKind::data)
      file_->read_at(*run.host_offset, part);
    else if (run.kind == ExtentKind::zero)
      std::fill(part.begin(), part.end(), std::byte{0});
    else
      read_below(offset, part);
    offset += run.length;
    out = out.subspan(run.length);
  }
}

Extent TableExtent::extent_at(uint64_t offset, uint64_t limit) {
  const uint64_t grain_bytes = layout_.grain_bytes;
  uint64_t grain = offset / grain_bytes;
  TableCache::Piece piece = tables_.piece(grain);
  const uint64_t file_size = file_->size();
  const GrainPlace first = checked_place(piece[grain], grain, file_size);
  // Where a run of data has to end: [MEM-18, MEM-20].
  const uint64_t stop = std::min(metadata_.next_taken(first.offset / kSectorSize), file_size / kSectorSize) * kSectorSize;
  uint64_t next_offset = first.offset;
  const uint64_t end = offset + std::min(limit, layout_.size - offset);
  for (int pieces = 1; (++grain) * grain_bytes < end;) {
    if (grain >= piece.end()) {
      if (++pieces > kMaxPieces) break;
      piece = tables_.piece(grain);
    }
    const GrainPlace place = place_of(piece[grain]);
    next_offset += grain_bytes;
    if (!place.known || place.kind != first.kind) break;
    if (place.kind != ExtentKind::data) continue;
    if (place.offset != next_offset || !range_fits(place.offset, grain_length(grain), stop)) break;
  }
  Extent out;
  out.offset = offset;
  out.length = std::min(grain * grain_bytes, end) - offset;
  out.kind = first.kind;
  if (first.kind == ExtentKind::data) out.host_offset = first.offset + offset % grain_bytes;
  return out;
}

uint64_t TableExtent::allocated_bytes() const { return file_->allocated_bytes().value_or(file_->size()); }

Finding TableExtent::damage(std::string message, uint64_t grain, std::optional<uint64_t> file_offset) const {
  Finding finding;
  finding.message = std::move(message);
  finding.file_offset = file_offset;
  finding.disk_offset = grain * layout_.grain_bytes;
  finding.disk_length = grain_length(grain);
  return finding;
}

void TableExtent::check(const CheckOptions& options, CheckReport& report) {
  if (const auto sector = metadata_.overlap()) {
    Finding found;
    found.message = "two structures of the extent share a sector";
    found.file_offset = *sector * kSectorSize;
    report.add(std::move(found));
  }
  GrainOwners owners(div_ceil(file_->size(), layout_.alignment), metadata_bytes_ / 4);
  do {
    check_grains(owners, options, report);
  } while (owners.advance());
}

/// Claims all grains. What does not depend on their owners is reported by the first round.
void TableExtent::check_grains(GrainOwners& owners, const CheckOptions& options, CheckReport& report) {
  const auto report_once = [&](const Error& error, uint64_t grain) {
    if (error.code() != Errc::corrupt) throw;
    if (owners.in_first_window()) report.add(damage(error.message(), grain, error.offset()));
  };
  const uint64_t file_size = file_->size();
  for (uint64_t grain = 0; grain * layout_.grain_bytes < layout_.size;) {
    if (options.cancel != nullptr) options.cancel->check();
    TableCache::Piece piece;
    try {
      piece = tables_.piece(grain);
    } catch (const Error& error) {
      report_once(error, grain);
      grain = (grain / tables_.layout().entries_per_table + 1) * tables_.layout().entries_per_table;
      continue;
    }
    for (; piece.entries && grain < piece.end(); ++grain) {
      GrainPlace place;
      try {
        place = checked_place(piece[grain], grain, file_size);
      } catch (const Error& error) {
        report_once(error, grain);
      }
      if (place.kind != ExtentKind::data) continue;
      const uint64_t first = (place.offset - layout_.first) / layout_.alignment;
      if (owners.in_window(first)) report.allocated_bytes += grain_length(grain);
      if (owners.claim(first, div_ceil(grain_length(grain), layout_.alignment))) continue;
      report.add(damage("grain " + std::to_string(grain) + " shares its place with another", grain, place.offset));
    }
    grain = piece.end();
  }
}

}  // namespace varve::vmdk
