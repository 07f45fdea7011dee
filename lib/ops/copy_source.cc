#include "ops/copy_source.h"

#include <algorithm>
#include <cstring>

#include "base/checked_math.h"

namespace varve::ops {

namespace {

/// A multiple of `unit`, or the end of the disk.
uint64_t round_up(uint64_t offset, const Cut& cut) {
  const uint64_t rest = offset % cut.unit;
  if (rest == 0) return offset;
  return cut.end - offset < cut.unit - rest ? cut.end : offset + (cut.unit - rest);
}

uint64_t round_down(uint64_t offset, const Cut& cut) { return offset == cut.end ? offset : align_down(offset, cut.unit); }

/// How far one run of zeros may reach.
uint64_t end_of_zeros(uint64_t offset, const Cut& cut) {
  const uint64_t longest = std::max(cut.unit, align_down(cut.span, cut.unit));
  return offset + std::min(longest, cut.end - offset);
}

bool is_full(const CopyItem& item, const Cut& cut) {
  return item.data_bytes >= cut.data || item.end - item.offset >= cut.span || item.runs.size() >= cut.runs;
}

/// Calls `use`; what it throws names the file.
template <typename Use>
auto naming(const std::string& path, Use use) {
  try {
    return use();
  } catch (Error& error) {
    error.add_path(path);
    throw;
  }
}

}  // namespace

const Run& ImageSource::run_at(uint64_t offset) {
  if (offset >= run_.offset && offset < run_.end()) return run_;
  if (offset >= image_.size()) {
    run_ = {offset, cut_.end - offset, true, 0};
  } else {
    const Extent extent = image_.extent_at(offset);
    run_ = {extent.offset, extent.length, extent.kind != ExtentKind::data, 0};
  }
  return run_;
}

bool ImageSource::next(CopyItem& item) {
  item.begin(position_);
  while (item.end < cut_.end && !is_full(item, cut_)) {
    if (cancel_ != nullptr) cancel_->check();
    const Run& run = run_at(item.end);
    const uint64_t zero_end = round_down(std::min(run.end(), end_of_zeros(item.end, cut_)), cut_);
    if (run.zero && zero_end > item.end) {
      item.add(zero_end, true);
    } else {
      // A zero run that fills no whole unit shares one with data: the unit is read whole.
      const uint64_t room = std::max(cut_.unit, align_down(cut_.data - item.data_bytes, cut_.unit));
      const uint64_t run_end = run.zero ? item.end + 1 : run.end();
      item.add(round_up(std::min(run_end, item.end + std::min(room, cut_.end - item.end)), cut_), false);
    }
  }
  position_ = item.end;
  return item.end > item.offset;
}

void ImageSource::load(const CopyItem& /*item*/, const Run& run, MutableBytes out) {
  const uint64_t inside = run.offset < image_.size() ? std::min(run.length, image_.size() - run.offset) : 0;
  if (inside != 0) image_.read_at(run.offset, out.first(static_cast<size_t>(inside)));
  const MutableBytes rest = out.subspan(static_cast<size_t>(inside));
  std::fill(rest.begin(), rest.end(), std::byte{0});
}

const StreamReader::Piece* StreamSource::peek() {
  if (ahead_) return &*ahead_;
  if (at_end_) return nullptr;
  ahead_ = naming(path_, [&] { return reader_.next(); });
  if (!ahead_) {
    at_end_ = true;
    return nullptr;
  }
  if (ahead_->offset < piece_end_ || !range_fits(ahead_->offset, ahead_->length, reader_.size()))
    throw Error(Errc::corrupt, "the stream's data is out of order or outside the disk").in(path_);
  piece_end_ = ahead_->offset + ahead_->length;
  return &*ahead_;
}

bool StreamSource::next(CopyItem& item) {
  item.begin(position_);
  while (true) {
    const StreamReader::Piece* piece = peek();
    const uint64_t start = piece == nullptr ? cut_.end : align_down(piece->offset, cut_.unit);
    // A piece that begins in the item's last unit belongs to it, however full it is.
    if (start >= item.end && (item.end == cut_.end || is_full(item, cut_))) break;
    if (start > item.end) {
      item.add(std::min(start, end_of_zeros(item.end, cut_)), true);
      continue;
    }
    const uint64_t end = round_up(piece_end_, cut_);
    if (end > item.end) item.add(end, false);
    item.stored.push_back(std::move(*ahead_));
    ahead_.reset();
  }
  position_ = item.end;
  return item.end > item.offset;
}

void StreamSource::load(const CopyItem& item, const Run& run, MutableBytes out) {
  uint64_t position = run.offset;
  const auto zeros_until = [&](uint64_t end) { std::memset(out.data() + (position - run.offset), 0, static_cast<size_t>(end - position)); };
  for (const StreamReader::Piece& piece : item.stored) {
    if (piece.offset < run.offset || piece.offset >= run.end()) continue;
    zeros_until(piece.offset);
    const MutableBytes part = out.subspan(static_cast<size_t>(piece.offset - run.offset), static_cast<size_t>(piece.length));
    naming(path_, [&] { reader_.load(piece, part); });
    position = piece.offset + piece.length;
  }
  zeros_until(run.end());
}

}  // namespace varve::ops
