// SIGINT and SIGTERM ask the running command to stop; asking twice does not wait.
#ifndef VARVE_CLI_SIGNALS_H
#define VARVE_CLI_SIGNALS_H

#include <atomic>
#include <csignal>
#include <thread>

#include "varve/progress.h"

namespace varve::cli {

/// Blocks both signals in this thread and in all that it starts later, and waits for them in a thread of its own: no signal handler,
/// no global state. The first one cancels the token; what was begun is undone and the process ends with received().
/// The second one kills, which leaves no half-written file either: a new file has no name until it is complete.
///
/// A signal that the parent process has told us to ignore stays ignored.
class Signals {
 public:
  Signals();
  ~Signals();
  Signals(const Signals&) = delete;
  Signals& operator=(const Signals&) = delete;

  const CancelToken& cancel() const { return cancel_; }
  /// The first signal's number, 0 if there was none.
  int received() const { return received_.load(); }

 private:
  void watch() noexcept;

  CancelToken cancel_;
  std::atomic<int> received_{0};
  sigset_t watched_{};
  int signal_fd_ = -1;
  int stop_fd_ = -1;
  std::thread watcher_;
};

}  // namespace varve::cli

#endif
