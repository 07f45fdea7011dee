#include "base/uuid.h"

#include <algorithm>

#include "base/hex.h"
#include "base/random.h"
#include "varve/error.h"

namespace varve {

namespace {

constexpr std::string_view kShape = "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx";

bool has_shape(std::string_view text) {
  return std::equal(text.begin(), text.end(), kShape.begin(), kShape.end(),
                    [](char c, char place) { return place == '-' ? c == '-' : hex_digit(c) >= 0; });
}

}  // namespace

Uuid parse_uuid(std::string_view text) {
  std::string_view bare = text;
  if (bare.starts_with('{') && bare.ends_with('}')) bare = bare.substr(1, bare.size() - 2);
  if (!has_shape(bare)) {
    throw Error(Errc::invalid_argument, "not a UUID").hint("write it as " + std::string(kShape) + " with hexadecimal digits");
  }
  Uuid uuid;
  size_t digits = 0;
  for (const char c : bare) {
    if (c == '-') continue;
    uint8_t& byte = uuid.bytes.at(digits++ / 2);
    byte = static_cast<uint8_t>(byte << 4 | hex_digit(c));
  }
  return uuid;
}

std::string format_uuid(const Uuid& uuid) {
  std::string text = to_hex(std::as_bytes(std::span(uuid.bytes)));
  for (const size_t place : {8U, 13U, 18U, 23U}) text.insert(place, 1, '-');
  return text;
}

Uuid random_uuid(RandomSource& random) {
  Uuid uuid;
  random.fill(std::as_writable_bytes(std::span(uuid.bytes)));
  uuid.bytes[6] = static_cast<uint8_t>((uuid.bytes[6] & 0x0f) | 0x40);  // version 4
  uuid.bytes[8] = static_cast<uint8_t>((uuid.bytes[8] & 0x3f) | 0x80);  // variant of RFC 4122
  return uuid;
}

Uuid swap_guid_order(const Uuid& uuid) {
  Uuid swapped = uuid;
  std::reverse(swapped.bytes.begin(), swapped.bytes.begin() + 4);
  std::reverse(swapped.bytes.begin() + 4, swapped.bytes.begin() + 6);
  std::reverse(swapped.bytes.begin() + 6, swapped.bytes.begin() + 8);
  return swapped;
}

}  // namespace varve
