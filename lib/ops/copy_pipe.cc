#include <algorithm>

#include "ops/copy_target.h"

namespace varve::ops {

namespace {

constexpr size_t kPiece = size_t{1} << 20;
constexpr uint64_t kSpan = uint64_t{64} << 20;  // of zeros, between two looks at the cancellation

}  // namespace

Cut PipeTarget::cut() const {
  Cut cut;
  cut.span = kSpan;
  return cut;
}

void PipeTarget::work(CopyItem& item) { item.written = item.data_bytes; }

void PipeTarget::deliver(CopyItem& item) {
  std::vector<std::byte> zeros;
  for (const Run& run : item.runs) {
    if (!run.zero) {
      image_.write_at(run.offset, item.bytes_of(run));
      continue;
    }
    zeros.resize(kPiece);
    for (uint64_t done = 0; done < run.length;) {
      const size_t length = static_cast<size_t>(std::min<uint64_t>(kPiece, run.length - done));
      image_.write_at(run.offset + done, ConstBytes(zeros).first(length));
      done += length;
    }
  }
}

}  // namespace varve::ops
