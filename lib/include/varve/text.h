// Sizes and hostile strings, as people read and write them.
#ifndef VARVE_TEXT_H
#define VARVE_TEXT_H

#include <cstdint>
#include <string>
#include <string_view>

#pragma GCC visibility push(default)
namespace varve {

/// Bytes of "4096", "10M", "64k", "2TiB": decimal digits and at most one of K, M, G, T, P in either case, alone or followed by "iB".
/// All suffixes are binary: 1K is 1024. No fractions, no signs, no spaces. Anything else, and what exceeds 64 bits, is invalid_argument.
uint64_t parse_size(std::string_view text);

/// "512 B", "10 GiB", "1.9 TiB": the largest unit that is not above the size. Without a fraction the size is exact; with one
/// it is rounded to tenths.
std::string format_size(uint64_t bytes);

/// `text` such that a terminal shows it on one line and does nothing else: control characters (C0, DEL, C1), line and paragraph
/// separators, and the characters that change the direction of text become \xNN (bytes) or \u{N}; so do bytes that are not
/// UTF-8. All else, backslashes included, stays as it is, so ordinary names look ordinary.
std::string escape_text(std::string_view text);

}  // namespace varve
#pragma GCC visibility pop

#endif
