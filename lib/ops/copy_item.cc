#include "ops/copy_item.h"

namespace varve::ops {

void CopyItem::begin(uint64_t at) {
  offset = at;
  end = at;
  data_bytes = 0;
  runs.clear();
  stored.clear();
  pieces.clear();
  writes.clear();
  written = 0;
}

void CopyItem::add(uint64_t to, bool zero) {
  const uint64_t length = to - end;
  if (!runs.empty() && runs.back().zero == zero) {
    runs.back().length += length;
  } else {
    runs.push_back({end, length, zero, zero ? 0 : data_bytes});
  }
  if (!zero) data_bytes += static_cast<size_t>(length);
  end = to;
}

ConstBytes CopyItem::bytes_of(const Run& run) const { return buffer.bytes().subspan(run.place, static_cast<size_t>(run.length)); }

}  // namespace varve::ops
