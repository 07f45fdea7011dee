// Help, manual pages and completion words, all from the command table.
#ifndef VARVE_CLI_HELP_H
#define VARVE_CLI_HELP_H

#include <ostream>
#include <string>
#include <vector>

#include "command.h"

namespace varve::cli {

std::vector<std::string> command_names();

/// "-f FORMAT", "-q, --quiet", "--progress[=STYLE]".
std::string option_syntax(const Option& option);
/// What every command may return besides its own codes, and those, in ascending order.
std::vector<std::pair<int, std::string>> exit_codes_of(const Command& command);

void print_overview(std::ostream& out);
void print_help(const Command& command, std::ostream& out);

/// The page varve(1), in man(7)'s language.
void print_manual(std::ostream& out);
/// The page varve-COMMAND(1).
void print_manual(const Command& command, std::ostream& out);

}  // namespace varve::cli

#endif
