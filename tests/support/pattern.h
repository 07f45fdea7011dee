// Test data that says where it belongs: block b of generation g is f(b, g), so a misplaced, stale or torn block is
// named in the failure instead of being "different".
#ifndef VARVE_TESTS_SUPPORT_PATTERN_H
#define VARVE_TESTS_SUPPORT_PATTERN_H

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

#include "varve/storage.h"

namespace varve::test {

inline constexpr uint64_t kPatternBlock = 512;

/// One block: magic, its number, its generation, then noise from both. A quarter of the generations compresses well.
inline std::array<std::byte, kPatternBlock> pattern_block(uint64_t block, uint64_t generation) {
  std::array<std::byte, kPatternBlock> out;
  uint64_t noise = block * 0x9e3779b97f4a7c15U ^ (generation + 1) * 0xbf58476d1ce4e5b9U;
  for (size_t i = 0; i < out.size(); i += 8) {
    if (generation % 4 != 3) noise ^= noise << 13, noise ^= noise >> 7, noise ^= noise << 17;
    std::memcpy(out.data() + i, &noise, 8);
  }
  std::memcpy(out.data(), "VARVTEST", 8);
  std::memcpy(out.data() + 8, &block, 8);
  std::memcpy(out.data() + 16, &generation, 8);
  return out;
}

/// What generation `generation` has at bytes [offset, offset + out.size()) of a disk.
inline void fill_pattern(uint64_t offset, uint64_t generation, MutableBytes out) {
  size_t done = 0;
  while (done < out.size()) {
    const uint64_t at = offset + done;
    const auto block = pattern_block(at / kPatternBlock, generation);
    const size_t skip = static_cast<size_t>(at % kPatternBlock);
    const size_t n = std::min(out.size() - done, block.size() - skip);
    std::memcpy(out.data() + done, block.data() + skip, n);
    done += n;
  }
}

inline std::vector<std::byte> pattern(uint64_t offset, uint64_t generation, size_t length) {
  std::vector<std::byte> out(length);
  fill_pattern(offset, generation, out);
  return out;
}

/// "block 12 of generation 3", "zeros" or "foreign bytes": of the whole block at the start of `bytes`.
inline std::string describe_block(ConstBytes bytes) {
  if (std::all_of(bytes.begin(), bytes.end(), [](std::byte b) { return b == std::byte{0}; })) return "zeros";
  uint64_t block = 0;
  uint64_t generation = 0;
  if (bytes.size() < 24 || std::memcmp(bytes.data(), "VARVTEST", 8) != 0) return "foreign bytes";
  std::memcpy(&block, bytes.data() + 8, 8);
  std::memcpy(&generation, bytes.data() + 16, 8);
  const auto whole = pattern_block(block, generation);
  const bool intact = std::memcmp(whole.data(), bytes.data(), std::min(bytes.size(), whole.size())) == 0;
  return "block " + std::to_string(block) + " of generation " + std::to_string(generation) + (intact ? "" : ", mixed with others");
}

/// Empty if equal; else "byte N: is ..., should be ...". `offset`: where the first byte belongs.
inline std::string describe_difference(uint64_t offset, ConstBytes is, ConstBytes should_be) {
  if (is.size() == should_be.size() && (is.empty() || std::memcmp(is.data(), should_be.data(), is.size()) == 0)) return {};
  const auto [a, b] = std::mismatch(is.begin(), is.end(), should_be.begin(), should_be.end());
  const uint64_t first = static_cast<uint64_t>(a - is.begin());
  std::string text = "byte " + std::to_string(offset + first);
  const uint64_t block_start = (offset + first) / kPatternBlock * kPatternBlock;
  if (block_start >= offset && block_start - offset + kPatternBlock <= is.size()) {
    const size_t at = static_cast<size_t>(block_start - offset);
    text += " (block " + std::to_string(block_start / kPatternBlock) + "): is " + describe_block(is.subspan(at, kPatternBlock)) +
            ", should be " + describe_block(should_be.subspan(at, kPatternBlock));
  } else if (a != is.end() && b != should_be.end()) {
    text += ": is " + std::to_string(std::to_integer<int>(*a)) + ", should be " + std::to_string(std::to_integer<int>(*b));
  }
  return text;
}

}  // namespace varve::test

#endif
