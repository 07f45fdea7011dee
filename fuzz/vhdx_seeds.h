// VHDX inputs to begin with.
#ifndef VARVE_FUZZ_VHDX_SEEDS_H
#define VARVE_FUZZ_VHDX_SEEDS_H

#include "io/memory_file_system.h"
#include "seeds.h"

namespace varve::fuzz {

/// The parent of all differencing seeds: the same bytes each time, so that they know it.
inline constexpr const char* kVhdxParent = "base.vhdx";
void add_vhdx_parent(MemoryFileSystem& files);

/// Images of each kind, sound, torn, and with a log that holds changes; as SparseInput, without a tail.
std::vector<Seed> vhdx_images();
std::vector<Seed> vhdx_locators();

}  // namespace varve::fuzz

#endif
