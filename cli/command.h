// What a command is: one table row that parsing, help, manual pages and completion are all made from.
#ifndef VARVE_CLI_COMMAND_H
#define VARVE_CLI_COMMAND_H

#include <iosfwd>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "varve/progress.h"

namespace varve::cli {

class Arguments;
class Messages;

/// An option of a command. It is looked up by key(): its long name, or "-x" if it has none.
struct Option {
  char letter = 0;                             ///< 0: none
  std::string_view name;                       ///< without the dashes; empty: letter only
  std::string_view value;                      ///< what help calls its value; empty: a flag
  std::string_view help;                       ///< one line, no full stop
  std::vector<std::string_view> choices = {};  ///< the only values it takes, if any
  bool value_optional = false;                 ///< as in --progress[=json]
  bool repeatable = false;                     ///< otherwise the last one counts

  std::string key() const { return name.empty() ? std::string("-") + letter : std::string(name); }
};

/// What a command works with.
struct Session {
  std::ostream& out;  ///< results, and nothing else
  Messages& messages;
  const CancelToken& cancel;
};

struct Command {
  std::string_view name;
  std::string_view operands;     ///< as in the synopsis: "SRC DST"
  std::string_view summary;      ///< one line, no full stop
  std::string_view description;  ///< paragraphs, separated by empty lines
  std::vector<Option> options;
  unsigned min_operands = 0;
  unsigned max_operands = 0;
  bool signed_operands = false;                              ///< "-5G" is an operand, not an option
  std::vector<std::pair<int, std::string_view>> exit_codes;  ///< besides 0, 1, 64 and the signals'
  std::vector<std::string_view> examples;
  int (*run)(const Arguments& arguments, Session& session) = nullptr;  ///< returns the exit code
  int failed = 1;                                                      ///< the exit code when run() throws
};

/// In the order in which help lists them.
std::span<const Command* const> commands();
/// nullptr if there is none.
const Command* find_command(std::string_view name);

const Command& create_command();
const Command& info_command();
const Command& convert_command();
const Command& check_command();
const Command& map_command();
const Command& compare_command();
const Command& resize_command();
const Command& measure_command();
const Command& rebase_command();
const Command& commit_command();
const Command& snapshot_command();
const Command& attachment_command();
const Command& key_command();
const Command& serve_command();
const Command& bench_command();
const Command& formats_command();
const Command& help_command();

/// The command line is wrong: exit code 64. `hint` says what would be right; empty: "see 'varve help ...'".
class UsageError : public std::runtime_error {
 public:
  explicit UsageError(const std::string& message, std::string hint = {}) : std::runtime_error(message), hint_(std::move(hint)) {}
  const std::string& hint() const { return hint_; }

 private:
  std::string hint_;
};

/// Standard output takes no more: there is no point in going on. main() finds out why and acts on it.
class OutputFailed : public std::exception {};

/// "did you mean X?" for a word that is close to one of the candidates, else empty.
std::string did_you_mean(std::string_view word, const std::vector<std::string>& candidates);

}  // namespace varve::cli

#endif
