// Integers with a fixed byte order and alignment 1: the only way to describe bytes on disk.
//
// A structure on disk is a plain aggregate of these. It may be read from any address, has no padding,
// and reads the same on every host, so there are no swap functions and no packed attributes anywhere.
#ifndef VARVE_BASE_ENDIAN_H
#define VARVE_BASE_ENDIAN_H

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <type_traits>

#include "varve/error.h"

namespace varve {

enum class ByteOrder { little, big };

template <typename T, ByteOrder order>
class EndianInt {
 public:
  EndianInt() = default;
  constexpr EndianInt(T value) { store(value); }  // NOLINT: a plain integer in all but layout

  constexpr operator T() const {  // NOLINT
    T value = 0;
    for (size_t i = 0; i < sizeof(T); ++i) value = static_cast<T>(value | static_cast<T>(static_cast<T>(bytes_[place(i)]) << (8 * i)));
    return value;
  }

 private:
  static constexpr size_t place(size_t i) { return order == ByteOrder::little ? i : sizeof(T) - 1 - i; }
  constexpr void store(T value) {
    for (size_t i = 0; i < sizeof(T); ++i) bytes_[place(i)] = static_cast<uint8_t>(value >> (8 * i));
  }

  std::array<uint8_t, sizeof(T)> bytes_;
};

using le16 = EndianInt<uint16_t, ByteOrder::little>;
using le32 = EndianInt<uint32_t, ByteOrder::little>;
using le64 = EndianInt<uint64_t, ByteOrder::little>;
using be16 = EndianInt<uint16_t, ByteOrder::big>;
using be32 = EndianInt<uint32_t, ByteOrder::big>;
using be64 = EndianInt<uint64_t, ByteOrder::big>;
static_assert(sizeof(le64) == 8 && alignof(le64) == 1 && std::is_trivial_v<le64>);

/// A copy of the structure at `offset` of `bytes`. Throws corrupt if it does not fit.
template <typename T>
T load(std::span<const std::byte> bytes, size_t offset = 0) {
  static_assert(std::is_trivially_copyable_v<T> && alignof(T) == 1);
  if (offset > bytes.size() || bytes.size() - offset < sizeof(T)) throw Error(Errc::corrupt, "a structure is cut short").at(offset);
  T value;
  std::memcpy(&value, bytes.data() + offset, sizeof(T));
  return value;
}

/// The bytes of a structure, to be written as they are.
template <typename T>
std::span<const std::byte, sizeof(T)> bytes_of(const T& value) {
  static_assert(std::is_trivially_copyable_v<T> && alignof(T) == 1);
  return std::as_bytes(std::span<const T, 1>(&value, 1));
}

}  // namespace varve

#endif
