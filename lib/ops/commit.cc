// `varve commit`: what an image holds goes into its parent.
//
// The parent becomes another one by that, and the image must go on knowing it. So before anything is written the image is told by which
// identity it will know its parent while it changes. What it holds hides what is written below it: a commit that ends anywhere leaves
// both valid and the image as it was, and can be run again.
#include <algorithm>
#include <vector>

#include "base/aligned_buffer.h"
#include "exec/pipeline.h"
#include "exec/progress_meter.h"
#include "image/chain.h"
#include "image/snapshots.h"
#include "ops/copy_item.h"
#include "ops/copy_target.h"
#include "varve/ops.h"

namespace varve {

namespace {

using ops::Run;

constexpr uint64_t kItemData = uint64_t{1} << 20;
constexpr size_t kItemRuns = 256;
constexpr uint64_t kItemSpan = uint64_t{1} << 30;
constexpr unsigned kMostThreads = 64;

/// Runs that the image holds.
struct Item {
  uint64_t offset = 0;
  uint64_t end = 0;
  std::vector<Run> runs;
  AlignedBuffer buffer;
  std::vector<Run> writes;
};

class Descent {
 public:
  Descent(Node& image, Node& parent, const CancelToken* cancel)
      : image_(image),
        parent_(parent),
        unit_(std::clamp<uint64_t>(parent.info().cluster_size, ops::kZeroBlock, kItemData)),
        end_(image.size()),
        cancel_(cancel) {}

  bool next(Item& item);
  void work(Item& item);
  void deliver(Item& item, CommitReport& report);
  uint64_t end() const { return end_; }

 private:
  Node& image_;
  Node& parent_;
  const uint64_t unit_;
  const uint64_t end_;
  const CancelToken* const cancel_;
  uint64_t position_ = 0;
};

bool Descent::next(Item& item) {
  item.offset = position_;
  item.runs.clear();
  item.writes.clear();
  size_t data = 0;
  while (position_ < end_ && data < kItemData && item.runs.size() < kItemRuns && position_ - item.offset < kItemSpan) {
    if (cancel_ != nullptr) cancel_->check();
    const Extent held = image_.layer_extent_at(position_);
    Run run{position_, held.length, held.kind == ExtentKind::zero, data};
    if (held.kind != ExtentKind::absent) {
      run.length = std::min(run.length, run.zero ? kItemSpan : kItemData - data);
      if (!run.zero) data += static_cast<size_t>(run.length);
      item.runs.push_back(run);
    }
    position_ += run.length;
  }
  item.end = position_;
  return item.end > item.offset;
}

void Descent::work(Item& item) {
  size_t bytes = 0;
  for (const Run& run : item.runs) bytes += run.zero ? 0 : static_cast<size_t>(run.length);
  item.buffer.reset(bytes);
  for (const Run& run : item.runs) {
    if (run.zero) {
      item.writes.push_back(run);
      continue;
    }
    const MutableBytes part = item.buffer.bytes().subspan(run.place, static_cast<size_t>(run.length));
    image_.read_at(run.offset, part);
    ops::split_zeros(run, part, static_cast<size_t>(unit_), std::max(ops::kLeastZeroRun, static_cast<size_t>(unit_)), item.writes);
  }
}

void Descent::deliver(Item& item, CommitReport& report) {
  for (const Run& run : item.writes) {
    if (run.zero) {
      parent_.zero(run.offset, run.length);
      report.zero_bytes += run.length;
    } else {
      parent_.write_at(run.offset, item.buffer.bytes().subspan(run.place, static_cast<size_t>(run.length)));
      report.data_bytes += run.length;
    }
  }
}

void write_down(Node& image, Node& parent, const CommitOptions& options, CommitReport& report) {
  if (image.size() > parent.size()) parent.resize(image.size());
  Descent descent(image, parent, options.cancel);
  ProgressMeter progress(options.progress, descent.end());
  OrderedSteps<Item> steps;
  steps.next = [&](Item& item) { return descent.next(item); };
  steps.work = [&](Item& item) { descent.work(item); };
  steps.deliver = [&](Item& item) {
    descent.deliver(item, report);
    progress.add(item.end - item.offset);
  };
  run_ordered(steps, {std::min(options.threads, kMostThreads), options.cancel});
  if (options.cancel != nullptr) options.cancel->check();
  progress.finish();
}

void refuse_snapshots(Node& image) {
  Snapshots* const all = image.image().snapshots();
  if (all == nullptr || all->list().empty()) return;
  throw Error(Errc::invalid_argument, "the image has snapshots, which read through the parent and would change with it")
      .in(image.path())
      .hint("delete them first, or convert the image");
}

/// The parent is closed, and the image knows which one it is now.
void settle(Node& image, Node& parent, const std::string& announced) {
  parent.close();
  const std::string identity = parent.image().identity();
  if (identity != announced) image.renew_parent(identity);
  image.close();
}

void settle_if_possible(Node& image, Node& parent, const std::string& announced) noexcept {
  try {
    settle(image, parent, announced);
  } catch (...) {
    // The image has been told beforehand: it knows its parent all the same.
  }
}

}  // namespace

CommitReport commit(const std::string& path, const CommitOptions& options) {
  OpenOptions how = options.open;
  how.access = Access::read_write;
  if (how.ignore_parent) throw Error(Errc::invalid_argument, "a commit needs the parent").in(path);
  const std::shared_ptr<Node> image = open_over_writable_parent(path, how);
  Node* const parent = image->parent();
  if (parent == nullptr)
    throw Error(Errc::invalid_argument, "the image has no parent to commit to").in(path).hint("use `varve convert` to copy it");
  refuse_snapshots(*image);
  CommitReport report{parent->path(), image->size(), 0, 0};

  const std::string before = parent->image().identity();
  const std::string announced = parent->announce_change();
  if (announced != before) image->renew_parent(announced);
  try {
    write_down(*image, *parent, options, report);
  } catch (...) {
    settle_if_possible(*image, *parent, announced);
    throw;
  }
  settle(*image, *parent, announced);
  return report;
}

}  // namespace varve
