#include <algorithm>

#include "base/checked_math.h"
#include "ops/copy_target.h"

namespace varve::ops {

Cut BulkTarget::cut() const {
  Cut cut;
  cut.unit = writer_.unit();
  cut.data = std::max<uint64_t>(align_down(cut.data, cut.unit), cut.unit);
  return cut;
}

void BulkTarget::work(CopyItem& item) {
  std::vector<Run> runs;
  for (const Run& run : item.runs) {
    if (run.zero) continue;
    const size_t unit = static_cast<size_t>(writer_.unit());
    split_zeros(run, item.bytes_of(run), unit, unit, runs);
  }
  for (const Run& run : runs) {
    if (run.zero) continue;
    item.pieces.push_back(writer_.encode(run.offset, item.bytes_of(run)));
    item.written += run.length;
  }
}

void BulkTarget::deliver(CopyItem& item) {
  for (const auto& piece : item.pieces) writer_.place(*piece);
}

void BulkTarget::finish(CopyItem& item) {
  for (const auto& piece : item.pieces) writer_.store(*piece);
  item.pieces.clear();
}

}  // namespace varve::ops
