// Finding zeros.
#ifndef VARVE_BASE_ZERO_H
#define VARVE_BASE_ZERO_H

#include <cstring>

#include "varve/storage.h"

namespace varve {

/// Are all bytes zero? True for no bytes.
///
/// Bytes are all zero if the first 64 are and each equals the one 64 places before: a memcmp of the range with itself, which the
/// C library does with the widest vectors of the processor (50 to 90 GB/s in cache here).
inline bool is_zero(ConstBytes bytes) {
  constexpr std::byte kZeros[64] = {};
  if (bytes.size() <= sizeof(kZeros)) return bytes.empty() || std::memcmp(bytes.data(), kZeros, bytes.size()) == 0;
  return std::memcmp(bytes.data(), kZeros, sizeof(kZeros)) == 0 &&
         std::memcmp(bytes.data(), bytes.data() + sizeof(kZeros), bytes.size() - sizeof(kZeros)) == 0;
}

}  // namespace varve

#endif
