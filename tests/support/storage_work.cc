#include "support/storage_work.h"

#include <algorithm>
#include <atomic>
#include <thread>

#include "base/aligned_buffer.h"
#include "io/zero_range.h"
#include "support/pattern.h"

namespace varve::test {

namespace {

constexpr uint64_t kPage = AlignedBuffer::kPage;
constexpr uint64_t kLongest = 3 << 20;

struct Range {
  uint64_t offset;
  uint64_t length;
};

class ShadowedStorage {
 public:
  ShadowedStorage(Storage& storage, std::vector<std::byte>& shadow, Rng& rng)
      : storage_(storage), shadow_(shadow), rng_(rng), most_(storage.limits().fixed_size ? shadow.size() : kLongest + 100 * kPage) {}

  std::string step() {
    switch (rng_.below(8)) {
      case 0:
      case 1:
      case 2: return read();
      case 3:
      case 4:
      case 5: write(); return "";
      case 6: zero(); return "";
      default: resize_or_flush(); return "";
    }
  }

  std::string difference() {
    const MutableBytes all = memory(shadow_.size());
    if (storage_.size() != shadow_.size()) return "it has " + std::to_string(storage_.size()) + " bytes";
    storage_.read_at(0, all);
    return describe_difference(0, all, shadow_);
  }

 private:
  /// A border between pages, or a place beside one.
  uint64_t near_border(uint64_t most) {
    const uint64_t border = rng_.below(most / kPage + 1) * kPage;
    if (rng_.one_in(2)) return std::min(border, most);
    return std::min(border + rng_.below(kPage), most);
  }
  Range range_below(uint64_t end) {
    const uint64_t offset = near_border(end);
    const uint64_t longest = std::min(end - offset, rng_.one_in(20) ? kLongest : 12 * kPage);
    return {offset, std::min(near_border(longest), longest)};
  }
  /// Aligned to a page, to a few bytes, or not at all.
  MutableBytes memory(uint64_t length) {
    buffer_.reset(static_cast<size_t>(length) + kPage);
    return buffer_.bytes().subspan(rng_.one_in(2) ? 0 : rng_.between(1, 40), static_cast<size_t>(length));
  }

  std::string read() {
    const Range range = range_below(shadow_.size());
    const MutableBytes out = memory(range.length);
    storage_.read_at(range.offset, out);
    return describe_difference(range.offset, out,
                               ConstBytes(shadow_).subspan(static_cast<size_t>(range.offset), static_cast<size_t>(range.length)));
  }
  void write() {
    const Range range = range_below(most_);
    const MutableBytes data = memory(range.length);
    fill_pattern(range.offset, ++generation_, data);
    storage_.write_at(range.offset, data);
    if (range.length == 0) return;
    if (range.offset + range.length > shadow_.size()) shadow_.resize(static_cast<size_t>(range.offset + range.length));
    std::copy(data.begin(), data.end(), shadow_.begin() + static_cast<ptrdiff_t>(range.offset));
  }
  void zero() {
    const Range range = range_below(shadow_.size());
    zero_range(storage_, range.offset, range.length);
    std::fill_n(shadow_.begin() + static_cast<ptrdiff_t>(range.offset), range.length, std::byte{0});
  }
  void resize_or_flush() {
    if (storage_.limits().fixed_size || rng_.one_in(2)) return storage_.flush();
    const uint64_t size = near_border(most_);
    storage_.resize(size);
    shadow_.resize(static_cast<size_t>(size));
  }

  Storage& storage_;
  std::vector<std::byte>& shadow_;
  Rng& rng_;
  const uint64_t most_;
  AlignedBuffer buffer_;
  uint64_t generation_ = 0;
};

/// Ranges one behind the other, of which few end where a block does.
std::vector<Range> ranges_within(uint64_t size, Rng& rng) {
  std::vector<Range> all;
  for (uint64_t at = 0; at < size;) {
    const uint64_t length = std::min(size - at, rng.one_in(3) ? rng.between(1, 3000) : rng.between(1, 6 * kPage));
    all.push_back({at, length});
    at += length;
  }
  return all;
}

}  // namespace

std::string work_against_shadow(Storage& storage, std::vector<std::byte>& shadow, Rng& rng, uint64_t steps) {
  ShadowedStorage both(storage, shadow, rng);
  for (uint64_t i = 0; i < steps; ++i)
    if (std::string wrong = both.step(); !wrong.empty()) return "step " + std::to_string(i) + ": " + wrong;
  return both.difference();
}

std::string work_of_neighbours(Storage& storage, uint64_t size, unsigned threads, unsigned rounds) {
  Rng rng("neighbours");
  const std::vector<Range> ranges = ranges_within(size, rng);
  std::vector<std::string> wrong(threads);
  const auto check = [&](const Range& range, uint64_t generation, MutableBytes memory) {
    storage.read_at(range.offset, memory);
    return describe_difference(range.offset, memory, pattern(range.offset, generation, static_cast<size_t>(range.length)));
  };
  const auto work = [&](unsigned self) {
    AlignedBuffer buffer(8 * kPage);
    for (unsigned round = 1; round <= rounds; ++round) {
      for (size_t i = self; i < ranges.size() && wrong[self].empty(); i += threads) {
        // Half of them at the place in a page that they have on the storage, so that whole blocks of them are aligned.
        const uint64_t place = (i / threads) % 2 == 0 ? ranges[i].offset % kPage : 8;
        const MutableBytes memory = buffer.bytes().subspan(static_cast<size_t>(place), static_cast<size_t>(ranges[i].length));
        fill_pattern(ranges[i].offset, round, memory);
        storage.write_at(ranges[i].offset, memory);
        wrong[self] = check(ranges[i], round, memory);
      }
    }
  };
  std::vector<std::thread> workers;
  for (unsigned self = 0; self < threads; ++self) workers.emplace_back(work, self);
  for (std::thread& worker : workers) worker.join();
  for (const std::string& one : wrong)
    if (!one.empty()) return "while it was written: " + one;
  std::vector<std::byte> all(static_cast<size_t>(size));
  storage.read_at(0, all);
  return describe_difference(0, all, pattern(0, rounds, static_cast<size_t>(size)));
}

}  // namespace varve::test
