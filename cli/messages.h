// Everything on stderr: the error line, warnings, and a status line that they do not run into.
#ifndef VARVE_CLI_MESSAGES_H
#define VARVE_CLI_MESSAGES_H

#include <mutex>
#include <string>
#include <string_view>

namespace varve::cli {

/// Callable from any thread. Never throws for a stderr that cannot be written: there is nobody left to tell.
class Messages {
 public:
  ~Messages() { clear_status(); }

  /// "varve: TEXT", escaped to one line.
  void error(std::string_view text) { line(text); }
  /// "varve: warning: TEXT", escaped to one line.
  void warn(std::string_view text) { line("warning: " + std::string(text)); }
  /// A line of our own making, as it is.
  void plain_line(std::string_view text);

  /// Replaces the status at the cursor of the terminal. It is gone before anything else is written.
  void set_status(std::string_view text);
  void clear_status();

 private:
  void line(std::string_view text);
  static void write_all(std::string_view text) noexcept;

  std::mutex mutex_;  // covers status_shown_ and keeps lines whole
  bool status_shown_ = false;
};

}  // namespace varve::cli

#endif
