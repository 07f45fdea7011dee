#include "support/sha256.h"

#include <array>
#include <bit>
#include <cmath>
#include <cstdint>
#include <vector>

namespace varve::test {
namespace {

using Words = std::array<uint32_t, 64>;

/// The first 32 bits of the fraction of the cube roots of the first 64 primes [FIPS 180-4, 4.2.2], and of the square roots of the first 8.
struct Constants {
  Constants() {
    size_t count = 0;
    for (uint32_t n = 2; count < 64; ++n) {
      bool prime = true;
      for (uint32_t d = 2; d * d <= n; ++d) prime = prime && n % d != 0;
      if (!prime) continue;
      cubes[count] = fraction(cbrtl(n));
      if (count < 8) squares[count] = fraction(sqrtl(n));
      ++count;
    }
  }
  static uint32_t fraction(long double root) { return static_cast<uint32_t>((root - floorl(root)) * 4294967296.0L); }
  Words cubes{};
  std::array<uint32_t, 8> squares{};
};

void add_block(const std::byte* block, std::array<uint32_t, 8>& h, const Words& k) {
  Words w{};
  for (size_t i = 0; i < 64; ++i) w[i / 4] = w[i / 4] << 8 | static_cast<uint32_t>(block[i]);
  for (size_t i = 16; i < 64; ++i) {
    const uint32_t a = std::rotr(w[i - 15], 7) ^ std::rotr(w[i - 15], 18) ^ w[i - 15] >> 3;
    const uint32_t b = std::rotr(w[i - 2], 17) ^ std::rotr(w[i - 2], 19) ^ w[i - 2] >> 10;
    w[i] = w[i - 16] + a + w[i - 7] + b;
  }
  std::array<uint32_t, 8> s = h;
  for (size_t i = 0; i < 64; ++i) {
    const uint32_t e = std::rotr(s[4], 6) ^ std::rotr(s[4], 11) ^ std::rotr(s[4], 25);
    const uint32_t t1 = s[7] + e + ((s[4] & s[5]) ^ (~s[4] & s[6])) + k[i] + w[i];
    const uint32_t a = std::rotr(s[0], 2) ^ std::rotr(s[0], 13) ^ std::rotr(s[0], 22);
    const uint32_t t2 = a + ((s[0] & s[1]) ^ (s[0] & s[2]) ^ (s[1] & s[2]));
    s = {t1 + t2, s[0], s[1], s[2], s[3] + t1, s[4], s[5], s[6]};
  }
  for (size_t i = 0; i < 8; ++i) h[i] += s[i];
}

}  // namespace

std::string sha256(ConstBytes bytes) {
  static const Constants kConstants;
  std::array<uint32_t, 8> h = kConstants.squares;
  size_t done = 0;
  for (; bytes.size() - done >= 64; done += 64) add_block(bytes.data() + done, h, kConstants.cubes);
  std::vector<std::byte> last(bytes.begin() + static_cast<ptrdiff_t>(done), bytes.end());
  last.push_back(std::byte{0x80});
  while (last.size() % 64 != 56) last.push_back(std::byte{0});
  const uint64_t bits = uint64_t{bytes.size()} * 8;
  for (int shift = 56; shift >= 0; shift -= 8) last.push_back(static_cast<std::byte>(bits >> shift));
  for (size_t at = 0; at < last.size(); at += 64) add_block(last.data() + at, h, kConstants.cubes);
  std::string text;
  for (const uint32_t word : h)
    for (int shift = 28; shift >= 0; shift -= 4) text += "0123456789abcdef"[word >> shift & 15];
  return text;
}

}  // namespace varve::test
