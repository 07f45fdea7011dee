#include "arguments.h"

#include <algorithm>
#include <boost/program_options.hpp>
#include <cctype>

namespace po = boost::program_options;

namespace varve::cli {
namespace {

po::options_description describe(const Command& command) {
  po::options_description description;
  description.add_options()("help,h", "");
  for (const Option& option : command.options) {
    std::string names(option.name);
    if (option.letter != 0) names += std::string(",") + option.letter;
    if (option.value.empty()) {
      description.add_options()(names.c_str(), "");
    } else {
      auto* value = po::value<std::string>();
      if (option.value_optional) value->implicit_value("");
      description.add_options()(names.c_str(), value, "");
    }
  }
  return description;
}

const Option& option_of(const Command& command, const std::string& key) {
  return *std::find_if(command.options.begin(), command.options.end(), [&](const Option& option) { return option.key() == key; });
}

std::vector<std::string> spellings(const Command& command) {
  std::vector<std::string> all = {"--help"};
  for (const Option& option : command.options)
    if (!option.name.empty()) all.push_back("--" + std::string(option.name));
  return all;
}

void check_choice(const Option& option, const std::string& value) {
  if (option.choices.empty() || (option.value_optional && value.empty())) return;
  if (std::find(option.choices.begin(), option.choices.end(), value) != option.choices.end()) return;
  std::string known;
  for (std::string_view choice : option.choices) known += (known.empty() ? "" : ", ") + std::string(choice);
  throw UsageError("--" + option.key() + " cannot be '" + value + "'", "use one of: " + known);
}

/// Takes "-5G" for the operand that it is where the command has such.
std::vector<po::option> negative_number(std::vector<std::string>& words) {
  std::vector<po::option> found;
  const std::string& word = words.front();
  if (word.size() > 1 && word[0] == '-' && std::isdigit(static_cast<unsigned char>(word[1])) != 0) {
    po::option operand;
    operand.value.push_back(word);
    operand.original_tokens.push_back(word);
    found.push_back(operand);
    words.erase(words.begin());
  }
  return found;
}

po::parsed_options parse(const Command& command, const po::options_description& description, const std::vector<std::string>& words) {
  namespace style = po::command_line_style;
  // Guessing is off: an abbreviation that is unique today is ambiguous tomorrow.
  constexpr int kStyle = style::unix_style & ~style::allow_guessing;
  po::command_line_parser parser(words);
  parser.options(description).style(kStyle);
  if (command.signed_operands) parser.extra_style_parser(negative_number);
  try {
    return parser.run();
  } catch (const po::unknown_option& e) {
    const std::string name = e.get_option_name();
    throw UsageError("unknown option '" + name + "'", did_you_mean(name, spellings(command)));
  } catch (const po::error& e) {
    throw UsageError(e.what());
  }
}

}  // namespace

Arguments::Arguments(const Command& command, const std::vector<std::string>& words) {
  const po::options_description description = describe(command);
  for (const po::option& found : parse(command, description, words).options) {
    if (found.string_key.empty()) {
      operands_.insert(operands_.end(), found.value.begin(), found.value.end());
      continue;
    }
    const std::string value = found.value.empty() ? std::string() : found.value.front();
    if (found.string_key != "help") check_choice(option_of(command, found.string_key), value);
    options_[found.string_key].push_back(value);
  }
  if (wants_help()) return;
  if (operands_.size() < command.min_operands)
    throw UsageError("too few arguments", "usage: varve " + std::string(command.name) + " " + std::string(command.operands));
  if (operands_.size() > command.max_operands) throw UsageError("'" + operands_[command.max_operands] + "' is one argument too many");
}

std::string Arguments::value(std::string_view key) const {
  const auto found = options_.find(key);
  return found == options_.end() ? std::string() : found->second.back();
}

std::vector<std::string> Arguments::values(std::string_view key) const {
  const auto found = options_.find(key);
  return found == options_.end() ? std::vector<std::string>() : found->second;
}

}  // namespace varve::cli
