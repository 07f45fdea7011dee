#include "vhdx/replayed_storage.h"

#include <algorithm>
#include <utility>

#include "base/checked_math.h"
#include "io/zero_range.h"
#include "varve/error.h"

namespace varve::vhdx {
namespace {

Error read_only() { return Error(Errc::permission, "the image is open for reading only"); }

/// The part of `out`, which stands for the bytes from `offset` on, that stands for those of [first, end).
MutableBytes part_of(MutableBytes out, uint64_t offset, uint64_t first, uint64_t end) {
  const uint64_t begin = std::max(offset, first);
  return out.subspan(begin - offset, std::min(offset + out.size(), end) - begin);
}

}  // namespace

ReplayedStorage::ReplayedStorage(std::shared_ptr<Storage> file, const PendingLog& log)
    : file_(std::move(file)), size_(std::max(file_->size(), log.file_size())) {
  visit(log,
        {.data = [this](uint64_t offset,
                        ConstBytes sector) { sectors_.insert_or_assign(offset, std::vector<std::byte>(sector.begin(), sector.end())); },
         .zero = [this](uint64_t offset, uint64_t length) { zero(offset, length); }});
}

/// Each range once, however often entries name it.
void ReplayedStorage::write_into_file() {
  // A block device has room for all of its blocks, but may end within a MiB, of which the log's sizes are whole ones.
  if (file_->size() < size_ && !file_->limits().fixed_size) file_->resize(size_);
  for (auto range = zeros_.find_overlap(0, size_); range; range = zeros_.find_overlap(range->end(), size_ - range->end()))
    zero_range(*file_, range->offset, range->length);
  for (const auto& [offset, sector] : sectors_) file_->write_at(offset, sector);
  file_->flush();
}

void ReplayedStorage::zero(uint64_t offset, uint64_t length) {
  sectors_.erase(sectors_.lower_bound(offset), sectors_.lower_bound(offset + length));
  zeros_.insert(offset, length);
}

/// Behind the file's end as it is there are zeros.
void ReplayedStorage::read_file(uint64_t offset, MutableBytes out) const {
  const uint64_t end = file_->size();
  const uint64_t held = offset >= end ? 0 : std::min<uint64_t>(out.size(), end - offset);
  if (held != 0) file_->read_at(offset, out.first(held));
  std::fill(out.begin() + static_cast<ptrdiff_t>(held), out.end(), std::byte{0});
}

void ReplayedStorage::read_at(uint64_t offset, MutableBytes out) {
  if (!range_fits(offset, out.size(), size_)) throw Error(Errc::corrupt, "the file ends too early").in(name()).at(offset);
  const uint64_t end = offset + out.size();
  for (const Interval& gap : zeros_.gaps(offset, out.size())) read_file(gap.offset, part_of(out, offset, gap.offset, gap.end()));
  for (uint64_t at = offset; at < end;) {
    const auto zero = zeros_.find_overlap(at, end - at);
    if (!zero) break;
    const MutableBytes part = part_of(out, offset, zero->offset, zero->end());
    std::fill(part.begin(), part.end(), std::byte{0});
    at = zero->end();
  }
  for (auto it = sectors_.lower_bound(align_down(offset, kLogSector)); it != sectors_.end() && it->first < end; ++it) {
    const MutableBytes part = part_of(out, offset, it->first, it->first + kLogSector);
    const uint64_t skipped = std::max(offset, it->first) - it->first;
    std::copy_n(it->second.begin() + static_cast<ptrdiff_t>(skipped), part.size(), part.begin());
  }
}

void ReplayedStorage::write_at(uint64_t, ConstBytes) { throw read_only(); }

void ReplayedStorage::resize(uint64_t) { throw read_only(); }

}  // namespace varve::vhdx
