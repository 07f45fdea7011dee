#include "image/options.h"

#include <algorithm>

#include "base/checked_math.h"
#include "base/sizes.h"
#include "varve/error.h"

namespace varve {

namespace {

Error bad_value(const OptionSpec& spec, const std::string& value, const std::string& right) {
  return Error(Errc::invalid_argument, "option " + std::string(spec.name) + " can't be '" + value + "'").hint("give " + right);
}

std::string joined(const std::vector<std::string_view>& words) {
  std::string line;
  for (const std::string_view word : words) line += (line.empty() ? "" : ", ") + std::string(word);
  return line;
}

uint64_t parse_number(const OptionSpec& spec, const std::string& value) {
  uint64_t number = 0;
  try {
    number = parse_size(value);
  } catch (const Error&) {
    throw bad_value(spec, value, spec.type == OptionType::size ? "a size such as 64K" : "a number");
  }
  if (number < spec.min || number > spec.max) {
    throw bad_value(spec, value, "a value from " + std::to_string(spec.min) + " to " + std::to_string(spec.max));
  }
  if (spec.power_of_two && !is_power_of_two(number)) throw bad_value(spec, value, "a power of two");
  return number;
}

/// The value in the form in which the getters read it.
std::string normal_value(const OptionSpec& spec, const std::string& value) {
  switch (spec.type) {
    case OptionType::text: return value;
    case OptionType::size:
    case OptionType::number: return std::to_string(parse_number(spec, value));
    case OptionType::boolean:
      if (value == "on" || value == "yes" || value == "true") return "on";
      if (value == "off" || value == "no" || value == "false") return "off";
      throw bad_value(spec, value, "on or off");
    case OptionType::choice:
      if (std::find(spec.choices.begin(), spec.choices.end(), value) != spec.choices.end()) return value;
      throw bad_value(spec, value, "one of " + joined(spec.choices));
  }
  return value;
}

std::string all_names(const FormatInfo& format) {
  std::vector<std::string_view> names;
  for (const OptionSpec& spec : format.create_options) names.push_back(spec.name);
  return names.empty() ? "it has none" : "it has " + joined(names);
}

}  // namespace

OptionValues::OptionValues(const FormatInfo& format, const OptionMap& given) : given_(given) {
  for (const OptionSpec& spec : format.create_options) {
    const auto it = given.find(spec.name);
    if (it != given.end()) {
      values_.emplace(spec.name, normal_value(spec, it->second));
    } else if (!spec.default_value.empty()) {
      values_.emplace(spec.name, normal_value(spec, std::string(spec.default_value)));
    }
  }
  for (const auto& [name, value] : given) {
    if (values_.count(name) != 0) continue;
    throw Error(Errc::invalid_argument, "format " + std::string(format.name) + " has no option '" + name + "'").hint(all_names(format));
  }
}

bool OptionValues::is_set(std::string_view name) const { return values_.find(name) != values_.end(); }

bool OptionValues::is_given(std::string_view name) const { return given_.find(name) != given_.end(); }

const std::string& OptionValues::text(std::string_view name) const {
  static const std::string kUnset;
  const auto it = values_.find(name);
  return it == values_.end() ? kUnset : it->second;
}

uint64_t OptionValues::number(std::string_view name) const { return std::stoull(text(name)); }

bool OptionValues::boolean(std::string_view name) const { return text(name) == "on"; }

OptionMap parse_options(std::string_view text) {
  OptionMap options;
  std::string item;
  const auto take = [&] {
    const size_t equals = item.find('=');
    if (equals == 0 || equals == std::string::npos) {
      throw Error(Errc::invalid_argument, "'" + item + "' is no option").hint("write name=value,name=value");
    }
    if (!options.emplace(item.substr(0, equals), item.substr(equals + 1)).second) {
      throw Error(Errc::invalid_argument, "option " + item.substr(0, equals) + " is given twice").hint("give it once");
    }
    item.clear();
  };
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != ',') {
      item += text[i];
    } else if (i + 1 < text.size() && text[i + 1] == ',') {
      item += text[++i];
    } else {
      take();
    }
  }
  if (!text.empty()) take();
  return options;
}

}  // namespace varve
