// Work that can wait, done beside everything else.
#ifndef VARVE_EXEC_BACKGROUND_TASK_H
#define VARVE_EXEC_BACKGROUND_TASK_H

#include <condition_variable>
#include <functional>
#include <mutex>
#include <thread>

namespace varve {

/// A thread that is started when it is first needed, and sleeps when there is nothing to do. Thread-safe.
class BackgroundTask {
 public:
  /// `step` does a part of the work and returns whether there is more. What it throws ends the work until the next wake(): whoever needs
  /// it done does it himself then, and learns why it fails.
  explicit BackgroundTask(std::function<bool()> step) : step_(std::move(step)) {}
  ~BackgroundTask() { stop(); }
  BackgroundTask(const BackgroundTask&) = delete;
  BackgroundTask& operator=(const BackgroundTask&) = delete;

  /// There is work. Without a thread, where the host has none, nothing happens.
  void wake();
  /// Waits for the step under way; there are no further ones, also after a wake().
  void stop();

 private:
  void run();

  const std::function<bool()> step_;
  std::mutex mutex_;  // covers what follows
  std::condition_variable changed_;
  bool wanted_ = false;
  bool stopped_ = false;
  std::thread thread_;
};

}  // namespace varve

#endif
