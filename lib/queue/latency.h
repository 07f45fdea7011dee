// How long requests took.
#ifndef VARVE_QUEUE_LATENCY_H
#define VARVE_QUEUE_LATENCY_H

#include <array>
#include <cstddef>
#include <cstdint>

#include "varve/bench.h"

namespace varve {

/// Durations by their highest bits: 16 steps to a power of two. Not thread-safe.
class Latencies {
 public:
  void add(uint64_t nanoseconds);
  void add(const Latencies& other);
  BenchResult::Latency result() const;

 private:
  static constexpr unsigned kSteps = 16;

  static size_t place_of(uint64_t value);
  static uint64_t value_at(size_t place);
  uint64_t at(double part) const;

  std::array<uint64_t, 61 * kSteps> counts_{};
  uint64_t total_ = 0;
  uint64_t sum_ = 0;
  uint64_t most_ = 0;
};

}  // namespace varve

#endif
