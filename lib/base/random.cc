#include "base/random.h"

#include <sys/random.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "base/endian.h"

namespace varve {

namespace {

class SystemRandom final : public RandomSource {
 public:
  void fill(MutableBytes out) override {
    while (!out.empty()) {
      const ssize_t got = getrandom(out.data(), out.size(), 0);
      if (got < 0 && errno == EINTR) continue;
      if (got <= 0) throw Error(Errc::io, "cannot get random numbers from the kernel").caused_by(std::strerror(errno));
      out = out.subspan(static_cast<size_t>(got));
    }
  }
};

template <typename Integer>
Integer draw(RandomSource& source) {
  EndianInt<Integer, ByteOrder::little> value;
  source.fill(std::as_writable_bytes(std::span(&value, 1)));
  return value;
}

}  // namespace

uint32_t RandomSource::u32() { return draw<uint32_t>(*this); }

uint64_t RandomSource::u64() { return draw<uint64_t>(*this); }

RandomSource& system_random() {
  static SystemRandom source;
  return source;
}

void SeededRandom::fill(MutableBytes out) {
  while (!out.empty()) {
    const le64 value = step();
    const size_t part = std::min(out.size(), sizeof(value));
    std::memcpy(out.data(), &value, part);
    out = out.subspan(part);
  }
}

// SplitMix64 (Steele, Lea, Flood: Fast Splittable Pseudorandom Number Generators, 2014).
uint64_t SeededRandom::step() {
  state_ += 0x9e3779b97f4a7c15U;
  uint64_t z = state_;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9U;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebU;
  return z ^ (z >> 31);
}

}  // namespace varve
