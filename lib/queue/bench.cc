#include "varve/bench.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstring>
#include <exception>
#include <mutex>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include "base/aligned_buffer.h"
#include "exec/signals_blocked.h"
#include "queue/latency.h"
#include "varve/queue.h"

namespace varve {
namespace {

using Clock = std::chrono::steady_clock;

constexpr unsigned kMostQueues = 64;
constexpr unsigned kMostDepth = 256;
constexpr uint64_t kMostBlock = uint64_t{64} << 20;
/// Bytes of all buffers together.
constexpr uint64_t kMostBuffers = uint64_t{1} << 30;

double seconds_since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

/// A well mixed function of its argument (splitmix64's finalizer): the n-th random number without a state.
uint64_t mix(uint64_t n) {
  n += 0x9e3779b97f4a7c15;
  n = (n ^ (n >> 30)) * 0xbf58476d1ce4e5b9;
  n = (n ^ (n >> 27)) * 0x94d049bb133111eb;
  return n ^ (n >> 31);
}

/// What the queues share: which request comes next, and when it is over.
class Bench {
 public:
  Bench(Image& image, const BenchOptions& options) : options_(options), engine_(image, {options.workers}) {
    const uint64_t size = image.size();
    const auto refuse = [](const char* what, const char* hint) { throw Error(Errc::invalid_argument, what).hint(hint); };
    if (options.block == 0 || options.block > kMostBlock) refuse("a block of this size can't be measured", "1 byte to 64 MiB");
    if (options.depth < 1 || options.depth > kMostDepth) refuse("so many requests can't be under way at once", "1 to 256");
    if (options.queues < 1 || options.queues > kMostQueues) refuse("there can't be so many queues", "1 to 64");
    if (options.block * options.depth * options.queues > kMostBuffers)
      refuse("the blocks under way would take more than 1 GiB of memory", "choose a smaller block, depth or number of queues");
    if (options.count == 0 && options.seconds <= 0) refuse("there is no end to it", "name a number of requests, or a time");
    if (options.offset > size || options.range > size - options.offset) refuse("the range leaves the disk", "choose a smaller one");
    range_ = options.range != 0 ? options.range : size - options.offset;
    if (range_ < options.block) refuse("the range is smaller than a block", "choose a smaller block");
    step_ = options.step != 0 ? options.step : options.block;
  }

  BenchResult run() {
    start_ = Clock::now();
    run_queues();
    if (error_) std::rethrow_exception(error_);
    BenchResult result;
    if (options_.write) {
      const auto begin = Clock::now();
      engine_.flush();
      result.flush_seconds = seconds_since(begin);
      ++flushes_;
    }
    result.seconds = seconds_since(start_);
    result.requests = done_;
    result.bytes = done_ * options_.block;
    result.flushes = flushes_;
    result.latency = latency_.result();
    return result;
  }

 private:
  class Lane;

