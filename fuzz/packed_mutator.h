// What the mutators have in common.
#ifndef VARVE_FUZZ_PACKED_MUTATOR_H
#define VARVE_FUZZ_PACKED_MUTATOR_H

#include <algorithm>
#include <cstdint>
#include <vector>

#include "seeds.h"
#include "sparse_input.h"
#include "target.h"

extern "C" size_t LLVMFuzzerMutate(uint8_t* data, size_t size, size_t max_size);

namespace varve::fuzz {

/// Now and then, and in place of what is too short to be an image, one that our own writers made. Returns the size.
inline size_t begin_anew(uint8_t* data, size_t size, size_t max_size, unsigned seed) {
  static const std::vector<Seed> kSeeds = seeds_of(kTargetName);
  if (size >= 64 && seed % 500 != 0) return size;
  const Seed& fresh = kSeeds[seed / 500 % kSeeds.size()];
  size = std::min(fresh.bytes.size(), max_size);
  std::copy_n(fresh.bytes.begin(), size, data);
  return size;
}

/// For packed images (sparse_input.h) with a script behind them. `Mutation` is made of the file and a seed: below(n) is a random number,
/// once() changes something, repair() makes checksums right.
template <typename Mutation>
size_t mutate_packed(uint8_t* data, size_t size, size_t max_size, unsigned seed) {
  size = begin_anew(data, size, max_size, seed);
  if (seed % 16 == 0) return LLVMFuzzerMutate(data, size, max_size);
  const SparseInput parts({data, size});
  Mutation mutation(*parts.file, seed);
  std::vector<uint8_t> tail(parts.tail.begin(), parts.tail.end());
  const bool script_only = mutation.below(4) == 0;
  if (script_only || mutation.below(4) == 0) {
    const size_t length = tail.size();
    tail.resize(length + 32);
    tail.resize(LLVMFuzzerMutate(tail.data(), length, tail.size()));
  }
  if (!script_only)
    for (uint64_t i = 1 + mutation.below(3); i > 0; --i) mutation.once();
  if (mutation.below(16) != 0) mutation.repair();
  std::vector<uint8_t> output = pack_sparse(*parts.file);
  output.insert(output.end(), tail.begin(), tail.end());
  size = std::min(output.size(), max_size);
  std::copy_n(output.begin(), size, data);
  return size;
}

}  // namespace varve::fuzz

#endif
