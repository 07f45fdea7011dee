#include "queue/latency.h"

#include <algorithm>
#include <bit>

namespace varve {

void Latencies::add(uint64_t nanoseconds) {
  ++counts_[place_of(nanoseconds)];
  ++total_;
  sum_ += nanoseconds;
  most_ = std::max(most_, nanoseconds);
}

void Latencies::add(const Latencies& other) {
  for (size_t i = 0; i < counts_.size(); ++i) counts_[i] += other.counts_[i];
  total_ += other.total_;
  sum_ += other.sum_;
  most_ = std::max(most_, other.most_);
}

BenchResult::Latency Latencies::result() const { return {total_ == 0 ? 0 : sum_ / total_, at(0.5), at(0.9), at(0.99), at(0.999), most_}; }

size_t Latencies::place_of(uint64_t value) {
  if (value < kSteps) return value;
  const auto shift = static_cast<unsigned>(std::bit_width(value)) - 5;
  return (shift + 1) * kSteps + (value >> shift) - kSteps;
}

uint64_t Latencies::value_at(size_t place) {
  if (place < kSteps) return place;
  return (place % kSteps + kSteps) << (place / kSteps - 1);
}

uint64_t Latencies::at(double part) const {
  const auto wanted = static_cast<uint64_t>(part * static_cast<double>(total_));
  uint64_t seen = 0;
  for (size_t i = 0; i < counts_.size(); ++i) {
    seen += counts_[i];
    if (seen > wanted) return value_at(i);
  }
  return most_;
}

}  // namespace varve
