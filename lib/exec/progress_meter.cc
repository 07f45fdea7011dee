#include "exec/progress_meter.h"

#include <algorithm>
#include <chrono>

namespace varve {

namespace {

constexpr int64_t kPeriod = 50'000'000;  // nanoseconds

int64_t now() { return std::chrono::nanoseconds(std::chrono::steady_clock::now().time_since_epoch()).count(); }

}  // namespace

void ProgressMeter::add(uint64_t bytes) {
  done_.fetch_add(bytes, std::memory_order_relaxed);
  if (!report_) return;
  const int64_t time = now();
  if (time < due_.load(std::memory_order_relaxed)) return;
  const std::unique_lock lock(mutex_, std::try_to_lock);
  if (!lock || time < due_.load(std::memory_order_relaxed)) return;
  due_.store(time + kPeriod, std::memory_order_relaxed);
  report_(std::min(done(), total_), total_);  // read under the lock: what is reported never decreases
}

void ProgressMeter::finish() {
  if (!report_) return;
  const std::lock_guard lock(mutex_);
  report_(total_, total_);
}

}  // namespace varve
