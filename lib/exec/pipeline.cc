#include "exec/pipeline.h"

#include <sched.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <exception>
#include <mutex>
#include <optional>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include "exec/signals_blocked.h"

namespace varve {

namespace detail {

namespace {

/// What the workers of one run share.
class Run {
 public:
  Run(size_t workers, const CancelToken* cancel) : cancel_(cancel), turn_came_(workers) {}

  /// One worker's life.
  void work(const WorkerSteps& steps) noexcept {
    try {
      while (one_item(steps)) {
      }
    } catch (...) {
      fail(std::current_exception());
    }
  }

  void fail(std::exception_ptr error) noexcept {
    intake_closed_ = true;
    const std::lock_guard lock(turn_mutex_);
    if (!stopped_) error_ = std::move(error);
    stopped_ = true;
    for (auto& waiting : turn_came_) waiting.notify_all();
  }

  /// To be called when all workers are joined.
  void rethrow() const {
    if (error_) std::rethrow_exception(error_);
  }

 private:
  struct Taken {
    uint64_t ticket = 0;
    std::exception_ptr error;  // of next() or work(): raised when its turn comes, so that earlier items go first
  };

  // False: this worker is done.
  bool one_item(const WorkerSteps& steps) {
    std::optional<Taken> taken = take(steps);
    if (!taken) return false;
    if (!taken->error) try_work(steps, *taken);
    if (!wait_for_turn(taken->ticket)) return false;
    if (taken->error) std::rethrow_exception(taken->error);
    check_cancelled();
    steps.deliver();
    pass_turn();
    if (steps.finish) steps.finish();
    return true;
  }

  std::optional<Taken> take(const WorkerSteps& steps) {
    const std::lock_guard lock(take_mutex_);
    if (intake_closed_) return std::nullopt;
    check_cancelled();
    Taken taken;
    try {
      if (!steps.next()) {
        intake_closed_ = true;
        return std::nullopt;
      }
    } catch (...) {
      intake_closed_ = true;
      taken.error = std::current_exception();
    }
    taken.ticket = tickets_++;
    return taken;
  }

  void try_work(const WorkerSteps& steps, Taken& taken) {
    try {
      steps.work();
    } catch (...) {
      intake_closed_ = true;
      taken.error = std::current_exception();
    }
  }

  // False: the run was stopped. The tickets that are taken and not delivered are consecutive, and each is another worker's, so
  // a ticket modulo the number of workers names one waiter.
  bool wait_for_turn(uint64_t ticket) {
    std::unique_lock lock(turn_mutex_);
    turn_came_[ticket % turn_came_.size()].wait(lock, [&] { return stopped_ || turn_ == ticket; });
    return !stopped_;
  }

  void pass_turn() {
    const std::lock_guard lock(turn_mutex_);
    ++turn_;
    turn_came_[turn_ % turn_came_.size()].notify_all();
  }

  void check_cancelled() const {
    if (cancel_ != nullptr) cancel_->check();
  }

  const CancelToken* const cancel_;
  std::atomic<bool> intake_closed_{false};  // no more tickets; set under any lock or none

  // Lock order: take_mutex_ is never held together with turn_mutex_.
  std::mutex take_mutex_;  // covers next() and:
  uint64_t tickets_ = 0;

  std::mutex turn_mutex_;  // covers the rest; deliver() runs outside it, alone because it is its turn
  std::vector<std::condition_variable> turn_came_;
  uint64_t turn_ = 0;
  bool stopped_ = false;
  std::exception_ptr error_;
};

}  // namespace

void run_workers(const std::function<WorkerSteps()>& make_worker, const PipelineOptions& options) {
  const unsigned threads = options.threads != 0 ? options.threads : default_threads();
  const unsigned workers = threads == 1 ? 1 : threads + 2;
  std::vector<WorkerSteps> steps;
  for (unsigned i = 0; i < workers; ++i) steps.push_back(make_worker());
  Run run(workers, options.cancel);
  {
    std::vector<std::jthread> others;
    others.reserve(workers - 1);
    try {
      const SignalsBlocked blocked;
      for (unsigned i = 1; i < workers; ++i) others.emplace_back([&run, &mine = steps[i]] { run.work(mine); });
    } catch (const std::system_error&) {
      // As many as there are, the caller at least, do the same work.
    } catch (...) {
      run.fail(std::current_exception());
    }
    run.work(steps[0]);
  }
  run.rethrow();
}

}  // namespace detail

unsigned default_threads() {
  constexpr unsigned kMost = 64;
  cpu_set_t allowed;
  CPU_ZERO(&allowed);
  unsigned count = std::thread::hardware_concurrency();
  if (sched_getaffinity(0, sizeof(allowed), &allowed) == 0) count = static_cast<unsigned>(CPU_COUNT(&allowed));
  return std::clamp(count, 1U, kMost);
}

}  // namespace varve
