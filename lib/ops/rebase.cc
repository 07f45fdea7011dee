// `varve rebase`: another parent below an image. What the image does not hold is compared between the old chain and the new one by all
// threads; what differs is written into the image, in the order of the disk. The reference changes when that is durable, so at no moment
// does the image read as anything else.
#include <algorithm>
#include <atomic>
#include <cstring>
#include <optional>
#include <vector>

#include "base/aligned_buffer.h"
#include "base/zero.h"
#include "exec/pipeline.h"
#include "exec/progress_meter.h"
#include "image/chain.h"
#include "io/file_system.h"
#include "ops/copy_item.h"
#include "ops/side.h"
#include "varve/ops.h"

namespace varve {

namespace {

using ops::Run;
using ops::Side;

constexpr uint64_t kItemData = uint64_t{1} << 20;
constexpr size_t kItemRuns = 256;
constexpr uint64_t kItemSpan = uint64_t{1} << 30;
constexpr unsigned kMostThreads = 64;
/// What differs is taken over in blocks of this size, at multiples of it.
constexpr uint64_t kBlock = 64 << 10;

/// A range that the image does not hold, and one of the two chains does.
struct Gap {
  Run run;  ///< `zero`: the old chain reads as zeros there
  bool data_in_new = false;
};

struct Item {
  uint64_t offset = 0;
  uint64_t end = 0;
  std::vector<Gap> gaps;
  AlignedBuffer before;  ///< of the gaps, one behind the other: what the old chain reads
  AlignedBuffer after;
  std::vector<Run> writes;
};

class Adoption {
 public:
  Adoption(Node& image, Node* parent, const CancelToken* cancel)
      : image_(image), old_(image.parent()), new_(parent), end_(image.size()), cancel_(cancel) {}

  bool next(Item& item);
  void work(Item& item);
  void deliver(Item& item);
  uint64_t end() const { return end_; }
  uint64_t written() const { return written_; }

 private:
  static void find_differences(Item& item, const Gap& gap);

