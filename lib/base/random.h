// Where ids come from. Injected, so that a test can make two identical files.
#ifndef VARVE_BASE_RANDOM_H
#define VARVE_BASE_RANDOM_H

#include <cstdint>

#include "varve/storage.h"

namespace varve {

class RandomSource {
 public:
  virtual ~RandomSource() = default;
  virtual void fill(MutableBytes out) = 0;

  uint32_t u32();
  uint64_t u64();
};

/// The kernel's. Thread-safe, stateless, lives for ever. Throws io if the kernel has none.
RandomSource& system_random();

/// The same sequence for the same seed, on every host. For tests: not secret, not thread-safe.
class SeededRandom final : public RandomSource {
 public:
  explicit SeededRandom(uint64_t seed) : state_(seed) {}

  void fill(MutableBytes out) override;

  /// A number in [0, bound). bound must not be 0.
  uint64_t below(uint64_t bound) { return step() % bound; }

 private:
  uint64_t step();

  uint64_t state_;
};

}  // namespace varve

#endif
