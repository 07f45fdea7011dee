#include "ops/copy.h"

#include <algorithm>
#include <atomic>

#include "exec/pipeline.h"
#include "exec/progress_meter.h"
#include "image/node.h"

namespace varve {

namespace ops {

namespace {

constexpr unsigned kMostThreads = 64;  // each has an item of 1 MiB at most, and as much again when it is encoded: below 256 MiB in all

/// The storage in which the whole disk lies at its own offsets; nullptr if a parent or the format stands between.
Storage* flat_storage(Image& image) {
  Node& node = image.node();
  return node.parent() == nullptr ? node.image().flat_storage() : nullptr;
}

void load(CopySource& source, CopyItem& item) {
  item.buffer.reset(item.data_bytes);
  for (const Run& run : item.runs)
    if (!run.zero) source.load(item, run, item.buffer.bytes().subspan(run.place, static_cast<size_t>(run.length)));
}

}  // namespace

std::unique_ptr<CopyTarget> choose_target(Image* image, Image& target, const CopyOptions& options) {
  Node& node = target.node();
  const bool child = node.parent() != nullptr;
  const bool all_zeros = node.fresh() && !child;
  node.touch();
  const Zeros zeros = all_zeros || options.target_is_zero ? Zeros::skip : Zeros::write;
  if (all_zeros) {
    if (BulkWriter* const writer = node.image().bulk_writer()) return std::make_unique<BulkTarget>(*writer);
  }
  if (node.streaming()) return std::make_unique<PipeTarget>(target);
  if (Storage* const to = flat_storage(target)) {
    Storage* const from = image != nullptr ? flat_storage(*image) : nullptr;
    const DirectTarget direct(target, zeros);
    if (from != nullptr) return std::make_unique<KernelTarget>(*image, *from, *to, direct);
    return std::make_unique<DirectTarget>(direct);
  }
  return std::make_unique<OrderedTarget>(target, zeros, node.created() && child);
}

CopyReport copy(CopySource& source, Image* image, Image& target, const CopyOptions& options) {
  if (target.size() < source.size()) {
    throw Error(Errc::invalid_argument, "the target of " + std::to_string(target.size()) + " bytes is smaller than the source of " +
                                            std::to_string(source.size()) + " bytes")
        .hint("resize the target first");
  }
  const std::unique_ptr<CopyTarget> way = choose_target(image, target, options);
  Cut cut = way->cut();
  cut.end = target.size();
  source.begin(cut);

  ProgressMeter progress(options.progress, cut.end);
  std::atomic<uint64_t> written{0};
  OrderedSteps<CopyItem> steps;
  steps.next = [&](CopyItem& item) { return source.next(item); };
  steps.work = [&](CopyItem& item) {
    if (way->wants_data()) load(source, item);
    way->work(item);
  };
  steps.deliver = [&](CopyItem& item) { way->deliver(item); };
  steps.finish = [&](CopyItem& item) {
    way->finish(item);
    written += item.written;
    progress.add(item.end - item.offset);
  };
  run_ordered(steps, {std::min(options.threads, kMostThreads), options.cancel});
  progress.finish();
  return {source.size(), written};
}

}  // namespace ops

CopyReport copy_image(Image& source, Image& target, const CopyOptions& options) {
  ops::ImageSource from(source, options.cancel);
  return ops::copy(from, &source, target, options);
}

}  // namespace varve
