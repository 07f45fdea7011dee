#include "vmdk/table_extent.h"

#include <algorithm>
#include <string>
#include <utility>

#include "base/checked_math.h"
#include "base/interval_set.h"
#include "varve/error.h"

namespace varve::vmdk {
namespace {

/// extent_at() looks at no more than this many pieces of the tables.
constexpr int kMaxPieces = 16;

}  // namespace

TableExtent::TableExtent(std::shared_ptr<Storage> file, uint64_t size, uint64_t grain_bytes, uint64_t first_grain, TableLayout layout,
                         uint64_t metadata_bytes)
    : file_(std::move(file)),
      size_(size),
      grain_bytes_(grain_bytes),
      first_grain_(first_grain),
      tables_(file_, std::move(layout), metadata_bytes) {}

uint64_t TableExtent::grain_length(uint64_t grain) const { return std::min(grain_bytes_, size_ - grain * grain_bytes_); }

GrainPlace TableExtent::checked_place(uint64_t entry, uint64_t grain) const {
  const GrainPlace place = place_of(entry);
  if (!place.known) throw Error(Errc::corrupt, "grain " + std::to_string(grain) + " has a table entry of no known kind").in(file_->name());
  if (place.kind != ExtentKind::data) return place;
  if (place.offset < first_grain_)
    throw Error(Errc::corrupt, "grain " + std::to_string(grain) + " lies inside the metadata").in(file_->name()).at(place.offset);
  if (!range_fits(place.offset, grain_length(grain), file_->size()))  // MEM-20
    throw Error(Errc::corrupt, "grain " + std::to_string(grain) + " lies outside the file").in(file_->name()).at(place.offset);
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
  uint64_t grain = offset / grain_bytes_;
  TableCache::Piece piece = tables_.piece(grain);
  const GrainPlace first = checked_place(piece[grain], grain);
  uint64_t next_offset = first.offset;
  const uint64_t end = std::min(size_, offset + std::min(limit, size_ - offset));
  for (int pieces = 1; (++grain) * grain_bytes_ < end;) {
    if (grain >= piece.end()) {
      if (++pieces > kMaxPieces) break;
      piece = tables_.piece(grain);
    }
    const GrainPlace place = place_of(piece[grain]);
    next_offset += grain_bytes_;
    if (!place.known || place.kind != first.kind) break;
    if (place.kind != ExtentKind::data) continue;
    if (place.offset != next_offset || !range_fits(place.offset, grain_length(grain), file_->size())) break;
  }
  Extent out;
  out.offset = offset;
  out.length = std::min(grain * grain_bytes_, end) - offset;
  out.kind = first.kind;
  if (first.kind == ExtentKind::data) out.host_offset = first.offset + offset % grain_bytes_;
  return out;
}

uint64_t TableExtent::allocated_bytes() const { return file_->allocated_bytes().value_or(file_->size()); }

void TableExtent::check(const CheckOptions& options, CheckReport& report) {
  IntervalSet owned;
  const auto damage = [&](std::string message, uint64_t grain, std::optional<uint64_t> at) {
    Finding finding;
    finding.message = std::move(message);
    finding.file_offset = at;
    finding.disk_offset = grain * grain_bytes_;
    finding.disk_length = grain_length(grain);
    report.add(std::move(finding));
  };
  for (uint64_t grain = 0; grain * grain_bytes_ < size_;) {
    if (options.cancel != nullptr) options.cancel->check();
    TableCache::Piece piece;
    try {
      piece = tables_.piece(grain);
    } catch (const Error& error) {
      if (error.code() != Errc::corrupt) throw;
      damage(error.message(), grain, error.offset());
      grain = (grain / tables_.layout().entries_per_table + 1) * tables_.layout().entries_per_table;
      continue;
    }
    for (; piece.entries && grain < piece.end(); ++grain) {
      GrainPlace place;
      try {
        place = checked_place(piece[grain], grain);
      } catch (const Error& error) {
        damage(error.message(), grain, error.offset());
      }
      if (place.kind != ExtentKind::data) continue;
      if (owned.insert(place.offset, grain_length(grain)))
        damage("grain " + std::to_string(grain) + " shares its place with another", grain, place.offset);
      report.allocated_bytes += grain_length(grain);
    }
    grain = piece.end();
  }
}

}  // namespace varve::vmdk
