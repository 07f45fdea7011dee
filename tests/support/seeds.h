// Random tests that can be repeated: everything follows from one printed seed.
//
//   VARVE_TEST_SEED=n             the seed of every random test (default: a fixed one)
//   VARVE_TEST_SEEDS_DIVISOR=n    does 1/n of the work, for slow builds
//   VARVE_TEST_SEEDS_MULTIPLIER=n does n times the work, for the nightly run
#ifndef VARVE_TESTS_SUPPORT_SEEDS_H
#define VARVE_TESTS_SUPPORT_SEEDS_H

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <span>
#include <string>
#include <string_view>

namespace varve::test {

inline uint64_t environment_number(const char* name, uint64_t fallback) {
  const char* text = std::getenv(name);
  return text == nullptr || *text == '\0' ? fallback : std::strtoull(text, nullptr, 0);
}

inline uint64_t base_seed() { return environment_number("VARVE_TEST_SEED", 20261123); }

/// `count` of the plain run as this run wants it; at least 1.
inline uint64_t scaled(uint64_t count) {
  const uint64_t more = environment_number("VARVE_TEST_SEEDS_MULTIPLIER", 1);
  const uint64_t less = std::max<uint64_t>(1, environment_number("VARVE_TEST_SEEDS_DIVISOR", 1));
  return std::max<uint64_t>(1, count * more / less);
}

/// Of an enumeration without chance every how many-th case this run does: 1 is all of them.
inline uint64_t stride() { return std::max<uint64_t>(1, environment_number("VARVE_TEST_SEEDS_DIVISOR", 1)); }

/// splitmix64: small, fast, and the same on every host.
class Rng {
 public:
  explicit Rng(uint64_t seed) : seed_(seed), state_(seed) {}
  /// A stream of its own for each purpose, so that a new test doesn't change the numbers of the others.
  explicit Rng(std::string_view purpose) : Rng(mix(base_seed(), purpose)) {}

  uint64_t seed() const { return seed_; }

  uint64_t next() {
    uint64_t z = (state_ += 0x9e3779b97f4a7c15U);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9U;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebU;
    return z ^ (z >> 31);
  }
  /// 0 <= result < bound; 0 if bound is 0.
  uint64_t below(uint64_t bound) { return bound == 0 ? 0 : next() % bound; }
  uint64_t between(uint64_t low, uint64_t high) { return low + below(high - low + 1); }
  bool one_in(uint64_t n) { return below(n) == 0; }
  template <typename T>
  const T& pick(std::span<const T> choices) {
    return choices[static_cast<size_t>(below(choices.size()))];
  }

 private:
  static uint64_t mix(uint64_t seed, std::string_view text) {
    uint64_t hash = seed ^ 0xcbf29ce484222325U;
    for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3U;
    return hash;
  }

  uint64_t seed_;
  uint64_t state_;
};

}  // namespace varve::test

/// Every failure below this line in the scope names the seed.
#define SHOW_SEED(rng) INFO("VARVE_TEST_SEED=" << ::varve::test::base_seed() << ", stream " << (rng).seed())

#endif
