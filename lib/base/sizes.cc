#include "base/sizes.h"

#include <charconv>

#include "varve/error.h"

namespace varve {

namespace {

constexpr std::string_view kUnits = "KMGTPE";

Error bad_size(std::string_view text, const char* why) {
  return Error(Errc::invalid_argument, "'" + std::string(text) + "' is not a size: " + why)
      .hint("write a whole number of bytes, or one followed by K, M, G, T or P, such as 10G");
}

/// log2 of the unit that `suffix` names, or -1.
int unit_shift(std::string_view suffix) {
  if (suffix.empty()) return 0;
  if (suffix.size() != 1 && suffix.substr(1) != "iB") return -1;
  const char letter = suffix[0] >= 'a' && suffix[0] <= 'z' ? static_cast<char>(suffix[0] - 'a' + 'A') : suffix[0];
  const size_t place = kUnits.find(letter);
  return place == std::string_view::npos || letter == 'E' ? -1 : static_cast<int>(10 * (place + 1));
}

}  // namespace

uint64_t parse_size(std::string_view text) {
  uint64_t number = 0;
  const char* const last = text.data() + text.size();
  const auto [end, error] = std::from_chars(text.data(), last, number);
  if (error == std::errc::result_out_of_range) throw bad_size(text, "it is too large");
  if (error != std::errc()) throw bad_size(text, "it does not begin with a digit");
  const int shift = unit_shift(std::string_view(end, static_cast<size_t>(last - end)));
  if (shift < 0) throw bad_size(text, "it ends in an unknown unit");
  if (number > UINT64_MAX >> shift) throw bad_size(text, "it is too large");
  return number << shift;
}

std::string format_size(uint64_t bytes) {
  size_t exponent = 0;
  while (exponent < kUnits.size() && bytes >> (10 * (exponent + 1)) != 0) ++exponent;
  if (exponent == 0) return std::to_string(bytes) + " B";
  const uint64_t unit = uint64_t{1} << (10 * exponent);
  uint64_t whole = bytes / unit;
  const uint64_t rest = bytes % unit;
  const std::string name = std::string(" ") + kUnits[exponent - 1] + "iB";
  if (rest == 0) return std::to_string(whole) + name;
  uint64_t tenths = (rest * 10 + unit / 2) / unit;  // rest < 2^60: no overflow
  if (tenths == 10) {
    tenths = 0;
    ++whole;
  }
  return std::to_string(whole) + "." + std::to_string(tenths) + name;
}

}  // namespace varve
