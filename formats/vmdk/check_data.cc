#include "vmdk/check_data.h"

#include <algorithm>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/checked_math.h"
#include "exec/pipeline.h"
#include "varve/error.h"

namespace varve::vmdk {
namespace {

constexpr uint64_t kUnit = 1 << 20;

struct Unit {
  uint64_t offset = 0;
  uint64_t length = 0;
  std::vector<std::byte> buffer;
  std::vector<Finding> findings;
};

/// Goes through the runs of data in order, piece by piece.
class Walk {
 public:
  Walk(ExtentDriver& extent, const IntervalSet& known_bad)
      : extent_(extent), known_bad_(known_bad), grain_(std::max<uint64_t>(extent.granularity(), 512)) {}

  bool next(Unit& unit) {
    while (position_ < extent_.size()) {
      if (run_end_ <= position_ && !find_run()) continue;
      unit.offset = position_;
      unit.length = std::min(run_end_ - position_, std::max(kUnit, grain_) - position_ % std::max(kUnit, grain_));
      position_ += unit.length;
      return true;
    }
    return false;
  }

 private:
  /// False if what begins at position_ is not to be read; position_ is behind it then.
  bool find_run() {
    const auto bad = known_bad_.find_overlap(position_, 1);
    if (bad) {
      position_ = std::min(extent_.size(), position_ + grain_);
      return false;
    }
    try {
      const Extent run = extent_.extent_at(position_, extent_.size() - position_);
      if (run.kind != ExtentKind::data) {
        position_ += run.length;
        return false;
      }
      run_end_ = position_ + run.length;
      if (const auto next_bad = known_bad_.find_overlap(position_, run.length)) run_end_ = next_bad->offset;
      return true;
    } catch (const Error& error) {
      if (error.code() != Errc::corrupt) throw;  // what is corrupt the structure's check has told
      position_ = std::min(extent_.size(), align_down(position_, grain_) + grain_);
      return false;
    }
  }

  ExtentDriver& extent_;
  const IntervalSet& known_bad_;
  const uint64_t grain_;
  uint64_t position_ = 0;
  uint64_t run_end_ = 0;
};

std::optional<Finding> read_range(ExtentDriver& extent, uint64_t offset, MutableBytes out) {
  try {
    extent.read_at(offset, out);
    return std::nullopt;
  } catch (const Error& error) {
    if (error.code() != Errc::corrupt && error.code() != Errc::io) throw;
    Finding found;
    found.message = error.cause().empty() ? error.message() : error.message() + ": " + error.cause();
    found.file_offset = error.offset();
    found.disk_offset = offset;
    found.disk_length = out.size();
    return found;
  }
}

void read_unit(ExtentDriver& extent, Unit& unit) {
  unit.findings.clear();
  unit.buffer.resize(std::max<size_t>(unit.buffer.size(), unit.length));
  const MutableBytes out = MutableBytes(unit.buffer).first(unit.length);
  if (!read_range(extent, unit.offset, out)) return;
  // Which grain it is, and how many of them.
  const uint64_t grain = extent.granularity() > 1 ? extent.granularity() : unit.length;
  for (uint64_t at = unit.offset; at < unit.offset + unit.length;) {
    const uint64_t length = std::min(grain - at % grain, unit.offset + unit.length - at);
    if (auto found = read_range(extent, at, out.first(length))) unit.findings.push_back(std::move(*found));
    at += length;
  }
}

}  // namespace

void check_data(ExtentDriver& extent, const IntervalSet& known_bad, const CheckOptions& options, CheckReport& report) {
  Walk walk(extent, known_bad);
  OrderedSteps<Unit> steps;
  steps.next = [&](Unit& unit) { return walk.next(unit); };
  steps.work = [&](Unit& unit) { read_unit(extent, unit); };
  steps.deliver = [&](Unit& unit) {
    for (Finding& found : unit.findings) report.add(std::move(found));
    if (options.progress) options.progress(unit.offset + unit.length, extent.size());
  };
  PipelineOptions pipeline;
  pipeline.cancel = options.cancel;
  run_ordered(steps, pipeline);
}

}  // namespace varve::vmdk
