// Comparing two disks: what neither holds is not read, what one holds must be zeros, what both hold is read and compared by all
// threads. Results are looked at in the order of the disk, so the first difference is always the same.
#include <algorithm>
#include <atomic>
#include <cstring>
#include <vector>

#include "base/aligned_buffer.h"
#include "base/zero.h"
#include "exec/pipeline.h"
#include "exec/progress_meter.h"
#include "ops/side.h"
#include "varve/ops.h"

namespace varve {

namespace {

constexpr uint64_t kItemData = uint64_t{1} << 20;
constexpr size_t kItemRuns = 256;
constexpr uint64_t kItemSpan = uint64_t{1} << 40;
constexpr size_t kChunk = size_t{256} << 10;  // two of them stay in the processor's cache
constexpr unsigned kMostThreads = 64;

using ops::Side;

/// A run that at least one of the two holds.
struct Pair {
  uint64_t offset = 0;
  uint64_t length = 0;
  bool data_a = false;
  bool data_b = false;
};

struct Stretch {
  uint64_t offset = 0;
  uint64_t end = 0;
  std::vector<Pair> pairs;
  std::optional<uint64_t> difference;
  AlignedBuffer buffer;  // both sides' bytes; used again
};

class Comparison {
 public:
  Comparison(Image& a, Image& b, const CancelToken* cancel)
      : a_(&a.node()), b_(&b.node()), end_(std::max(a.size(), b.size())), cancel_(cancel) {}

  uint64_t end() const { return end_; }
  bool next(Stretch& stretch);
  void look(Stretch& stretch);

 private:
  std::optional<uint64_t> look_at(const Pair& pair, AlignedBuffer& buffer);

  Side a_;
  Side b_;
  const uint64_t end_;
  const CancelToken* const cancel_;
  uint64_t position_ = 0;
};

bool Comparison::next(Stretch& stretch) {
  stretch.offset = position_;
  stretch.pairs.clear();
  stretch.difference.reset();
  uint64_t data = 0;
  while (position_ < end_ && data < kItemData && stretch.pairs.size() < kItemRuns && position_ - stretch.offset < kItemSpan) {
    if (cancel_ != nullptr) cancel_->check();
    uint64_t end_a = 0;
    uint64_t end_b = 0;
    Pair pair{position_, 0, a_.data_at(position_, end_a), b_.data_at(position_, end_b)};
    pair.length = std::min({end_a, end_b, end_}) - position_;
    if (pair.data_a || pair.data_b) {
      pair.length = std::min(pair.length, kItemData - data);
      data += pair.length;
      stretch.pairs.push_back(pair);
    }
    position_ += pair.length;
  }
  stretch.end = position_;
  return stretch.end > stretch.offset;
}

void Comparison::look(Stretch& stretch) {
  for (const Pair& pair : stretch.pairs) {
    stretch.difference = look_at(pair, stretch.buffer);
    if (stretch.difference) return;
  }
}

/// The place of the first byte that is not zero; bytes.size() if there is none.
size_t first_nonzero(ConstBytes bytes) {
  if (is_zero(bytes)) return bytes.size();
  return static_cast<size_t>(std::find_if(bytes.begin(), bytes.end(), [](std::byte b) { return b != std::byte{0}; }) - bytes.begin());
}

size_t first_difference(ConstBytes a, ConstBytes b) {
  if (std::memcmp(a.data(), b.data(), a.size()) == 0) return a.size();
  return static_cast<size_t>(std::mismatch(a.begin(), a.end(), b.begin()).first - a.begin());
}

std::optional<uint64_t> Comparison::look_at(const Pair& pair, AlignedBuffer& buffer) {
  const size_t most = static_cast<size_t>(std::min<uint64_t>(pair.length, kChunk));
  buffer.reset(2 * most);
  for (uint64_t done = 0; done < pair.length;) {
    const size_t length = static_cast<size_t>(std::min<uint64_t>(pair.length - done, most));
    const MutableBytes bytes_a(buffer.data(), length);
    const MutableBytes bytes_b(buffer.data() + most, length);
    if (pair.data_a) a_.read(pair.offset + done, bytes_a);
    if (pair.data_b) b_.read(pair.offset + done, bytes_b);
    const size_t at = !pair.data_b ? first_nonzero(bytes_a) : !pair.data_a ? first_nonzero(bytes_b) : first_difference(bytes_a, bytes_b);
    if (at != length) return pair.offset + done + at;
    done += length;
  }
  return std::nullopt;
}

}  // namespace

CompareResult compare(Image& a, Image& b, const CompareOptions& options) {
  Comparison comparison(a, b, options.cancel);
  ProgressMeter progress(options.progress, comparison.end());
  CompareResult result{true, std::nullopt, a.size(), b.size()};
  std::atomic<bool> found{false};
  OrderedSteps<Stretch> steps;
  steps.next = [&](Stretch& stretch) { return !found && comparison.next(stretch); };
  steps.work = [&](Stretch& stretch) { comparison.look(stretch); };
  steps.deliver = [&](Stretch& stretch) {
    if (found) return;
    progress.add(stretch.end - stretch.offset);
    if (!stretch.difference) return;
    result.first_difference = stretch.difference;
    found = true;
  };
  try {
    run_ordered(steps, {std::min(options.threads, kMostThreads), options.cancel});
  } catch (...) {
    // Errors come in the order of the disk, too. What other threads met behind the difference, one thread would not have looked at.
    if (!found) throw;
  }
  progress.finish();
  if (!found && options.strict && a.size() != b.size()) result.first_difference = std::min(a.size(), b.size());
  result.same = !result.first_difference.has_value();
  return result;
}

}  // namespace varve
