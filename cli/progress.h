// How far a long command has got: a bar on a terminal, or JSON lines for a program.
#ifndef VARVE_CLI_PROGRESS_H
#define VARVE_CLI_PROGRESS_H

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

#include "messages.h"
#include "varve/progress.h"

namespace varve::cli {

class Arguments;

enum class ProgressStyle : uint8_t {
  none,
  bar,   ///< redrawn in place
  text,  ///< a line a second: a bar was asked for, but stderr is no terminal
  json,  ///< a JSON line a second
};

/// -p, --progress[=bar|json] and -q; without any of them a bar, if stderr is a terminal.
ProgressStyle progress_style(const Arguments& arguments);

/// Bytes per second and what is left, smoothed over some seconds so that a run of zeros does not upset it.
class RateMeter {
 public:
  void sample(double seconds, uint64_t done);
  uint64_t bytes_per_second() const { return rate_ < 0 ? 0 : static_cast<uint64_t>(rate_); }
  std::optional<uint64_t> seconds_left(uint64_t done, uint64_t total) const;

 private:
  double last_seconds_ = 0;
  uint64_t last_done_ = 0;
  double rate_ = -1;  // bytes a second; below 0: none yet
};

/// Shows the progress of one operation on stderr. Lives until the operation has ended.
class Progress {
 public:
  Progress(ProgressStyle style, std::string label, Messages& messages);
  ~Progress() { messages_.clear_status(); }
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  /// What the operation calls; empty if nothing is to be shown.
  ProgressFn function();
  /// The last word of an operation that succeeded: JSON says that all is done.
  void finish();

 private:
  using Clock = std::chrono::steady_clock;

  void update(uint64_t done, uint64_t total) noexcept;
  void show(double seconds, uint64_t done, uint64_t total);
  std::string json(uint64_t done, uint64_t total) const;
  std::string text(uint64_t done, uint64_t total) const;
  std::string bar(uint64_t done, uint64_t total) const;

  const ProgressStyle style_;
  const std::string label_;
  Messages& messages_;
  const Clock::time_point start_ = Clock::now();
  double next_ = 0;  // seconds since start_ when it is shown next
  uint64_t done_ = 0;
  uint64_t total_ = 0;
  RateMeter meter_;
};

}  // namespace varve::cli

#endif
