// Bounds on what a hostile image can cost.
#ifndef VARVE_LIMITS_H
#define VARVE_LIMITS_H

#include <cstdint>

#pragma GCC visibility push(default)
namespace varve {

/// Every count and size that an image names is held against these before anything is allocated or looped over;
/// more is Errc::limit. Besides, no table may be larger than the file that it lies in.
struct Limits {
  uint64_t virtual_size = uint64_t{1} << 62;     ///< bytes of the disk
  uint64_t output_bytes = UINT64_MAX;            ///< bytes that a conversion may write
  uint64_t metadata_bytes = uint64_t{64} << 20;  ///< of one image held in memory at once: tables, directories, caches
  uint64_t descriptor_bytes = (uint64_t{1} << 20) - 1;
  uint32_t descriptor_line = 4096;  ///< bytes of one line
  uint32_t extents = 2048;          ///< files of one layer
  uint32_t chain_depth = 32;        ///< layers, the image itself included; 256 at most
};

}  // namespace varve
#pragma GCC visibility pop

#endif
