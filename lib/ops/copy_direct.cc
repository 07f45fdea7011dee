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
  for (const Run& run : item.runs) item.written += write(run, run.zero ? ConstBytes() : item.bytes_of(run));
}

uint64_t DirectTarget::write(const Run& run, ConstBytes data) {
  std::vector<Run> parts;
  if (run.zero) {
    parts.push_back(run);
  } else {
    split_zeros(run, data, kZeroBlock, kLeastZeroRun, parts);
  }
  uint64_t written = 0;
  for (const Run& part : parts) {
    if (!part.zero) {
      image_.write_at(part.offset, data.subspan(static_cast<size_t>(part.offset - run.offset), static_cast<size_t>(part.length)));
      written += part.length;
    } else if (zeros_ == Zeros::write) {
      image_.zero(part.offset, part.length);
    }
  }
  return written;
}

}  // namespace varve::ops
