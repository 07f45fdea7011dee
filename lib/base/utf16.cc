#include "base/utf16.h"

#include "base/endian.h"
#include "base/text.h"

namespace varve {

std::string utf16le_to_utf8(ConstBytes text) {
  if (text.size() % 2 != 0) throw Error(Errc::corrupt, "UTF-16 text of an odd number of bytes");
  std::string out;
  for (size_t at = 0; at < text.size(); at += 2) {
    char32_t unit = load<le16>(text, at);
    if (unit >= 0xd800 && unit <= 0xdfff) {
      const char32_t second = at + 2 < text.size() ? uint16_t{load<le16>(text, at + 2)} : 0U;
      if (unit >= 0xdc00 || second < 0xdc00 || second > 0xdfff) throw Error(Errc::corrupt, "UTF-16 text with half a surrogate pair");
      unit = 0x10000 + ((unit - 0xd800) << 10) + (second - 0xdc00);
      at += 2;
    }
    append_utf8(out, unit);
  }
  return out;
}

std::vector<std::byte> utf8_to_utf16le(std::string_view text) {
  std::vector<std::byte> out;
  const auto put = [&](char32_t unit) {
    const le16 value = static_cast<uint16_t>(unit);
    const auto bytes = bytes_of(value);
    out.insert(out.end(), bytes.begin(), bytes.end());
  };
  while (!text.empty()) {
    char32_t c = 0;
    const size_t length = decode_utf8(text, c);
    if (length == 0) throw Error(Errc::corrupt, "text that is not UTF-8");
    if (c >= 0x10000) {
      put(0xd800 + ((c - 0x10000) >> 10));
      put(0xdc00 + ((c - 0x10000) & 0x3ff));
    } else {
      put(c);
    }
    text.remove_prefix(length);
  }
  return out;
}

}  // namespace varve
