// Inputs of the native format to begin with.
#ifndef VARVE_FUZZ_VARVE_SEEDS_H
#define VARVE_FUZZ_VARVE_SEEDS_H

#include "seeds.h"

namespace varve::fuzz {

/// Plain and compressed, with snapshots and branches, as a killed program leaves them; as SparseInput, without a tail.
std::vector<Seed> varve_images();

}  // namespace varve::fuzz

#endif
