#include "arguments.h"
#include "command.h"
#include "exit_codes.h"
#include "json_output.h"
#include "options.h"
#include "text_output.h"
#include "varve/format.h"

namespace varve::cli {
namespace {

std::string capabilities(const FormatCapabilities& can) {
  std::string text = "read";
  const auto add = [&](bool able, const char* name) {
    if (able) text += std::string(", ") + name;
  };
  add(can.create, "create");
  add(can.write, "write in place");
  add(can.parent, "parents");
  add(can.zero, "zero");
  add(can.discard, "discard");
  add(can.resize, "resize");
  add(can.check, "check");
  add(can.repair, "repair");
  add(can.snapshots, "snapshots");
  add(can.generations, "count its states");
  add(can.encryption, "encryption");
  add(can.stream_in, "read from a pipe");
  add(can.stream_out, "write to a pipe");
  return text;
}

std::string joined(const std::vector<std::string_view>& words) {
  std::string text;
  for (std::string_view word : words) text += (text.empty() ? "" : ", ") + std::string(word);
  return text;
}

std::string range_of(const OptionSpec& option) {
  const bool is_size = option.type == OptionType::size;
  const auto shown = [&](uint64_t value) { return is_size ? format_size(value) : std::to_string(value); };
  std::string text = is_size ? "size" : "number";
  if (option.max != UINT64_MAX) {
    text += " " + shown(option.min) + " to " + shown(option.max);
  } else if (option.min != 0) {
    text += " from " + shown(option.min);
  }
  return option.power_of_two ? text + ", a power of two" : text;
}

std::string values_of(const OptionSpec& option) {
  switch (option.type) {
    case OptionType::text: return "text";
    case OptionType::boolean: return "on or off";
    case OptionType::choice: return joined(option.choices);
    case OptionType::size:
    case OptionType::number: return range_of(option);
  }
  return {};
}

void print_text(std::ostream& out) {
  std::string separator;
  for (const FormatInfo* format : formats()) {
    out << separator << format->name << ": " << format->description << '\n';
    separator = "\n";
    if (!format->extensions.empty()) out << "  extensions: " << joined(format->extensions) << '\n';
    out << wrapped("can: " + capabilities(format->can), 2);
    for (const OptionSpec& option : format->create_options) {
      out << "  -o " << option.name << "=\n" << wrapped(option.help, 6);
      std::string values = values_of(option);
      if (!option.default_value.empty()) values += "; default " + std::string(option.default_value);
      out << wrapped(values, 6);
    }
  }
}

int run(const Arguments& arguments, Session& session) {
  if (!arguments.has("json")) {
    print_text(session.out);
    return kDone;
  }
  Json list = Json::array();
  for (const FormatInfo* format : formats()) list.push_back(to_json(*format));
  print_json(session.out, {{"formats", list}});
  return kDone;
}

}  // namespace

const Command& formats_command() {
  static const Command command = {
      .name = "formats",
      .operands = "",
      .summary = "formats and what each can do, with their options",
      .description =
          "Lists the formats of this build: names, file extensions, abilities, and the options for -o with their values and defaults.",
      .options = {json_option()},
      .min_operands = 0,
      .max_operands = 0,
      .exit_codes = {},
      .examples = {"varve formats", "varve formats --json"},
      .run = run,
  };
  return command;
}

}  // namespace varve::cli
