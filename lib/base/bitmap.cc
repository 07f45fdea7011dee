#include "base/bitmap.h"

#include <algorithm>
#include <bit>

#include "base/checked_math.h"

namespace varve {

Bitmap::Bitmap(uint64_t bits, uint64_t max_bytes) : bits_(bits) {
  const uint64_t words = div_ceil(bits, 64);
  if (words > max_bytes / sizeof(uint64_t))
    throw Error(Errc::limit, "a bitmap of " + std::to_string(bits) + " bits exceeds the memory for metadata");
  words_.resize(checked_narrow<size_t>(words));
}

namespace {

/// The part of a range that lies in one word.
struct Run {
  Run(uint64_t first, uint64_t end)
      : length(std::min(64 - first % 64, end - first)), mask((~uint64_t{0} >> (64 - length)) << (first % 64)) {}
  uint64_t length;
  uint64_t mask;
};

}  // namespace

void Bitmap::set_range(uint64_t first, uint64_t count) {
  for (const uint64_t end = first + count; first < end;) {
    const Run run(first, end);
    words_[first / 64] |= run.mask;
    first += run.length;
  }
}

bool Bitmap::any(uint64_t first, uint64_t count) const {
  for (const uint64_t end = first + count; first < end;) {
    const Run run(first, end);
    if ((words_[first / 64] & run.mask) != 0) return true;
    first += run.length;
  }
  return false;
}

void Bitmap::clear_all() { std::fill(words_.begin(), words_.end(), 0); }

uint64_t Bitmap::find(uint64_t from, uint64_t flip) const {
  if (from >= bits_) return bits_;
  size_t word = static_cast<size_t>(from / 64);
  uint64_t candidates = (words_[word] ^ flip) & (~uint64_t{0} << (from % 64));
  while (candidates == 0 && ++word < words_.size()) candidates = words_[word] ^ flip;
  if (candidates == 0) return bits_;
  return std::min(bits_, uint64_t{word} * 64 + static_cast<uint64_t>(std::countr_zero(candidates)));
}

uint64_t Bitmap::count() const {
  uint64_t sum = 0;
  for (const uint64_t word : words_) sum += static_cast<uint64_t>(std::popcount(word));
  return sum;
}

}  // namespace varve
