#include "exec/background_task.h"

#include <exception>

#include "exec/signals_blocked.h"

namespace varve {

void BackgroundTask::wake() {
  const std::lock_guard lock(mutex_);
  if (stopped_ || wanted_) return;
  try {
    if (!thread_.joinable()) {
      const SignalsBlocked blocked;
      thread_ = std::thread([this] { run(); });
    }
    wanted_ = true;
    changed_.notify_one();
  } catch (const std::exception&) {
    // No thread, or no memory for one: then nobody does it beside the others.
  }
}

void BackgroundTask::stop() {
  {
    const std::lock_guard lock(mutex_);
    stopped_ = true;
    changed_.notify_one();
  }
  if (thread_.joinable()) thread_.join();
}

void BackgroundTask::run() {
  std::unique_lock lock(mutex_);
  while (true) {
    changed_.wait(lock, [this] { return wanted_ || stopped_; });
    if (stopped_) return;
    lock.unlock();
    bool more = false;
    try {
      more = step_();
    } catch (const std::exception&) {
      // Whoever needs it meets the same.
    }
    lock.lock();
    wanted_ = more;
  }
}

}  // namespace varve
