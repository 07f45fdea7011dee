// Sizes as people write and read them. All suffixes are binary: 1K is 1024.
#ifndef VARVE_BASE_SIZES_H
#define VARVE_BASE_SIZES_H

#include <cstdint>
#include <string>
#include <string_view>

namespace varve {

/// Bytes of "4096", "10M", "64k", "2TiB": decimal digits and at most one of K, M, G, T, P in either case, alone or followed by "iB".
/// No fractions, no signs, no spaces. Anything else, and what exceeds 64 bits, is invalid_argument.
uint64_t parse_size(std::string_view text);

/// "512 B", "10 GiB", "1.9 TiB": the largest unit that is not above the size. Without a fraction the size is exact; with one
/// it is rounded to tenths.
std::string format_size(uint64_t bytes);

}  // namespace varve

#endif
