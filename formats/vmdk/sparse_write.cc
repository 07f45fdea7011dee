// Writing into a sparse extent.
#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "base/checked_math.h"
#include "varve/error.h"
#include "vmdk/sparse_extent.h"

namespace varve::vmdk {

void SparseExtent::write_at(uint64_t offset, ConstBytes data) {
  begin_session();
  while (!data.empty()) {
    const GrainRun run = run_at(offset, data.size());
    const auto part = data.first(run_bytes(run, offset, data.size()));
    switch (run.kind) {
      case GrainKind::absent:
      case GrainKind::zero: write_unallocated(offset, part); break;
      case GrainKind::data: file_->write_at(uint64_t{run.sector} * kSectorSize + offset % header_.grain_bytes(), part); break;
      case GrainKind::bad: throw_bad_grain(offset / header_.grain_bytes(), run.sector);
    }
    offset += part.size();
    data = data.subspan(part.size());
  }
  // After the data: a flush that runs meanwhile need not cover it, the next one must.
  data_written_.store(true, std::memory_order_release);
  bound_changed_tables();
}

/// The grains had no place when the caller looked. Under the claim they are looked up again: another thread may have been first.
void SparseExtent::write_unallocated(uint64_t offset, ConstBytes data) {
  const uint64_t first = offset / header_.grain_bytes();
  const uint64_t last = (offset + data.size() - 1) / header_.grain_bytes();
  const RangeClaims::Claim claim(claims_, first, last - first + 1);
  while (!data.empty()) {
    const GrainRun run = run_at(offset, data.size());
    const auto part = data.first(run_bytes(run, offset, data.size()));
    if (run.kind == GrainKind::bad) throw_bad_grain(offset / header_.grain_bytes(), run.sector);
    if (run.kind == GrainKind::data) {
      file_->write_at(uint64_t{run.sector} * kSectorSize + offset % header_.grain_bytes(), part);
    } else {
      write_new_grains(offset, part, run.kind);
    }
    offset += part.size();
    data = data.subspan(part.size());
  }
}

/// One run of new grains, side by side: the first and last may be written in part, those between straight from `data`. They enter the
/// tables only when they are whole.
void SparseExtent::write_new_grains(uint64_t offset, ConstBytes data, GrainKind before) {
  const uint64_t grain_bytes = header_.grain_bytes();
  const uint64_t first = offset / grain_bytes;
  const uint64_t count = (offset + data.size() - 1) / grain_bytes - first + 1;
  const uint32_t sector = allocate(count * header_.grain_sectors);
  try {
    uint64_t place = uint64_t{sector} * kSectorSize;
    while (!data.empty()) {
      const bool whole = offset % grain_bytes == 0 && data.size() >= grain_bytes;
      const uint64_t length =
          whole ? align_down(data.size(), grain_bytes) : std::min<uint64_t>(data.size(), grain_bytes - offset % grain_bytes);
      if (whole) {
        file_->write_at(place, data.first(length));
      } else {
        write_part_of_grain(offset, data.first(length), place, before);
      }
      place += align_up(length, grain_bytes);
      offset += length;
      data = data.subspan(length);
    }
  } catch (...) {
    undo_allocation(sector, count * header_.grain_sectors);
    throw;
  }
  tables_->set_data(first, count, sector);
}

/// A new grain is written whole, so that nothing of an earlier file shows through: what `data` does not cover comes from the parent
/// or is zero, also behind the disk's end.
void SparseExtent::write_part_of_grain(uint64_t offset, ConstBytes data, uint64_t file_offset, GrainKind before) {
  const uint64_t start = align_down(offset, header_.grain_bytes());
  std::vector<std::byte> grain(header_.grain_bytes());
  // A zeroed grain hides the parent: nothing is copied from it.
  if (before == GrainKind::absent && mode_.over_parent) {
    read_below(start, MutableBytes(grain).first(std::min<uint64_t>(grain.size(), size() - start)));
  }
  std::copy(data.begin(), data.end(), grain.begin() + static_cast<std::ptrdiff_t>(offset - start));
  file_->write_at(file_offset, grain);
}

// ---- zero and discard ------------------------------------------------------------------------------

bool SparseExtent::zero(uint64_t offset, uint64_t length) {
  // WRT-8: over a parent only a zeroed grain says zero; the node writes zeros instead.
  if (mode_.over_parent && !header_.has_zeroed_grains()) return false;
  begin_session();
  const uint64_t first = offset / header_.grain_bytes();
  const uint64_t count = div_ceil(length, header_.grain_bytes());
  give_up(first, count, header_.has_zeroed_grains() ? kEntryZero : kEntryAbsent, !mode_.over_parent);
  bound_changed_tables();
  return true;
}

void SparseExtent::discard(uint64_t offset, uint64_t length) {
  begin_session();
  const uint64_t first = offset / header_.grain_bytes();
  const uint64_t count = div_ceil(length, header_.grain_bytes());
  if (!mode_.over_parent || header_.has_zeroed_grains()) {
    give_up(first, count, mode_.over_parent ? kEntryZero : kEntryAbsent, true);
    bound_changed_tables();
    return;
  }
  // The entry must stay, or the parent would be uncovered: only the grain's space is freed, and it reads as zeros.
  for (uint64_t done = 0; done < count;) {
    const GrainRun run = tables_->run_at(first + done, count - done);
    if (run.kind == GrainKind::data) file_->punch_hole(uint64_t{run.sector} * kSectorSize, run.grains * header_.grain_bytes());
    done += run.grains;
  }
  data_written_.store(true, std::memory_order_release);
}

/// Makes `entry` of the grains that hold data; unless `data_only`, of absent ones too.
void SparseExtent::give_up(uint64_t first, uint64_t count, uint32_t entry, bool data_only) {
  const RangeClaims::Claim claim(claims_, first, count);
  for (uint64_t done = 0; done < count;) {
    const GrainRun run = tables_->run_at(first + done, count - done);
    if (run.kind == GrainKind::bad) throw_bad_grain(first + done, run.sector);
    if (run.kind == GrainKind::data) {
      tables_->set_special(first + done, run.grains, entry);
      // Only now, so that a flush which frees it has written a table that does not name it.
      const std::lock_guard lock(space_mutex_);
      given_up_.push_back({run.sector, run.sector + run.grains * header_.grain_sectors});
    } else if (!data_only && run.kind == GrainKind::absent) {
      tables_->set_special(first + done, run.grains, entry);
    }
    done += run.grains;
  }
}

// ---- space -----------------------------------------------------------------------------------------

uint32_t SparseExtent::allocate(uint64_t sectors) {
  const std::lock_guard lock(space_mutex_);
  const uint64_t sector = next_sector_;
  const uint64_t end = sector + align_up(sectors, header_.grain_sectors);
  if (end > UINT32_MAX)
    throw Error(Errc::limit, "the extent has reached 2 TiB, which is all that it can address")
        .hint("convert the image: a new one holds no leaked grains");
  next_sector_ = end;
  tables_->set_file_end(end * kSectorSize);
  return static_cast<uint32_t>(sector);
}

/// Gives the last allocation back, so that a full disk does not eat up sector numbers. What was written of it stays in the file.
void SparseExtent::undo_allocation(uint32_t sector, uint64_t sectors) {
  const std::lock_guard lock(space_mutex_);
  if (next_sector_ == sector + sectors) next_sector_ = sector;
}

void SparseExtent::bound_changed_tables() {
  if (tables_->changed_bytes() <= mode_.limits.metadata_bytes / 4) return;
  if (fresh_)
    write_new_tables();
  else
    flush();
}

}  // namespace varve::vmdk
