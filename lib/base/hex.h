// Bytes as hexadecimal digits.
#ifndef VARVE_BASE_HEX_H
#define VARVE_BASE_HEX_H

#include <string>
#include <string_view>
#include <vector>

#include "varve/storage.h"

namespace varve {

/// Two lower-case digits a byte.
std::string to_hex(ConstBytes bytes);

/// The bytes of an even number of digits in either case. Anything else is invalid_argument.
std::vector<std::byte> parse_hex(std::string_view digits);

/// 0 to 15, or -1 if `c` is no hexadecimal digit.
int hex_digit(char c);

}  // namespace varve

#endif
