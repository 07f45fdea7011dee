#include <algorithm>

#include "ops/copy_target.h"

namespace varve::ops {

namespace {

constexpr uint64_t kPiece = uint64_t{256} << 10;  // read and written at once: stays in the processor's cache
constexpr uint64_t kShared = uint64_t{16} << 20;  // asked of the file system at once: bounds how long a cancellation may take

}  // namespace

Cut KernelTarget::cut() const {
  Cut cut = rest_.cut();
  cut.data = kShared;
  return cut;
}

void KernelTarget::work(CopyItem& item) {
  for (const Run& run : item.runs) {
    if (run.zero) {
      rest_.write(run, {});
      continue;
    }
    uint64_t done = share(run);
    item.written += done;
    while (done < run.length) {
      const Run piece{run.offset + done, std::min(kPiece, run.length - done), false, 0};
      item.buffer.reset(static_cast<size_t>(piece.length));
      const MutableBytes bytes = item.buffer.bytes();
      const uint64_t end = source_.size();  // the last unit of a target that is larger
      const uint64_t held = piece.offset >= end ? 0 : std::min(piece.length, end - piece.offset);
      source_.read_at(std::min(piece.offset, end), bytes.first(static_cast<size_t>(held)));
      std::fill(bytes.begin() + static_cast<ptrdiff_t>(held), bytes.end(), std::byte{0});
      item.written += rest_.write(piece, bytes);
      done += piece.length;
    }
  }
}

/// How much of the run, from its start, the file system took over.
uint64_t KernelTarget::share(const Run& run) {
  const uint64_t end = std::min(run.end(), source_.size());
  uint64_t position = run.offset;
  while (position < end && !refused_) {
    const uint64_t copied = to_.copy_from(from_, position, position, end - position);
    if (copied == 0) refused_ = true;
    position += copied;
  }
  return position - run.offset;
}

}  // namespace varve::ops