  Node& image_;
  Side old_;
  Side new_;
  const uint64_t end_;
  const CancelToken* const cancel_;
  uint64_t position_ = 0;
  Extent held_;  ///< the image's own run at position_
  uint64_t written_ = 0;
};

bool Adoption::next(Item& item) {
  item.offset = position_;
  item.gaps.clear();
  item.writes.clear();
  size_t data = 0;
  while (position_ < end_ && data < kItemData && item.gaps.size() < kItemRuns && position_ - item.offset < kItemSpan) {
    if (cancel_ != nullptr) cancel_->check();
    if (held_.length == 0 || position_ >= held_.offset + held_.length) held_ = image_.layer_extent_at(position_);
    uint64_t end = held_.offset + held_.length;
    if (held_.kind == ExtentKind::absent) {
      uint64_t end_old = 0;
      uint64_t end_new = 0;
      Gap gap{{position_, 0, !old_.data_at(position_, end_old), data}, new_.data_at(position_, end_new)};
      end = std::min({end, end_old, end_new});
      if (!gap.run.zero || gap.data_in_new) {
        end = std::min(end, position_ + (kItemData - data));
        gap.run.length = end - position_;
        data += static_cast<size_t>(gap.run.length);
        item.gaps.push_back(gap);
      }
    }
    position_ = end;
  }
  item.end = position_;
  return item.end > item.offset;
}

void Adoption::work(Item& item) {
  size_t bytes = 0;
  for (const Gap& gap : item.gaps) bytes += static_cast<size_t>(gap.run.length);
  item.before.reset(bytes);
  item.after.reset(bytes);
  for (const Gap& gap : item.gaps) {
    const auto part = [&](AlignedBuffer& buffer) { return buffer.bytes().subspan(gap.run.place, static_cast<size_t>(gap.run.length)); };
    const MutableBytes before = part(item.before);
    const MutableBytes after = part(item.after);
    std::fill(before.begin(), before.end(), std::byte{0});
    std::fill(after.begin(), after.end(), std::byte{0});
    if (!gap.run.zero) old_.read(gap.run.offset, before);
    if (gap.data_in_new) new_.read(gap.run.offset, after);
    find_differences(item, gap);
  }
}

void Adoption::find_differences(Item& item, const Gap& gap) {
  for (uint64_t done = 0; done < gap.run.length;) {
    const uint64_t offset = gap.run.offset + done;
    const uint64_t length = std::min(gap.run.length - done, kBlock - offset % kBlock);
    const size_t place = gap.run.place + static_cast<size_t>(done);
    const ConstBytes before = item.before.bytes().subspan(place, static_cast<size_t>(length));
    if (std::memcmp(before.data(), item.after.data() + place, before.size()) != 0) {
      const Run run{offset, length, is_zero(before), place};
      Run* const last = item.writes.empty() ? nullptr : &item.writes.back();
      if (last != nullptr && last->zero == run.zero && last->end() == offset && last->place + last->length == place)
        last->length += length;
      else
        item.writes.push_back(run);
    }
    done += length;
  }
}

void Adoption::deliver(Item& item) {
  for (const Run& run : item.writes) {
    if (run.zero)
      image_.cover_with_zeros(run.offset, run.length);
    else
      image_.write_at(run.offset, item.before.bytes().subspan(run.place, static_cast<size_t>(run.length)));
    written_ += run.length;
  }
}

uint64_t adopt(Node& image, Node* parent, const RebaseOptions& options) {
  Adoption adoption(image, parent, options.cancel);
  ProgressMeter progress(options.progress, adoption.end());
  OrderedSteps<Item> steps;
  steps.next = [&](Item& item) { return adoption.next(item); };
  steps.work = [&](Item& item) { adoption.work(item); };
  steps.deliver = [&](Item& item) {
    adoption.deliver(item);
    progress.add(item.end - item.offset);
  };
  run_ordered(steps, {std::min(options.threads, kMostThreads), options.cancel});
  progress.finish();
  if (adoption.written() != 0) image.flush();
  return adoption.written();
}

/// How the new parent is opened.
OpenOptions below(const RebaseOptions& options) {
  OpenOptions how = options.open;
  how.snapshot = options.parent_snapshot;
  return how;
}

/// While nothing is open: the old parent may be the same file.
void hold_snapshot(const std::string& path, const RebaseOptions& options) {
  OpenOptions look = options.open;
  look.access = Access::read_only;
  look.ignore_parent = true;
  look.parent.clear();
  const FormatDriver& driver = open_node(path, look)->driver();
  hold_parent(path, driver, options.parent, options.parent_format, below(options));
}

/// A chain that leads back to the image would have no end. Asked without locks: the image's own would be in the way.
void refuse_circle(const std::string& path, const FormatDriver& driver, const RebaseOptions& options) {
  FileSystem& files = file_system_of(options.open.file_system);
  const auto id = files.open(path, {.lock = false})->id();
  if (!id) return;
  OpenOptions look = below(options);
  look.ignore_locks = true;
  look.warn = {};
  const auto parent = open_new_parent(path, driver, options.parent, options.parent_format, look);
  for (const Node* layer = parent.get(); layer != nullptr; layer = layer->parent()) {
    for (const std::string& file : layer->info().files) {
      if (files.open(file, {.lock = false})->id() == id)
        throw Error(Errc::invalid_argument, "the new parent " + options.parent + " is the image itself, or lies over it")
            .in(path)
            .hint("name another parent");
    }
  }
}

std::shared_ptr<Node> open_image(const std::string& path, const RebaseOptions& options) {
  OpenOptions how = options.open;
  how.access = Access::read_write;
  // The old parent may be gone.
  if (options.unsafe) how.ignore_parent = true;
  return open_node(path, how);
}

}  // namespace

RebaseReport rebase(const std::string& path, const RebaseOptions& options) {
  if (!options.parent_snapshot.empty()) hold_snapshot(path, options);
  const std::shared_ptr<Node> image = open_image(path, options);
  std::shared_ptr<Node> parent;
  std::optional<CreateContext::Parent> reference;
  if (!options.parent.empty()) {
    refuse_circle(path, image->driver(), options);
    const std::string warning = parent_name_warning(options.parent);
    if (!warning.empty() && options.open.warn) options.open.warn(warning);
    parent = open_new_parent(path, image->driver(), options.parent, options.parent_format, below(options));
    reference = {options.parent, std::string(parent->driver().info().name), parent->image().identity(), parent->size(), &parent->image()};
  }
  const CreateContext::Parent* const stored = reference ? &*reference : nullptr;
  image->check_new_parent(stored);
  RebaseReport report;
  report.virtual_size = image->size();
  if (!options.unsafe) report.written_bytes = adopt(*image, parent.get(), options);
  if (options.cancel != nullptr) options.cancel->check();
  image->change_parent(stored);
  image->close();
  return report;
}

}  // namespace varve
