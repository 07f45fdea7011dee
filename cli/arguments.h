// The words of a command line, sorted by the command's table.
#ifndef VARVE_CLI_ARGUMENTS_H
#define VARVE_CLI_ARGUMENTS_H

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "command.h"

namespace varve::cli {

class Arguments {
 public:
  /// Throws UsageError: an option that the table does not have (abbreviations too), a missing or unknown value, too few or too many
  /// operands.
  Arguments(const Command& command, const std::vector<std::string>& words);

  bool wants_help() const { return has("help"); }
  bool has(std::string_view key) const { return options_.find(key) != options_.end(); }
  /// The last one given; empty if none was.
  std::string value(std::string_view key) const;
  std::vector<std::string> values(std::string_view key) const;

  const std::vector<std::string>& operands() const { return operands_; }
  const std::string& operand(size_t index) const { return operands_.at(index); }

 private:
  std::map<std::string, std::vector<std::string>, std::less<>> options_;
  std::vector<std::string> operands_;
};

}  // namespace varve::cli

#endif
