// A dense set of small numbers.
#ifndef VARVE_BASE_BITMAP_H
#define VARVE_BASE_BITMAP_H

#include <cstdint>
#include <vector>

namespace varve {

/// Bits 0 to size() - 1, all clear at first. Indices must be in range. Not thread-safe.
class Bitmap {
 public:
  /// Throws limit if the bits take more than `max_bytes` of memory.
  explicit Bitmap(uint64_t bits, uint64_t max_bytes = UINT64_MAX);

  uint64_t size() const noexcept { return bits_; }
  bool test(uint64_t bit) const { return (words_[bit / 64] >> (bit % 64) & 1) != 0; }
  void set(uint64_t bit) { words_[bit / 64] |= uint64_t{1} << (bit % 64); }
  void clear(uint64_t bit) { words_[bit / 64] &= ~(uint64_t{1} << (bit % 64)); }
  /// Sets [first, first + count).
  void set_range(uint64_t first, uint64_t count);
  /// Is a bit of [first, first + count) set?
  bool any(uint64_t first, uint64_t count) const;
  void clear_all();

  /// The first set (clear) bit at or after `from`; size() if there is none.
  uint64_t find_next_set(uint64_t from) const { return find(from, 0); }
  uint64_t find_next_clear(uint64_t from) const { return find(from, ~uint64_t{0}); }
  /// How many bits are set.
  uint64_t count() const;

 private:
  uint64_t find(uint64_t from, uint64_t flip) const;

  uint64_t bits_;
  std::vector<uint64_t> words_;
};

}  // namespace varve

#endif
