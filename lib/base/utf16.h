// UTF-16LE, as Microsoft's structures hold text.
#ifndef VARVE_BASE_UTF16_H
#define VARVE_BASE_UTF16_H

#include <string>
#include <string_view>
#include <vector>

#include "varve/storage.h"

namespace varve {

/// Throws corrupt on an odd number of bytes and on unpaired surrogates. A NUL is a character like any other.
std::string utf16le_to_utf8(ConstBytes text);

/// Without a final NUL. Throws corrupt if `text` is not well-formed UTF-8.
std::vector<std::byte> utf8_to_utf16le(std::string_view text);

}  // namespace varve

#endif
