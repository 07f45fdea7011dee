#include "checksum/crc32c.h"

#include <array>
#include <bit>
#include <cstring>

#if defined(__x86_64__)
#include <nmmintrin.h>
#elif defined(__aarch64__)
#include <sys/auxv.h>
#endif

namespace varve {

namespace {

constexpr uint32_t kPolynomial = 0x82f63b78;  // 0x1edc6f41, bits reversed

using Tables = std::array<std::array<uint32_t, 256>, 8>;

// tables[k][b] is the effect of byte b when k more bytes follow it: slicing by 8 looks up eight bytes at once.
constexpr Tables make_tables() {
  Tables tables{};
  for (uint32_t byte = 0; byte < 256; ++byte) {
    uint32_t crc = byte;
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ ((crc & 1) != 0 ? kPolynomial : 0);
    tables[0][byte] = crc;
  }
  for (size_t k = 1; k < tables.size(); ++k) {
    for (size_t byte = 0; byte < 256; ++byte) tables[k][byte] = (tables[k - 1][byte] >> 8) ^ tables[0][tables[k - 1][byte] & 0xff];
  }
  return tables;
}

constexpr Tables kTables = make_tables();

// Eight bytes, the first the lowest.
uint64_t load64(const std::byte* at) {
  uint64_t value = 0;
  std::memcpy(&value, at, sizeof(value));
  if constexpr (std::endian::native == std::endian::big) value = __builtin_bswap64(value);
  return value;
}

#if defined(__x86_64__)

bool detect_hardware() { return __builtin_cpu_supports("sse4.2") != 0; }

[[gnu::target("sse4.2")]] uint32_t hardware(ConstBytes bytes, uint32_t seed) {
  const std::byte* at = bytes.data();
  size_t left = bytes.size();
  uint64_t crc = ~seed;
  for (; left >= 8; left -= 8, at += 8) crc = _mm_crc32_u64(crc, load64(at));
  auto narrow = static_cast<uint32_t>(crc);
  for (; left > 0; --left, ++at) narrow = _mm_crc32_u8(narrow, std::to_integer<uint8_t>(*at));
  return ~narrow;
}

#elif defined(__aarch64__)

bool detect_hardware() { return (getauxval(AT_HWCAP) & HWCAP_CRC32) != 0; }

// In assembly, because gcc and clang name neither the target nor the intrinsics alike.
uint32_t add_word(uint32_t crc, uint64_t word) {
  asm(".arch_extension crc\n\tcrc32cx %w0, %w0, %x1" : "+r"(crc) : "r"(word));
  return crc;
}

uint32_t add_byte(uint32_t crc, uint32_t byte) {
  asm(".arch_extension crc\n\tcrc32cb %w0, %w0, %w1" : "+r"(crc) : "r"(byte));
  return crc;
}

uint32_t hardware(ConstBytes bytes, uint32_t seed) {
  const std::byte* at = bytes.data();
  size_t left = bytes.size();
  uint32_t crc = ~seed;
  for (; left >= 8; left -= 8, at += 8) crc = add_word(crc, load64(at));
  for (; left > 0; --left, ++at) crc = add_byte(crc, std::to_integer<uint32_t>(*at));
  return ~crc;
}

#else

bool detect_hardware() { return false; }

uint32_t hardware(ConstBytes bytes, uint32_t seed) { return crc32c_portable(bytes, seed); }

#endif

}  // namespace

uint32_t crc32c_portable(ConstBytes bytes, uint32_t seed) {
  const std::byte* at = bytes.data();
  size_t left = bytes.size();
  uint32_t crc = ~seed;
  const auto slice = [](size_t table, uint64_t word, int shift) { return kTables[table][(word >> shift) & 0xff]; };
  for (; left >= 8; left -= 8, at += 8) {
    const uint64_t word = load64(at) ^ crc;
    crc = slice(7, word, 0) ^ slice(6, word, 8) ^ slice(5, word, 16) ^ slice(4, word, 24) ^ slice(3, word, 32) ^ slice(2, word, 40) ^
          slice(1, word, 48) ^ slice(0, word, 56);
  }
  for (; left > 0; --left, ++at) crc = (crc >> 8) ^ kTables[0][(crc ^ std::to_integer<uint32_t>(*at)) & 0xff];
  return ~crc;
}

bool crc32c_has_hardware() {
  static const bool has = detect_hardware();
  return has;
}

uint32_t crc32c(ConstBytes bytes, uint32_t seed) { return crc32c_has_hardware() ? hardware(bytes, seed) : crc32c_portable(bytes, seed); }

}  // namespace varve
