#include "ops/copy_changes.h"

#include <algorithm>
#include <vector>

#include "base/aligned_buffer.h"
#include "exec/pipeline.h"
#include "exec/progress_meter.h"

namespace varve::ops {
namespace {

constexpr uint64_t kPiece = uint64_t{1} << 20;
/// How long a cancellation may wait for zeroing.
constexpr uint64_t kZeroSpan = uint64_t{1} << 30;
constexpr unsigned kMostThreads = 64;

struct Range {
  uint64_t offset = 0;
  uint64_t length = 0;
};

struct Piece {
  Range range;
  bool zero = false;
  AlignedBuffer buffer;
};

/// Cuts the ranges into pieces that are data or zeros throughout.
class Cutter {
 public:
  Cutter(Image& source, std::vector<Range> ranges) : source_(source), ranges_(std::move(ranges)) {}

  bool next(Piece& piece) {
    if (index_ == ranges_.size()) return false;
    Range& left = ranges_[index_];
    const Extent extent = source_.extent_at(left.offset);
    piece.zero = extent.kind != ExtentKind::data;
    piece.range = {left.offset, std::min({left.length, extent.offset + extent.length - left.offset, piece.zero ? kZeroSpan : kPiece})};
    left.offset += piece.range.length;
    left.length -= piece.range.length;
    if (left.length == 0) ++index_;
    return true;
  }

 private:
  Image& source_;
  std::vector<Range> ranges_;
  size_t index_ = 0;
};

}  // namespace

CopyReport copy_changes(Image& source, const std::string& since, Image& target, const CopyOptions& options) {
  std::vector<Range> ranges;
  uint64_t bytes = 0;
  source.diff_snapshots(since, {}, [&](const Extent& range) {
    if (options.cancel != nullptr) options.cancel->check();
    ranges.push_back({range.offset, range.length});
    bytes += range.length;
  });
  Cutter cutter(source, std::move(ranges));
  ProgressMeter progress(options.progress, bytes);
  CopyReport report{source.size(), 0};
  OrderedSteps<Piece> steps;
  steps.next = [&](Piece& piece) { return cutter.next(piece); };
  steps.work = [&](Piece& piece) {
    if (piece.zero) return;
    piece.buffer.reset(static_cast<size_t>(piece.range.length));
    source.read_at(piece.range.offset, piece.buffer.bytes());
  };
  steps.deliver = [&](Piece& piece) {
    if (piece.zero)
      target.zero(piece.range.offset, piece.range.length);
    else
      target.write_at(piece.range.offset, piece.buffer.bytes());
    if (!piece.zero) report.data_bytes += piece.range.length;
    progress.add(piece.range.length);
  };
  run_ordered(steps, {std::min(options.threads, kMostThreads), options.cancel});
  progress.finish();
  return report;
}

}  // namespace varve::ops
