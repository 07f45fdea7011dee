#include "options.h"

#include <charconv>
#include <filesystem>

#include "messages.h"
#include "secrets.h"
#include "varve/text.h"

namespace varve::cli {

Option format_option(std::string_view of) {
  return {'f', "", "FORMAT",
          of == "the image" ? std::string_view("format of the image; without it, it is recognized from the contents")
                            : std::string_view("format of the first file; without it, it is recognized from the contents")};
}

Option json_option() { return {0, "json", "", "print one JSON document"}; }

Option create_options_option() {
  return {'o',
          "",
          "NAME=VALUE,...",
          "options of the new image's format, as 'varve formats' lists them; a doubled comma stands for a comma",
          {},
          false,
          true};
}

Option sync_option() { return {0, "sync", "MODE", "none: do not wait until the result is on the medium", {"none"}}; }

Option cache_option() {
  return {0, "cache", "MODE", "none: past the host's page cache wherever whole blocks are moved", {"writeback", "none"}};
}

Option force_option(std::string_view what) { return {0, "force", "", what}; }

Option unlocked_option(std::string_view what) { return {'U', "", "", what}; }

Option snapshot_option() { return {'l', "", "SNAPSHOT", "read the disk as this snapshot holds it"}; }

Option threads_option() { return {'j', "", "N", "number of threads; without it, one for each processor"}; }

std::vector<Option> progress_options() {
  return {{'p', "", "", "show progress, rate and time left on standard error; by itself on a terminal"},
          {0, "progress", "STYLE", "bar: like -p; json: one JSON line a second", {"bar", "json"}, true},
          {'q', "quiet", "", "show no progress"}};
}

std::vector<Option> reference_options() {
  return {{0,
           "references",
           "WHICH",
           "files named inside an image that may be opened: none, inside (its own directory and below; the default) or any",
           {"none", "inside", "any"}},
          {0, "max-virtual-size", "SIZE", "refuse an image that claims a larger disk"}};
}

Option parent_option(std::string_view what) { return {0, "parent", "FILE", what}; }

std::vector<Option> parent_options() {
  return {parent_option("the parent, instead of the one that the image names"),
          {0, "ignore-parent", "", "look at this layer alone: what it does not hold reads as zeros"}};
}

std::vector<Option> option_rows(std::initializer_list<std::vector<Option>> lists) {
  std::vector<Option> rows;
  for (const auto& list : lists) rows.insert(rows.end(), list.begin(), list.end());
  return rows;
}

std::string format_value(const Arguments& arguments, std::string_view key) {
  std::string name = arguments.value(key);
  if (!arguments.has(key)) return name;
  std::vector<std::string> known;
  for (const FormatInfo* format : formats()) {
    if (format->name == name) return name;
    known.emplace_back(format->name);
  }
  std::string hint = did_you_mean(name, known);
  if (hint.empty()) hint = "'varve formats' lists the formats";
  throw UsageError("unknown format '" + name + "'", hint);
}

std::string target_format(const Arguments& arguments, std::string_view key, const std::string& path) {
  if (arguments.has(key)) return format_value(arguments, key);
  if (const FormatInfo* format = format_of_path(path)) return std::string(format->name);
  const std::string option(key);
  throw UsageError(path + ": the name does not tell the format of the new image", "name it with " + option);
}

uint64_t size_value(std::string_view text, std::string_view what) {
  try {
    return parse_size(text);
  } catch (const Error& e) {
    throw UsageError(std::string(what) + ": " + e.message(), e.hint().empty() ? "give bytes, or a number with K, M, G or T" : e.hint());
  }
}

uint64_t number_value(std::string_view text, std::string_view what, uint64_t least, uint64_t most) {
  uint64_t number = 0;
  const auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (failed == std::errc() && end == text.data() + text.size() && number >= least && number <= most) return number;
  throw UsageError(std::string(what) + " cannot be '" + std::string(text) + "'",
                   "give a number, " + std::to_string(least) + " to " + std::to_string(most));
}

unsigned thread_count(const Arguments& arguments) {
  constexpr unsigned kMost = 256;
  return arguments.has("-j") ? static_cast<unsigned>(number_value(arguments.value("-j"), "-j", 1, kMost)) : 0;
}

OptionMap creation_options(const Arguments& arguments) {
  OptionMap all;
  for (const std::string& text : arguments.values("-o")) {
    try {
      for (auto& [name, value] : parse_options(text)) all[name] = value;
    } catch (const Error& e) {
      throw UsageError("-o: " + e.message(), e.hint());
    }
  }
  return all;
}

namespace {

References references_value(const Arguments& arguments) {
  const std::string value = arguments.value("references");
  if (value == "none") return References::none;
  return value == "any" ? References::any : References::inside;
}

Limits limits_value(const Arguments& arguments) {
  Limits limits;
  if (arguments.has("max-virtual-size")) limits.virtual_size = size_value(arguments.value("max-virtual-size"), "--max-virtual-size");
  if (arguments.has("max-output-bytes")) limits.output_bytes = size_value(arguments.value("max-output-bytes"), "--max-output-bytes");
  return limits;
}

WarningFn warning_function(Messages& messages) {
  return [&messages](const std::string& line) { messages.warn(line); };
}

}  // namespace

OpenOptions open_options(const Arguments& arguments, Session& session) {
  if (arguments.has("parent") && arguments.has("ignore-parent")) throw UsageError("--parent and --ignore-parent exclude each other");
  OpenOptions options;
  options.format = format_value(arguments, "-f");
  options.ignore_locks = arguments.has("-U");
  options.references = references_value(arguments);
  options.parent = arguments.value("parent");
  options.ignore_parent = arguments.has("ignore-parent");
  options.snapshot = arguments.value("-l");
  options.secret = key_provider(arguments, session);
  if (arguments.has("key-slot")) options.key_slot = slot_value(arguments.value("key-slot"), "--key-slot");
  options.require_encryption = arguments.has("require-encryption");
  if (arguments.has("min-generation"))
    options.min_generation = number_value(arguments.value("min-generation"), "--min-generation", 0, UINT64_MAX);
  options.accept_older_state = arguments.has("accept-older-state");
  options.durable = arguments.value("sync") != "none";
  if (arguments.value("cache") == "none") options.cache = Cache::none;
  options.limits = limits_value(arguments);
  options.warn = warning_function(session.messages);
  return options;
}

namespace {

/// Something that could be an image.
bool is_file(const std::string& path) {
  std::error_code failed;
  const std::filesystem::file_status status = std::filesystem::status(path, failed);
  return std::filesystem::exists(status) && !std::filesystem::is_directory(status);
}

}  // namespace

void split_parent(CreateOptions& options, const std::string& file) {
  const std::string whole = options.parent;
  const size_t slash = file.rfind('/');
  const std::string directory = whole.starts_with('/') || slash == std::string::npos ? "" : file.substr(0, slash + 1);
  if (whole.empty() || is_file(directory + whole)) return;
  for (size_t at = whole.rfind('@'); at != std::string::npos && at != 0; at = whole.rfind('@', at - 1)) {
    if (at + 1 == whole.size() || !is_file(directory + whole.substr(0, at))) continue;
    options.parent = whole.substr(0, at);
    options.parent_snapshot = whole.substr(at + 1);
    return;
  }
}

namespace {

/// Nobody shall take an image for encrypted because a key was given.
void refuse_useless_key(const Arguments& arguments, const OptionMap& options) {
  const auto encryption = options.find("encryption");
  if (names_new_key(arguments) && (encryption == options.end() || encryption->second == "none"))
    throw UsageError("a key for a new image that is not to be encrypted", "add -o encryption=aes-256-gcm, or leave out the key");
}

}  // namespace

CreateOptions create_options(const Arguments& arguments, Session& session) {
  if (arguments.has("-F") && !arguments.has("-b")) throw UsageError("-F needs -b: it is the parent's format");
  CreateOptions options;
  options.options = creation_options(arguments);
  options.force = arguments.has("force");
  options.parent = arguments.value("-b");
  options.parent_format = format_value(arguments, "-F");
  options.secret = new_key_provider(arguments, session);
  options.parent_secret = key_provider(arguments, session);
  refuse_useless_key(arguments, options.options);
  options.durable = arguments.value("sync") != "none";
  options.references = references_value(arguments);
  options.limits = limits_value(arguments);
  options.warn = warning_function(session.messages);
  return options;
}

}  // namespace varve::cli
