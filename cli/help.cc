#include "help.h"

#include <algorithm>

#include "arguments.h"
#include "exit_codes.h"
#include "text_output.h"
#include "varve/format.h"

namespace varve::cli {

std::vector<std::string> command_names() {
  std::vector<std::string> names;
  for (const Command* command : commands()) names.emplace_back(command->name);
  return names;
}

std::string option_syntax(const Option& option) {
  std::string syntax;
  if (option.letter != 0) syntax = std::string("-") + option.letter;
  if (!option.name.empty()) syntax += (syntax.empty() ? "--" : ", --") + std::string(option.name);
  if (option.value.empty()) return syntax;
  const std::string value(option.value);
  if (option.name.empty()) return syntax + " " + value;
  return syntax + (option.value_optional ? "[=" + value + "]" : "=" + value);
}

std::vector<std::pair<int, std::string>> exit_codes_of(const Command& command) {
  std::vector<std::pair<int, std::string>> codes = {
      {kDone, "done"}, {kFailed, "failed"}, {kUsage, "the command line is wrong"}, {130, "stopped by SIGINT"}, {143, "stopped by SIGTERM"}};
  for (const auto& own : command.exit_codes) {
    const auto same = std::find_if(codes.begin(), codes.end(), [&](const auto& row) { return row.first == own.first; });
    if (same != codes.end()) {
      same->second = own.second;
    } else {
      codes.emplace_back(own);
    }
  }
  std::sort(codes.begin(), codes.end());
  return codes;
}

void print_overview(std::ostream& out) {
  out << "varve: virtual disk images\n\nusage: varve COMMAND [options] ...\n\n";
  for (const Command* command : commands()) {
    const std::string name(command->name);
    out << "  " << name << std::string(12 - name.size(), ' ') << command->summary << '\n';
  }
  out << "\n'varve help COMMAND' tells more; 'varve --version' prints the version.\n";
}

void print_help(const Command& command, std::ostream& out) {
  out << "usage: varve " << command.name << (command.options.empty() ? " " : " [options] ") << command.operands << "\n\n"
      << wrapped(command.description, 0) << '\n';
  for (const Option& option : command.options) {
    out << "  " << option_syntax(option) << '\n' << wrapped(option.help, 6);
  }
  out << "\nexit codes\n";
  for (const auto& [code, meaning] : exit_codes_of(command)) {
    const std::string number = std::to_string(code);
    out << std::string(5 - number.size(), ' ') << number << "  " << meaning << '\n';
  }
  if (!command.examples.empty()) out << "\nexamples\n";
  for (std::string_view example : command.examples) out << "  " << example << '\n';
}

namespace {

// ---- words for completion scripts: one a line, stable ------------------------------------------

void print_option_words(const Command& command, std::ostream& out) {
  for (const Option& option : command.options) {
    if (option.letter != 0) out << '-' << option.letter << '\n';
    if (option.name.empty()) continue;
    if (option.value.empty() || option.value_optional) out << "--" << option.name << '\n';
    for (std::string_view choice : option.choices) out << "--" << option.name << '=' << choice << '\n';
    if (!option.value.empty() && option.choices.empty()) out << "--" << option.name << "=\n";
  }
  out << "--help\n";
}

/// "subformat=monolithicSparse", "compression_level=".
void print_format_words(const FormatInfo& format, std::ostream& out) {
  for (const OptionSpec& option : format.create_options) {
    if (option.choices.empty()) out << option.name << "=\n";
    for (std::string_view choice : option.choices) out << option.name << '=' << choice << '\n';
  }
}

int print_words(const std::string& what, const Arguments& arguments, std::ostream& out) {
  const std::string of = arguments.operands().empty() ? std::string() : arguments.operand(0);
  if (what == "commands") {
    for (const std::string& name : command_names()) out << name << '\n';
  } else if (what == "formats") {
    for (const FormatInfo* format : formats()) out << format->name << '\n';
  } else if (what == "options") {
    if (const Command* command = find_command(of)) print_option_words(*command, out);
  } else {
    for (const FormatInfo* format : formats())
      if (format->name == of) print_format_words(*format, out);
  }
  return kDone;
}

int run_help(const Arguments& arguments, Session& session) {
  if (arguments.has("words")) return print_words(arguments.value("words"), arguments, session.out);
  const bool manual = arguments.has("man");
  if (arguments.operands().empty()) {
    manual ? print_manual(session.out) : print_overview(session.out);
    return kDone;
  }
  const std::string& name = arguments.operand(0);
  const Command* command = find_command(name);
  if (command == nullptr) throw UsageError("unknown command '" + name + "'", did_you_mean(name, command_names()));
  manual ? print_manual(*command, session.out) : print_help(*command, session.out);
  return kDone;
}

}  // namespace

const Command& help_command() {
  static const Command command = {
      .name = "help",
      .operands = "[COMMAND]",
      .summary = "what the commands are, and what each does",
      .description = "Lists the commands, or describes one: its options, exit codes and examples.",
      .options = {{0, "man", "", "print it as a manual page"},
                  {0,
                   "words",
                   "WHICH",
                   "for completion scripts: commands, formats, the options of COMMAND, or the creation options of the format COMMAND",
                   {"commands", "formats", "options", "creation-options"}}},
      .min_operands = 0,
      .max_operands = 1,
      .exit_codes = {},
      .examples = {"varve help convert"},
      .run = run_help,
  };
  return command;
}

}  // namespace varve::cli