  /// Each has a thread, of which one is the caller.
  void run_queues() {
    std::vector<std::thread> threads;
    try {
      threads.reserve(options_.queues);
      const SignalsBlocked blocked;
      for (unsigned i = 1; i < options_.queues; ++i) threads.emplace_back([this, i] { work(i); });
    } catch (const std::system_error& error) {
      keep_error(std::make_exception_ptr(
          Error(Errc::limit, "the host has no room for so many threads").caused_by(error.what()).hint("use fewer queues")));
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

  bool over() const {
    if (options_.cancel != nullptr && options_.cancel->cancelled()) return true;
    return failed_.load(std::memory_order_relaxed) || (options_.seconds > 0 && seconds_since(start_) >= options_.seconds);
  }

  void work(unsigned queue);

  /// The first one counts, and ends the others' work.
  void keep_error(std::exception_ptr error) {
    const std::lock_guard lock(mutex_);
    if (!error_) error_ = std::move(error);
    failed_ = true;
  }

  const BenchOptions& options_;
  Engine engine_;
  uint64_t range_ = 0;
  uint64_t step_ = 0;
  Clock::time_point start_;
  std::atomic<uint64_t> next_{0};
  std::atomic<uint64_t> done_{0};
  std::atomic<uint64_t> flushes_{0};
  std::atomic<bool> failed_{false};
  std::mutex mutex_;  // covers what follows
  Latencies latency_;
  std::exception_ptr error_;
};

/// One queue, and the thread that keeps it filled.
class Bench::Lane {
 public:
  Lane(Bench& bench, unsigned number)
      : bench_(bench), options_(bench.options_), blocks_(options_.depth), queue_(bench.engine_, options_.depth) {
    for (unsigned i = 0; i < options_.depth; ++i) {
      blocks_[i].buffer.reset(options_.block);
      fill(blocks_[i].buffer, number * options_.depth + i);
      free_.push_back(i);
    }
  }

  void run() {
    bool more = true;
    while (true) {
      while (!free_.empty() && (flushes_due_ != 0 || more)) {
        if (flushes_due_ != 0)
          submit_flush();
        else
          more = submit_next();
      }
      if (free_.size() == options_.depth) break;
      reap();
    }
    if (options_.cancel != nullptr) options_.cancel->check();
    const std::lock_guard lock(bench_.mutex_);
    bench_.latency_.add(latency_);
  }

 private:
  struct Block {
    AlignedBuffer buffer;
    Clock::time_point begin;
    bool flush = false;
  };

  /// Half random, half zeros, in sectors by turns: as compressible as disks are.
  void fill(AlignedBuffer& buffer, unsigned number) const {
    const MutableBytes bytes = buffer.bytes();
    if (options_.fill) return std::fill(bytes.begin(), bytes.end(), std::byte{*options_.fill});
    std::fill(bytes.begin(), bytes.end(), std::byte{0});
    for (size_t at = 0; at + 8 <= bytes.size(); at += 8) {
      if (at / 256 % 2 != 0) continue;
      const uint64_t random = mix(options_.seed ^ mix(at + (uint64_t{number} << 40)));
      std::memcpy(bytes.data() + at, &random, sizeof(random));
    }
  }

  /// False: it is over.
  bool submit_next() {
    if (bench_.over()) return false;
    const uint64_t number = bench_.next_.fetch_add(1, std::memory_order_relaxed);
    if (options_.count != 0 && number >= options_.count) return false;
    AlignedBuffer& buffer = blocks_[free_.back()].buffer;
    if (options_.write && !options_.fill && options_.block >= sizeof(number)) std::memcpy(buffer.data(), &number, sizeof(number));
    const iovec segment{buffer.data(), options_.block};
    Request request;
    request.kind = options_.write ? RequestKind::write : RequestKind::read;
    request.offset = bench_.offset_of(number);
    request.segments = {&segment, 1};
    submit(request);
    return true;
  }

  void submit_flush() {
    --flushes_due_;
    submit({.kind = RequestKind::flush});
  }

  void submit(Request request) {
    request.cookie = free_.back();
    Block& block = blocks_[free_.back()];
    free_.pop_back();
    block.flush = request.kind == RequestKind::flush;
    block.begin = Clock::now();
    queue_.submit(request);
  }

  void reap() {
    std::array<Completion, 64> some;
    const size_t count = queue_.wait(some, 1);
    const auto now = Clock::now();
    for (size_t i = 0; i < count; ++i) {
      const auto index = static_cast<unsigned>(some[i].cookie);
      free_.push_back(index);
      if (some[i].error) {
        bench_.keep_error(std::exchange(some[i].error, {}));
        continue;
      }
      if (blocks_[index].flush) {
        ++bench_.flushes_;
        continue;
      }
      latency_.add(static_cast<uint64_t>(std::chrono::duration_cast<std::chrono::nanoseconds>(now - blocks_[index].begin).count()));
      const uint64_t done = bench_.done_.fetch_add(1, std::memory_order_relaxed) + 1;
      if (options_.write && options_.flush_interval != 0 && done % options_.flush_interval == 0) ++flushes_due_;
    }
  }

  Bench& bench_;
  const BenchOptions& options_;
  std::vector<Block> blocks_;
  std::vector<unsigned> free_;  ///< of blocks_
  uint64_t flushes_due_ = 0;
  Latencies latency_;
  Queue queue_;  // last: it ends before the buffers
};

void Bench::work(unsigned queue) {
  try {
    Lane(*this, queue).run();
  } catch (...) {
    keep_error(std::current_exception());
  }
}

}  // namespace

BenchResult bench(Image& image, const BenchOptions& options) { return Bench(image, options).run(); }

}  // namespace varve
