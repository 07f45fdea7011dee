// A program at a terminal of its own.
#ifndef VARVE_TESTS_CLI_TERMINAL_H
#define VARVE_TESTS_CLI_TERMINAL_H

#include <sys/types.h>

#include <string>
#include <vector>

namespace varve::test {

/// Its standard streams are the terminal, which it is killed with at the latest.
class AtTerminal {
 public:
  explicit AtTerminal(const std::vector<std::string>& argv);
  AtTerminal(const AtTerminal&) = delete;
  AtTerminal& operator=(const AtTerminal&) = delete;
  ~AtTerminal();

  pid_t pid() const { return pid_; }
  /// Waits until `text` has been shown, after what was waited for before. False if that did not happen in time.
  bool shows(const std::string& text);
  /// As if on the keyboard: "\n" is the return key, "\x03" Ctrl-C.
  void type(const std::string& text) const;
  bool echoes() const;
  /// All that was shown so far.
  const std::string& screen() const { return screen_; }
  /// Waits for its end. Returns the exit code, 128 + signal if it was killed.
  int wait();

 private:
  bool take(int milliseconds);

  int terminal_ = -1;
  pid_t pid_ = -1;
  int status_ = 0;
  std::string screen_;
  size_t waited_for_ = 0;
};

}  // namespace varve::test

#endif
