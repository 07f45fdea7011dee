#include "varve/bench.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <chrono>
#include <cstring>
#include <exception>
#include <mutex>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include "base/aligned_buffer.h"

namespace varve {
namespace {

using Clock = std::chrono::steady_clock;

constexpr unsigned kMostThreads = 256;
constexpr uint64_t kMostBlock = uint64_t{64} << 20;

double seconds_since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

/// A well mixed function of its argument (splitmix64's finalizer): the n-th random number without a state.
uint64_t mix(uint64_t n) {
  n += 0x9e3779b97f4a7c15;
  n = (n ^ (n >> 30)) * 0xbf58476d1ce4e5b9;
  n = (n ^ (n >> 27)) * 0x94d049bb133111eb;
  return n ^ (n >> 31);
}

/// Durations by their highest bits: 16 steps to a power of two.
class Histogram {
 public:
  void add(uint64_t nanoseconds) {
    ++counts_[place_of(nanoseconds)];
    ++total_;
    sum_ += nanoseconds;
    most_ = std::max(most_, nanoseconds);
  }
  void add(const Histogram& other) {
    for (size_t i = 0; i < counts_.size(); ++i) counts_[i] += other.counts_[i];
    total_ += other.total_;
    sum_ += other.sum_;
    most_ = std::max(most_, other.most_);
  }
  BenchResult::Latency latency() const { return {total_ == 0 ? 0 : sum_ / total_, at(0.5), at(0.9), at(0.99), at(0.999), most_}; }

 private:
  static constexpr unsigned kSteps = 16;

  static size_t place_of(uint64_t value) {
    if (value < kSteps) return value;
    const auto shift = static_cast<unsigned>(std::bit_width(value)) - 5;
    return (shift + 1) * kSteps + (value >> shift) - kSteps;
  }
  static uint64_t value_at(size_t place) {
    if (place < kSteps) return place;
    return (place % kSteps + kSteps) << (place / kSteps - 1);
  }
  uint64_t at(double part) const {
    const auto wanted = static_cast<uint64_t>(part * static_cast<double>(total_));
    uint64_t seen = 0;
    for (size_t i = 0; i < counts_.size(); ++i) {
      seen += counts_[i];
      if (seen > wanted) return value_at(i);
    }
    return most_;
  }

  std::array<uint64_t, 61 * kSteps> counts_{};
  uint64_t total_ = 0;
  uint64_t sum_ = 0;
  uint64_t most_ = 0;
};

class Bench {
 public:
  Bench(Image& image, const BenchOptions& options) : image_(image), options_(options) {
    const uint64_t size = image.size();
    const auto refuse = [](const char* what, const char* hint) { throw Error(Errc::invalid_argument, what).hint(hint); };
    if (options.block == 0 || options.block > kMostBlock) refuse("a block of this size can't be measured", "1 byte to 64 MiB");
    if (options.depth < 1 || options.depth > kMostThreads) refuse("so many requests can't be under way at once", "1 to 256");
    if (options.count == 0 && options.seconds <= 0) refuse("there is no end to it", "name a number of requests, or a time");
    if (options.offset > size || options.range > size - options.offset) refuse("the range leaves the disk", "choose a smaller one");
    range_ = options.range != 0 ? options.range : size - options.offset;
    if (range_ < options.block) refuse("the range is smaller than a block", "choose a smaller block");
    step_ = options.step != 0 ? options.step : options.block;
  }

  BenchResult run() {
    start_ = Clock::now();
    run_threads();
    if (error_) std::rethrow_exception(error_);
    BenchResult result;
    if (options_.write) {
      const auto begin = Clock::now();
      image_.flush();
      result.flush_seconds = seconds_since(begin);
      ++flushes_;
    }
    result.seconds = seconds_since(start_);
    result.requests = done_;
    result.bytes = done_ * options_.block;
    result.flushes = flushes_;
    result.latency = latency_.latency();
    return result;
  }

