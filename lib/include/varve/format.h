// What formats there are and what each can do.
#ifndef VARVE_FORMAT_H
#define VARVE_FORMAT_H

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#pragma GCC visibility push(default)
namespace varve {

enum class OptionType : uint8_t { text, size, number, boolean, choice };

/// One row of a driver's option table: help, validation and JSON all come from it.
struct OptionSpec {
  std::string_view name;
  OptionType type = OptionType::text;
  std::string_view default_value;              ///< as the user would write it; empty: none
  std::string_view help;                       ///< one line, no full stop
  std::vector<std::string_view> choices = {};  ///< for OptionType::choice
  uint64_t min = 0;                            ///< for size (bytes) and number
  uint64_t max = UINT64_MAX;
  bool power_of_two = false;
};

/// What a driver can do. Not each subformat can do it all; what one can't is Errc::unsupported.
struct FormatCapabilities {
  bool create = false;
  bool write = false;  ///< in place, at any offset
  bool parent = false;
  bool zero = false;
  bool discard = false;
  bool resize = false;
  bool check = false;
  bool repair = false;
  bool snapshots = false;    ///< inside the image
  bool generations = false;  ///< its states are counted: OpenOptions::min_generation
  bool encryption = false;
  bool stream_in = false;   ///< can be read from a pipe
  bool stream_out = false;  ///< can be written to a pipe
};

struct FormatInfo {
  std::string_view name;                     ///< "vmdk"
  std::string_view description;              ///< one line
  std::vector<std::string_view> extensions;  ///< without the dot; the first is the usual one
  FormatCapabilities can;
  std::vector<OptionSpec> create_options;
};

/// Creation options as `name=value`, validated by the driver's table when used.
using OptionMap = std::map<std::string, std::string, std::less<>>;

// A FormatInfo, and all that it points to, never changes and lives as long as the program. All functions may be called from any thread.

/// All formats of this build, in a fixed order.
std::vector<const FormatInfo*> formats();

/// Throws Errc::invalid_argument, naming the known ones, if there is no such format.
const FormatInfo& format_named(std::string_view name);

/// The format whose extension the path bears; nullptr if none does.
const FormatInfo* format_of_path(std::string_view path);

/// Parses "k=v,k=v"; a doubled comma stands for a comma in a value. Whether a format has such options is not looked at. Throws
/// Errc::invalid_argument for what is no k=v and for a k that comes twice.
OptionMap parse_options(std::string_view text);

}  // namespace varve
#pragma GCC visibility pop

#endif
