#include "base/text.h"
#include "base/utf16.h"
#include "support/test.h"

using namespace varve;  // NOLINT: a test of one namespace

namespace {

std::string from_u16(std::u16string_view text) {
  std::string bytes;
  for (const char16_t unit : text) {
    bytes += static_cast<char>(unit & 0xff);
    bytes += static_cast<char>(unit >> 8);
  }
  return utf16le_to_utf8(std::as_bytes(std::span(bytes)));
}

}  // namespace

TEST_CASE("REF-7: what steers a terminal is shown, not sent") {
  CHECK(escape_text("a\x1b[31mb") == "a\\x1b[31mb");
  CHECK(escape_text("line\nbell\a\r\t") == "line\\x0abell\\x07\\x0d\\x09");
  CHECK(escape_text("\x7f") == "\\x7f");
  CHECK(escape_text("\xc2\x9b"
                    "1m") == "\\u{9b}1m");  // CSI in one character
  CHECK(escape_text("\xe2\x80\xae"
                    "cod.exe") == "\\u{202e}cod.exe");
  CHECK(escape_text("\xe2\x81\xa6\xe2\x80\x8f") == "\\u{2066}\\u{200f}");
  CHECK(escape_text("\xe2\x80\xa8") == "\\u{2028}");
  CHECK(escape_text(std::string_view("a\0b", 3)) == "a\\x00b");
}

TEST_CASE("REF-7: bytes that are not UTF-8 are escaped one by one, and all else stays") {
  CHECK(escape_text("caf\xe9 x") == "caf\\xe9 x");
  CHECK(escape_text("\xe2\x82") == "\\xe2\\x82");
  CHECK(escape_text("C:\\disks\\größe 東京 😀.vmdk") == "C:\\disks\\größe 東京 😀.vmdk");
  CHECK(escape_text("").empty());
  std::string all;
  for (int i = 0; i < 256; ++i) all += static_cast<char>(i);
  CHECK(valid_utf8(escape_text(all)));
}

TEST_CASE("UTF-8 is what RFC 3629 says") {
  for (const char* good :
       {"", "a", "\x7f", "\xc2\x80", "\xdf\xbf", "\xe0\xa0\x80", "\xed\x9f\xbf", "\xee\x80\x80", "\xf0\x90\x80\x80", "\xf4\x8f\xbf\xbf"}) {
    CHECK(valid_utf8(good));
  }
  for (const char* bad : {"\x80", "\xc0\x80", "\xc1\xbf", "\xe0\x9f\xbf", "\xed\xa0\x80", "\xed\xbf\xbf", "\xf0\x8f\xbf\xbf",
                          "\xf4\x90\x80\x80", "\xf5\x80\x80\x80", "\xff", "\xc2", "\xe2\x82", "\xf0\x9f\x98", "\xc2\x41"}) {
    CHECK_FALSE(valid_utf8(bad));
  }
}

TEST_CASE("every code point survives coding and decoding") {
  for (char32_t c = 0; c <= 0x10ffff; ++c) {
    if (c >= 0xd800 && c <= 0xdfff) continue;
    std::string text;
    append_utf8(text, c);
    char32_t back = 0;
    REQUIRE(decode_utf8(text, back) == text.size());
    REQUIRE(back == c);
  }
}

TEST_CASE("one-byte encodings become UTF-8") {
  CHECK(latin1_to_utf8("gr\xfc\xdf\x80") == "grüß\xc2\x80");
  CHECK(windows1252_to_utf8("\x80 \x93q\x94 \x9f\xff\x81") == "€ “q” Ÿÿ\xc2\x81");
}

TEST_CASE("text is trimmed, compared and split") {
  CHECK(trim(" \t a b \r\n") == "a b");
  CHECK(trim(" \t").empty());
  CHECK(iequals("CreateType", "createtype"));
  CHECK_FALSE(iequals("cid", "cids"));
  CHECK_FALSE(iequals("\xc4", "\xe4"));
  CHECK(split_lines("a\r\nb\n\nc") == std::vector<std::string_view>{"a", "b", "", "c"});
  CHECK(split_lines("a\n") == std::vector<std::string_view>{"a"});
  CHECK(split_lines("\n") == std::vector<std::string_view>{""});
  CHECK(split_lines("").empty());
  CHECK(split_lines("a\rb\r\r\n") == std::vector<std::string_view>{"a\rb\r"});
}

TEST_CASE("UTF-16LE and UTF-8 are each other's inverse") {
  for (const char* text : {"", "a", "größe", "東京", "😀\xf4\x8f\xbf\xbf\xee\x80\x80"}) {
    const auto utf16 = utf8_to_utf16le(text);
    CHECK(utf16le_to_utf8(utf16) == text);
  }
  CHECK(from_u16(u"\xd83d\xde00") == "😀");
}

TEST_CASE("broken UTF-16 and UTF-8 are corrupt") {
  const std::byte odd[3] = {};
  CHECK_ERRC(utf16le_to_utf8(odd), Errc::corrupt);
  const char16_t lone_high[] = {0xd83d, 'a'};
  CHECK_ERRC(from_u16({lone_high, 2}), Errc::corrupt);
  CHECK_ERRC(from_u16({lone_high, 1}), Errc::corrupt);
  const char16_t swapped[] = {0xde00, 0xd83d};
  CHECK_ERRC(from_u16({swapped, 2}), Errc::corrupt);
  CHECK_ERRC(utf8_to_utf16le("\xff"), Errc::corrupt);
  CHECK_ERRC(utf8_to_utf16le("\xed\xa0\x80"), Errc::corrupt);
}
