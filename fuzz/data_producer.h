// Turns fuzz input into numbers. They are taken from the END of the input: what is an image or a text at its start keeps its place while
// the numbers behind it change, so a mutation of one leaves the other alone.
#ifndef VARVE_FUZZ_DATA_PRODUCER_H
#define VARVE_FUZZ_DATA_PRODUCER_H

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

namespace varve::fuzz {

class DataProducer {
 public:
  explicit DataProducer(std::span<const uint8_t> input) : rest_(input) {}

  /// 0 once the input is used up.
  uint8_t byte() {
    if (rest_.empty()) return 0;
    const uint8_t value = rest_.back();
    rest_ = rest_.first(rest_.size() - 1);
    return value;
  }
  uint64_t number(size_t bytes) {
    uint64_t value = 0;
    for (size_t i = 0; i < bytes; ++i) value = value << 8 | byte();
    return value;
  }
  /// low <= result <= high.
  uint64_t between(uint64_t low, uint64_t high) {
    const uint64_t range = high - low;
    const size_t bytes = range < 0x100 ? 1 : range < 0x10000 ? 2 : range < 0x1000000 ? 3 : range < 0x100000000 ? 4 : 8;
    const uint64_t value = number(bytes);
    return range == UINT64_MAX ? value : low + value % (range + 1);
  }
  bool boolean() { return (byte() & 1) != 0; }

  /// Up to `limit` bytes as text, the length first.
  std::string text(size_t limit) {
    const uint64_t length = between(0, limit);
    std::string out;
    for (uint64_t i = 0; i < length && !rest_.empty(); ++i) out += static_cast<char>(byte());
    return out;
  }

  /// What no number has taken.
  std::span<const std::byte> rest() const { return std::as_bytes(rest_); }

 private:
  std::span<const uint8_t> rest_;
};

}  // namespace varve::fuzz

#endif
