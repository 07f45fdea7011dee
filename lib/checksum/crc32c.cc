#include "checksum/crc32c.h"

#include <array>

#include "base/endian.h"

#if defined(__x86_64__)
#include <nmmintrin.h>
#elif defined(__aarch64__) && defined(__ARM_FEATURE_CRC32)
#include <arm_acle.h>
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

uint64_t load64(const std::byte* at) {
  uint64_t value = 0;
  std::memcpy(&value, at, sizeof(value));
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

#elif defined(__aarch64__) && defined(__ARM_FEATURE_CRC32)

bool detect_hardware() { return true; }  // the compiler was told that every processor it builds for has them

uint32_t hardware(ConstBytes bytes, uint32_t seed) {
  const std::byte* at = bytes.data();
  size_t left = bytes.size();
  uint32_t crc = ~seed;
  for (; left >= 8; left -= 8, at += 8) crc = __crc32cd(crc, load64(at));
  for (; left > 0; --left, ++at) crc = __crc32cb(crc, std::to_integer<uint8_t>(*at));
  return ~crc;
}

#else

bool detect_hardware() { return false; }

uint32_t hardware(ConstBytes bytes, uint32_t seed) { return crc32c_portable(bytes, seed); }

#endif

}  // namespace

uint32_t crc32c_portable(ConstBytes bytes, uint32_t seed) {
  uint32_t crc = ~seed;
  while (bytes.size() >= 8) {
    const uint64_t word = load<le64>(bytes) ^ uint64_t { crc };
    crc = 0;
    for (size_t k = 0; k < 8; ++k) crc ^= kTables[7 - k][(word >> (8 * k)) & 0xff];
    bytes = bytes.subspan(8);
  }
  for (const std::byte b : bytes) crc = (crc >> 8) ^ kTables[0][(crc ^ std::to_integer<uint32_t>(b)) & 0xff];
  return ~crc;
}

bool crc32c_has_hardware() {
  static const bool has = detect_hardware();
  return has;
}

uint32_t crc32c(ConstBytes bytes, uint32_t seed) { return crc32c_has_hardware() ? hardware(bytes, seed) : crc32c_portable(bytes, seed); }

}  // namespace varve
