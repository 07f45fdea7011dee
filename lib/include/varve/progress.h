// Progress and cancellation of long operations.
#ifndef VARVE_PROGRESS_H
#define VARVE_PROGRESS_H

#include <atomic>
#include <cstdint>
#include <functional>

#include "varve/error.h"

#pragma GCC visibility push(default)
namespace varve {

/// Bytes of the disk dealt with so far, and in all. Called from worker threads, never from two at once,
/// and with `done` never decreasing. Must not throw.
using ProgressFn = std::function<void(uint64_t done, uint64_t total)>;

/// Set from any thread or signal handler; operations look at it between pieces of work and then throw Errc::cancelled.
class CancelToken {
 public:
  void cancel() noexcept { cancelled_.store(true, std::memory_order_relaxed); }
  bool cancelled() const noexcept { return cancelled_.load(std::memory_order_relaxed); }
  void check() const {
    if (cancelled()) throw Error(Errc::cancelled, "cancelled");
  }

 private:
  std::atomic<bool> cancelled_{false};
  static_assert(std::atomic<bool>::is_always_lock_free, "set from signal handlers");
};

}  // namespace varve
#pragma GCC visibility pop

#endif
