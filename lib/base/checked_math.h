// Arithmetic on numbers that come from a file. Every size, offset and count passes through here
// before it is used (docs/architecture.md, "Hostile images"). All throw Errc::corrupt.
#ifndef VARVE_BASE_CHECKED_MATH_H
#define VARVE_BASE_CHECKED_MATH_H

#include <concepts>
#include <cstdint>
#include <limits>
#include <string>

#include "varve/error.h"

namespace varve {

inline uint64_t checked_add(uint64_t a, uint64_t b, const char* what = "an offset") {
  uint64_t sum = 0;
  if (__builtin_add_overflow(a, b, &sum)) throw Error(Errc::corrupt, std::string(what) + " overflows 64 bits");
  return sum;
}

inline uint64_t checked_mul(uint64_t a, uint64_t b, const char* what = "a size") {
  uint64_t product = 0;
  if (__builtin_mul_overflow(a, b, &product)) throw Error(Errc::corrupt, std::string(what) + " overflows 64 bits");
  return product;
}

/// `value` as a narrower unsigned type.
template <std::unsigned_integral To>
To checked_narrow(uint64_t value, const char* what = "a number") {
  if (value > std::numeric_limits<To>::max()) throw Error(Errc::corrupt, std::string(what) + " is too large: " + std::to_string(value));
  return static_cast<To>(value);
}

constexpr bool is_power_of_two(uint64_t v) { return v != 0 && (v & (v - 1)) == 0; }

/// a / b rounded up, without the overflow of (a + b - 1) / b. b must not be 0.
constexpr uint64_t div_ceil(uint64_t a, uint64_t b) { return a / b + (a % b != 0 ? 1 : 0); }

constexpr uint64_t align_down(uint64_t v, uint64_t unit) { return v - v % unit; }

inline uint64_t align_up(uint64_t v, uint64_t unit) { return checked_mul(div_ceil(v, unit), unit); }

/// Is [offset, offset + length) within [0, size)?
constexpr bool range_fits(uint64_t offset, uint64_t length, uint64_t size) { return offset <= size && length <= size - offset; }

}  // namespace varve

#endif
