#include <algorithm>
#include <cstring>

#include "ops/copy_target.h"

namespace varve::ops {

namespace {

constexpr uint64_t kLeastUnit = 4096;
constexpr uint64_t kMostUnit = uint64_t{1} << 20;

/// Whole units of the target are written where that is possible: a part of one would have to be read back or copied up first.
uint64_t unit_of(Image& image) {
  const uint64_t cluster = image.info().cluster_size;
  return std::clamp(cluster, kLeastUnit, kMostUnit);
}

void append(std::vector<Run>& runs, const Run& run) {
  if (!runs.empty() && runs.back().zero == run.zero && runs.back().end() == run.offset) {
    runs.back().length += run.length;
  } else {
    runs.push_back(run);
  }
}

}  // namespace

OrderedTarget::OrderedTarget(Image& image, Zeros zeros, bool compare)
    : image_(image), zeros_(zeros), compare_(compare), unit_(unit_of(image)) {}

Cut OrderedTarget::cut() const {
  Cut cut;
  cut.unit = unit_;
  if (zeros_ == Zeros::write) cut.span = uint64_t{1} << 30;
  return cut;
}

void OrderedTarget::work(CopyItem& item) {
  if (compare_) return work_on_differences(item);
  for (const Run& run : item.runs) {
    if (run.zero) {
      item.writes.push_back(run);
    } else {
      split_zeros(run, item.bytes_of(run), static_cast<size_t>(unit_), std::max(kLeastZeroRun, static_cast<size_t>(unit_)), item.writes);
    }
  }
}

void OrderedTarget::work_on_differences(CopyItem& item) {
  for (const Run& run : item.runs) {
    if (run.zero) {
      zero_what_shows(item, run);
    } else {
      write_what_differs(item, run);
    }
  }
}

void OrderedTarget::zero_what_shows(CopyItem& item, const Run& run) {
  for (uint64_t position = run.offset; position < run.end();) {
    const Extent extent = image_.extent_at(position);
    const uint64_t length = std::min(extent.offset + extent.length, run.end()) - position;
    if (extent.kind == ExtentKind::data) append(item.writes, {position, length, true, 0});
    position += length;
  }
}

void OrderedTarget::write_what_differs(CopyItem& item, const Run& run) {
  const ConstBytes wanted = item.bytes_of(run);
  AlignedBuffer present(wanted.size());
  image_.read_at(run.offset, present.bytes());
  std::vector<Run> runs;
  split_zeros(run, wanted, static_cast<size_t>(unit_), static_cast<size_t>(unit_), runs);
  for (const Run& part : runs) {
    for (uint64_t done = 0; done < part.length;) {
      const uint64_t length = std::min(unit_, part.length - done);
      const size_t at = static_cast<size_t>(part.offset - run.offset + done);
      if (std::memcmp(wanted.data() + at, present.data() + at, static_cast<size_t>(length)) != 0)
        append(item.writes, {part.offset + done, length, part.zero, run.place + at});
      done += length;
    }
  }
}

void OrderedTarget::deliver(CopyItem& item) {
  for (const Run& run : item.writes) {
    if (!run.zero) {
      image_.write_at(run.offset, item.bytes_of(run));
      item.written += run.length;
    } else if (zeros_ == Zeros::write) {
      image_.zero(run.offset, run.length);
    }
  }
}

}  // namespace varve::ops
