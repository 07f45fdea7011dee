// Between many workers and one ProgressFn.
#ifndef VARVE_EXEC_PROGRESS_METER_H
#define VARVE_EXEC_PROGRESS_METER_H

#include <atomic>
#include <cstdint>
#include <mutex>

#include "varve/progress.h"

namespace varve {

/// Counts bytes from many threads and reports them: never from two threads at once, never less than before, about 20 times a second at
/// most, and all of them at the end.
class ProgressMeter {
 public:
  /// `report` may be empty: then nothing is done.
  ProgressMeter(ProgressFn report, uint64_t total) : report_(std::move(report)), total_(total) {}

  /// Thread-safe, cheap; never waits for a report that another thread makes.
  void add(uint64_t bytes);
  /// The work is complete: reports total of total. Call it once, when no thread adds any more.
  void finish();

  uint64_t done() const noexcept { return done_.load(std::memory_order_relaxed); }

 private:
  const ProgressFn report_;
  const uint64_t total_;
  std::atomic<uint64_t> done_{0};
  std::atomic<int64_t> due_{0};  // when the next report is due: nanoseconds of the steady clock
  std::mutex mutex_;             // covers the call of report_
};

}  // namespace varve

#endif
