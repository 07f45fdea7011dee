#include <algorithm>

#include "base/zero.h"
#include "ops/copy_target.h"

namespace varve::ops {

namespace {

/// Where the blocks that begin at `at` stop being all zero (or all not).
size_t end_of_run(ConstBytes data, size_t at, size_t block, bool zero) {
  while (at < data.size()) {
    const size_t length = std::min(block, data.size() - at);
    if (is_zero(data.subspan(at, length)) != zero) break;
    at += length;
  }
  return at;
}

}  // namespace

void split_zeros(const Run& run, ConstBytes data, size_t block, size_t least, std::vector<Run>& out) {
  size_t begin = 0;  // of the data not yet appended
  size_t at = 0;
  const auto append = [&](size_t from, size_t to, bool zero) {
    if (to > from) out.push_back({run.offset + from, to - from, zero, run.place + from});
  };
  while (at < data.size()) {
    const size_t zeros = end_of_run(data, at, block, false);
    const size_t next = end_of_run(data, zeros, block, true);
    if (next - zeros >= least || next == data.size()) {
      append(begin, zeros, false);
      append(zeros, next, true);
      begin = next;
    }
    at = next;
  }
  append(begin, data.size(), false);
}

}  // namespace varve::ops