 private:
  /// One of them is the caller.
  void run_threads() {
    std::vector<std::thread> threads;
    try {
      threads.reserve(options_.depth);
      for (unsigned i = 1; i < options_.depth; ++i) threads.emplace_back([this, i] { work(i); });
    } catch (const std::system_error& error) {
      keep_error(std::make_exception_ptr(
          Error(Errc::limit, "the host has no room for so many threads").caused_by(error.what()).hint("use a smaller depth")));
    } catch (...) {
      keep_error(std::current_exception());
    }
    work(0);
    for (std::thread& thread : threads) thread.join();
  }

  uint64_t offset_of(uint64_t number) const {
    if (options_.random) return options_.offset + mix(options_.seed ^ mix(number)) % (range_ / options_.block) * options_.block;
    return options_.offset + std::min(number * step_ % range_, range_ - options_.block);
  }

  /// Half random, half zeros, in sectors by turns: as compressible as disks are.
  void fill(AlignedBuffer& buffer, unsigned thread) const {
    const MutableBytes bytes = buffer.bytes();
    if (options_.fill) return std::fill(bytes.begin(), bytes.end(), std::byte{*options_.fill});
    std::fill(bytes.begin(), bytes.end(), std::byte{0});
    for (size_t at = 0; at + 8 <= bytes.size(); at += 8) {
      if (at / 256 % 2 != 0) continue;
      const uint64_t random = mix(options_.seed ^ mix(at + (uint64_t{thread} << 40)));
      std::memcpy(bytes.data() + at, &random, sizeof(random));
    }
  }

  bool over() const {
    if (options_.cancel != nullptr && options_.cancel->cancelled()) return true;
    return failed_.load(std::memory_order_relaxed) || (options_.seconds > 0 && seconds_since(start_) >= options_.seconds);
  }

  void work(unsigned thread) {
    try {
      requests(thread);
    } catch (...) {
      keep_error(std::current_exception());
    }
  }

  /// The first one counts, and ends the others' work.
  void keep_error(std::exception_ptr error) {
    const std::lock_guard lock(mutex_);
    if (!error_) error_ = std::move(error);
    failed_ = true;
  }

  void requests(unsigned thread) {
    AlignedBuffer buffer;
    buffer.reset(options_.block);
    fill(buffer, thread);
    Histogram latency;
    while (!over()) {
      const uint64_t number = next_.fetch_add(1, std::memory_order_relaxed);
      if (options_.count != 0 && number >= options_.count) break;
      if (options_.write && !options_.fill && options_.block >= sizeof(number)) std::memcpy(buffer.data(), &number, sizeof(number));
      const auto begin = Clock::now();
      if (options_.write)
        image_.write_at(offset_of(number), buffer.bytes());
      else
        image_.read_at(offset_of(number), buffer.bytes());
      latency.add(static_cast<uint64_t>(std::chrono::duration_cast<std::chrono::nanoseconds>(Clock::now() - begin).count()));
      const uint64_t done = done_.fetch_add(1, std::memory_order_relaxed) + 1;
      if (options_.write && options_.flush_interval != 0 && done % options_.flush_interval == 0) {
        image_.flush();
        ++flushes_;
      }
    }
    if (options_.cancel != nullptr) options_.cancel->check();
    const std::lock_guard lock(mutex_);
    latency_.add(latency);
  }

  Image& image_;
  const BenchOptions& options_;
  uint64_t range_ = 0;
  uint64_t step_ = 0;
  Clock::time_point start_;
  std::atomic<uint64_t> next_{0};
  std::atomic<uint64_t> done_{0};
  std::atomic<uint64_t> flushes_{0};
  std::atomic<bool> failed_{false};
  std::mutex mutex_;  // covers what follows
  Histogram latency_;
  std::exception_ptr error_;
};

}  // namespace

BenchResult bench(Image& image, const BenchOptions& options) { return Bench(image, options).run(); }

}  // namespace varve
