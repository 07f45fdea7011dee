#include "text_output.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <sstream>

namespace varve::cli {
namespace {

std::string printed(const char* format, auto... values) {
  std::array<char, 64> buffer{};
  std::snprintf(buffer.data(), buffer.size(), format, values...);
  return buffer.data();
}

}  // namespace

std::string exact_size(uint64_t bytes) {
  const std::string plain = std::to_string(bytes) + (bytes == 1 ? " byte" : " bytes");
  return bytes < 1024 ? plain : format_size(bytes) + " (" + plain + ")";
}

std::string human_duration(uint64_t seconds) {
  const auto s = static_cast<unsigned long long>(seconds);
  return s < 3600 ? printed("%llu:%02llu", s / 60, s % 60) : printed("%llu:%02llu:%02llu", s / 3600, s / 60 % 60, s % 60);
}

std::string value_text(const InfoValue& value) {
  if (const auto* flag = std::get_if<bool>(&value)) return *flag ? "yes" : "no";
  if (const auto* number = std::get_if<uint64_t>(&value)) return std::to_string(*number);
  return std::get<std::string>(value);
}

uint64_t scrypt_memory(const KeyDerivation& how) {
  constexpr uint64_t kBlock = 128;
  // What a hostile image says may be more than there is.
  return how.log2_n < 40 ? (kBlock * how.r) << how.log2_n : UINT64_MAX;
}

std::string key_slot_text(const KeyDerivation& how) {
  switch (how.kind) {
    case KdfKind::scrypt:
      return "scrypt, N=2^" + std::to_string(how.log2_n) + " r=" + std::to_string(how.r) + " p=" + std::to_string(how.p) + ", " +
             format_size(scrypt_memory(how));
    case KdfKind::pbkdf2: return "pbkdf2, " + std::to_string(how.iterations) + " iterations";
    case KdfKind::none: return "raw key";
  }
  return {};
}

void FieldList::print(std::ostream& out, size_t indent) const {
  size_t width = 0;
  for (const auto& [name, value] : fields_) width = std::max(width, escape_text(name).size());
  for (const auto& [name, value] : fields_) {
    const std::string label = escape_text(name) + ":";
    out << std::string(indent, ' ') << label << std::string(width + 2 - label.size(), ' ') << escape_text(value) << '\n';
  }
}

std::string wrapped(std::string_view text, size_t indent, size_t width) {
  std::istringstream lines{std::string(text)};
  std::string result, line;
  size_t column = 0;
  const auto end_line = [&] {
    if (column > 0) result += '\n';
    column = 0;
  };
  while (std::getline(lines, line)) {
    if (line.empty() || line[0] == ' ') {
      end_line();
      result += line.empty() ? "\n" : std::string(indent, ' ') + line + "\n";
      continue;
    }
    std::istringstream words(line);
    for (std::string word; words >> word; column += word.size()) {
      if (column > 0 && indent + column + 1 + word.size() > width) end_line();
      result += column == 0 ? std::string(indent, ' ') : " ";
      if (column > 0) ++column;
      result += word;
    }
  }
  end_line();
  return result;
}

}  // namespace varve::cli
