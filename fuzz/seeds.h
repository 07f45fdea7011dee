// Inputs to begin with, made by the library's own writers.
#ifndef VARVE_FUZZ_SEEDS_H
#define VARVE_FUZZ_SEEDS_H

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace varve::fuzz {

struct Seed {
  std::string name;
  std::vector<uint8_t> bytes;
};

/// Inputs of vmdk_extents begin with so many bytes of text.
inline constexpr size_t kExtentsTextBytes = 1024;

/// The seeds of a target ("vmdk_open", ...); the same ones each time. Throws Error for a target that has none.
std::vector<Seed> seeds_of(std::string_view target);

}  // namespace varve::fuzz

#endif
