#include <algorithm>

#include "ops/copy_target.h"

namespace varve::ops {

namespace {

constexpr uint64_t kPiece = uint64_t{1} << 20;    // read and written at once where the kernel can't copy
constexpr uint64_t kShared = uint64_t{64} << 20;  // asked of the kernel at once: bounds how long a cancellation may take

}  // namespace

Cut KernelTarget::cut() const {
  Cut cut;
  cut.unit = kZeroBlock;
  cut.data = kShared;
  if (zeros_ == Zeros::write) cut.span = uint64_t{1} << 30;
  return cut;
}

void KernelTarget::work(CopyItem& item) {
  for (const Run& run : item.runs) {
    if (!run.zero) {
      copy_run(run);
      item.written += run.length;
    } else if (zeros_ == Zeros::write) {
      target_.zero(run.offset, run.length);
    }
  }
}

void KernelTarget::copy_run(const Run& run) {
  uint64_t position = run.offset;
  const uint64_t inside = std::min(run.end(), source_.size());
  while (position < inside) {
    const uint64_t copied = to_.copy_from(from_, position, position, inside - position);
    if (copied == 0) break;
    position += copied;
  }
  AlignedBuffer buffer;
  while (position < inside) {
    buffer.reset(static_cast<size_t>(std::min(kPiece, inside - position)));
    const MutableBytes bytes = buffer.bytes();
    source_.read_at(position, bytes);
    target_.write_at(position, bytes);
    position += bytes.size();
  }
  if (inside < run.end() && zeros_ == Zeros::write) target_.zero(std::max(inside, run.offset), run.end() - std::max(inside, run.offset));
}

}  // namespace varve::ops
