// Text that comes from images and goes to people.
#ifndef VARVE_BASE_TEXT_H
#define VARVE_BASE_TEXT_H

#include <string>
#include <string_view>
#include <vector>

#include "varve/text.h"  // escape_text: public

namespace varve {

/// Well-formed as RFC 3629 says: no overlong forms, no surrogates, nothing above U+10FFFF.
bool valid_utf8(std::string_view text);

/// The length in bytes of the well-formed UTF-8 character at the start of `text` and, through `code_point`, its number.
/// 0 if there is none.
size_t decode_utf8(std::string_view text, char32_t& code_point);

/// Appends a code point, which must not be a surrogate nor above U+10FFFF.
void append_utf8(std::string& out, char32_t code_point);

std::string latin1_to_utf8(std::string_view bytes);
/// The five bytes that Windows-1252 leaves undefined become the C1 controls of the same number, as browsers do.
std::string windows1252_to_utf8(std::string_view bytes);

/// Without leading and trailing blanks and tabs, line ends included.
std::string_view trim(std::string_view text);

/// Equal but for the case of ASCII letters.
bool iequals(std::string_view a, std::string_view b);

/// The lines, without their ends (LF or CR LF). A last line without an end counts; text that ends in LF has no empty line after it.
std::vector<std::string_view> split_lines(std::string_view text);

}  // namespace varve

#endif
