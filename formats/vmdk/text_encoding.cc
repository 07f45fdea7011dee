#include "vmdk/text_encoding.h"

#include <iconv.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <utility>

#include "base/text.h"

namespace varve::vmdk {
namespace {

/// Only these reach the host's converter: the name comes from a file, and some of the converters keep state or expand without bound.
constexpr std::array<std::pair<std::string_view, const char*>, 14> kCharacterSets{{
    {"windows-1250", "CP1250"},
    {"windows-1251", "CP1251"},
    {"windows-1252", "CP1252"},
    {"windows-1253", "CP1253"},
    {"windows-1254", "CP1254"},
    {"iso-8859-1", "ISO-8859-1"},
    {"iso-8859-2", "ISO-8859-2"},
    {"iso-8859-15", "ISO-8859-15"},
    {"gbk", "GBK"},
    {"gb18030", "GB18030"},
    {"big5", "BIG5"},
    {"shift_jis", "CP932"},
    {"windows-31j", "CP932"},
    {"euc-kr", "EUC-KR"},
}};

const char* character_set(std::string_view encoding) {
  const std::string wanted = lower_case(encoding);
  for (const auto& [name, set] : kCharacterSets)
    if (name == wanted) return set;
  return nullptr;
}

class Converter {
 public:
  explicit Converter(const char* from) : handle_(iconv_open("UTF-8", from)) {}
  ~Converter() {
    if (valid()) iconv_close(handle_);
  }
  Converter(const Converter&) = delete;
  Converter& operator=(const Converter&) = delete;

  bool valid() const { return reinterpret_cast<intptr_t>(handle_) != -1; }

  std::optional<std::string> convert(std::string_view text) {
    std::string in(text);
    std::string out(text.size() * 4 + 4, '\0');  // no character of these sets takes more
    char* from = in.data();
    char* to = out.data();
    size_t left = in.size();
    size_t room = out.size();
    if (iconv(handle_, &from, &left, &to, &room) != 0 || left != 0) return std::nullopt;
    out.resize(out.size() - room);
    return out;
  }

 private:
  iconv_t handle_;
};

}  // namespace

std::optional<std::string> text_to_utf8(std::string_view text, std::string_view encoding) {
  const bool ascii = std::all_of(text.begin(), text.end(), [](char c) { return static_cast<uint8_t>(c) < 0x80; });
  if (ascii) return std::string(text);
  const char* set = character_set(encoding);
  if (set == nullptr) return valid_utf8(text) ? std::optional<std::string>(text) : std::nullopt;
  Converter converter(set);
  return converter.valid() ? converter.convert(text) : std::nullopt;
}

std::string lower_case(std::string_view text) {
  std::string out(text);
  for (char& c : out)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  return out;
}

}  // namespace varve::vmdk
