// Universally unique identifiers [RFC 4122].
#ifndef VARVE_BASE_UUID_H
#define VARVE_BASE_UUID_H

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

namespace varve {

class RandomSource;

struct Uuid {
  std::array<uint8_t, 16> bytes{};  ///< in the order in which the text shows them
  bool operator==(const Uuid&) const = default;
  bool is_nil() const { return *this == Uuid{}; }
};

/// "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx" in either case, with or without braces. Anything else is invalid_argument.
Uuid parse_uuid(std::string_view text);

/// Lower case, without braces.
std::string format_uuid(const Uuid& uuid);

/// Version 4.
Uuid random_uuid(RandomSource& random);

/// Between the text's order and that of Microsoft's GUID structure (the first three fields little-endian). Its own inverse.
Uuid swap_guid_order(const Uuid& uuid);

}  // namespace varve

#endif
