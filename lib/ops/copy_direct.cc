#include "ops/copy_target.h"

namespace varve::ops {

namespace {

// Zeroing is one call a run; what is cut here is how long a cancellation may wait for it.
constexpr uint64_t kZeroSpan = uint64_t{1} << 30;

}  // namespace

Cut DirectTarget::cut() const {
  Cut cut;
  cut.unit = kZeroBlock;
  if (zeros_ == Zeros::write) cut.span = kZeroSpan;
  return cut;
}

void DirectTarget::work(CopyItem& item) {
  std::vector<Run> runs;
  for (const Run& run : item.runs) {
    if (run.zero) {
      runs.push_back(run);
    } else {
      split_zeros(run, item.bytes_of(run), kZeroBlock, kLeastZeroRun, runs);
    }
  }
  for (const Run& run : runs) {
    if (!run.zero) {
      image_.write_at(run.offset, item.bytes_of(run));
      item.written += run.length;
    } else if (zeros_ == Zeros::write) {
      image_.zero(run.offset, run.length);
    }
  }
}

}  // namespace varve::ops
