// Inputs of the native format to begin with.
#ifndef VARVE_FUZZ_VARVE_SEEDS_H
#define VARVE_FUZZ_VARVE_SEEDS_H

#include "seeds.h"

namespace varve::fuzz {

/// Plain, compressed and encrypted, with snapshots and branches, as a killed program leaves them; as SparseInput, without a tail.
std::vector<Seed> varve_images();
/// Encrypted under test::test_key(), with slots of several keys, and under another master key than at first.
std::vector<Seed> varve_key_areas();

}  // namespace varve::fuzz

#endif
