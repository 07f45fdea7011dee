// Other programs, run by a test.
#ifndef VARVE_TESTS_SUPPORT_PROCESS_H
#define VARVE_TESTS_SUPPORT_PROCESS_H

#include <sys/types.h>

#include <chrono>
#include <string>
#include <vector>

namespace varve::test {

struct RunResult {
  int exit_code = -1;      ///< 128 + signal if it was killed
  bool timed_out = false;  ///< and was killed for that
  std::string out;
  std::string err;
};

/// Runs argv[0] (looked for in PATH), feeds it `input` and waits. 127 if it can't be started.
RunResult run(const std::vector<std::string>& argv, const std::string& input = {},
              std::chrono::milliseconds timeout = std::chrono::seconds(60));

/// Runs a program that must succeed, or the test has failed; its standard output.
std::string must_run(const std::vector<std::string>& argv);

/// A program that runs beside the test and is killed with it at the latest. Its output goes nowhere.
class Background {
 public:
  /// `input` false: its standard input is empty; true: an open pipe that never says anything, until close_input().
  explicit Background(const std::vector<std::string>& argv, bool input = false);
  Background(const Background&) = delete;
  Background& operator=(const Background&) = delete;
  ~Background();

  pid_t pid() const { return pid_; }
  bool running();
  void close_input();
  /// Sends `signal` and waits until it has ended. Returns the exit code as RunResult.
  int stop(int signal = 15);
  /// Waits for its end by itself. False if that did not happen in time.
  bool wait(std::chrono::milliseconds timeout);

 private:
  pid_t pid_ = -1;
  int input_ = -1;
  int status_ = 0;
};

/// Calls `done` every 20 ms until it returns true or time is over; returns its last answer.
template <typename Condition>
bool eventually(Condition done, std::chrono::milliseconds timeout = std::chrono::seconds(15));

/// A directory of its own, removed with all it holds.
class TempDir {
 public:
  TempDir();
  explicit TempDir(const std::string& parent);
  TempDir(const TempDir&) = delete;
  TempDir& operator=(const TempDir&) = delete;
  ~TempDir();
  const std::string& path() const { return path_; }
  std::string operator/(const std::string& name) const { return path_ + "/" + name; }

 private:
  std::string path_;
};

void sleep_a_little();

template <typename Condition>
bool eventually(Condition done, std::chrono::milliseconds timeout) {
  const auto end = std::chrono::steady_clock::now() + timeout;
  while (!done()) {
    if (std::chrono::steady_clock::now() > end) return false;
    sleep_a_little();
  }
  return true;
}

}  // namespace varve::test

#endif
