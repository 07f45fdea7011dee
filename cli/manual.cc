// The command table as manual pages. The build runs 'varve help --man' and installs what it prints.
#include "arguments.h"
#include "help.h"

namespace varve::cli {
namespace {

/// Text for roff: no line may begin with a control character, and hyphens that are typed stay hyphens.
std::string roff(std::string_view text) {
  std::string safe;
  bool line_start = true;
  for (const char c : text) {
    if (line_start && (c == '.' || c == '\'')) safe += "\\&";
    line_start = c == '\n';
    if (c == '\\') {
      safe += "\\e";
    } else if (c == '-') {
      safe += "\\-";
    } else {
      safe += c;
    }
  }
  return safe;
}

void print_paragraphs(std::ostream& out, std::string_view text) {
  bool verbatim = false;
  while (!text.empty()) {
    const size_t end = text.find('\n');
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
    const bool indented = line.starts_with(' ');
    if (indented != verbatim) out << (indented ? ".nf\n" : ".fi\n");
    verbatim = indented;
    out << (line.empty() ? ".PP" : roff(line)) << '\n';
  }
  if (verbatim) out << ".fi\n";
}

void print_title(std::ostream& out, const std::string& name, std::string_view summary) {
  std::string title = name;
  for (char& c : title)
    if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 'a' + 'A');
  out << ".TH " << roff(title) << " 1 \"\" \"varve " VARVE_VERSION "\" \"varve\"\n"
      << ".SH NAME\n"
      << roff(name) << " \\- " << roff(summary) << '\n';
}

constexpr std::string_view kEverywhere =
    "Sizes are bytes, or a number with K, M, G, T or KiB, MiB, GiB, TiB, all binary.\n\n"
    "Results go to standard output; messages and progress to standard error. An error is one line that says which file, what is wrong, "
    "where, "
    "and what to do. Strings from an image are printed escaped. With --json the result is one JSON document, whose keys are described in "
    "docs/cli.md.\n\n"
    "A new image appears under its name only when it is complete and on the medium. An existing file is not overwritten without --force. "
    "SIGINT and SIGTERM stop a command and leave nothing half-written. When the reader of its standard output has gone, a command ends by "
    "SIGPIPE.\n\n"
    "Files that an image names (parents, extents) are opened only if they lie in the image's own directory or below, unless --references "
    "says otherwise.\n";

}  // namespace

void print_manual(std::ostream& out) {
  print_title(out, "varve", "virtual disk images");
  out << ".SH SYNOPSIS\n.B varve\n.I COMMAND\n[options] ...\n.PP\n.B varve help\n[\\fICOMMAND\\fR]\n.PP\n.B varve \\-\\-version\n";
  out << ".SH COMMANDS\n";
  for (const Command* command : commands()) {
    out << ".TP\n\\fBvarve " << command->name << "\\fR [options] " << roff(command->operands) << '\n' << roff(command->summary) << ".\n";
  }
  out << ".SH DESCRIPTION\n";
  print_paragraphs(out, kEverywhere);
  out << ".SH EXIT STATUS\n";
  for (const auto& [code, meaning] : exit_codes_of(create_command())) out << ".TP\n.B " << code << '\n' << roff(meaning) << ".\n";
  out << "Commands with further codes list them in their pages.\n.SH SEE ALSO\n";
  std::string separator;
  for (const Command* command : commands()) {
    if (command->name == "help") continue;
    out << separator << ".BR varve\\-" << command->name << " (1)";
    separator = ",\n";
  }
  out << '\n';
}

void print_manual(const Command& command, std::ostream& out) {
  print_title(out, "varve-" + std::string(command.name), command.summary);
  out << ".SH SYNOPSIS\n.B varve " << command.name << "\n[options] " << roff(command.operands) << "\n.SH DESCRIPTION\n";
  print_paragraphs(out, command.description);
  out << ".SH OPTIONS\n";
  for (const Option& option : command.options) out << ".TP\n.B " << roff(option_syntax(option)) << '\n' << roff(option.help) << ".\n";
  out << ".SH EXIT STATUS\n";
  for (const auto& [code, meaning] : exit_codes_of(command)) out << ".TP\n.B " << code << '\n' << roff(meaning) << ".\n";
  if (!command.examples.empty()) out << ".SH EXAMPLES\n.nf\n";
  for (std::string_view example : command.examples) out << roff(example) << '\n';
  if (!command.examples.empty()) out << ".fi\n";
  out << ".SH SEE ALSO\n.BR varve (1)\n";
}

}  // namespace varve::cli
