// Bounds on what a hostile image can cost.
#ifndef VARVE_LIMITS_H
#define VARVE_LIMITS_H

#include <cstdint>

#pragma GCC visibility push(default)
namespace varve {

/// Every count and size that an image names is held against these before anything is allocated or looped over;
/// more is Errc::limit. Besides, no table may be larger than the file that it lies in. Each layer of a chain has these limits anew.
struct Limits {
  uint64_t virtual_size = uint64_t{1} << 62;  ///< bytes of a disk that is opened, created or resized
  /// Bytes that convert() may write, to all files of its target together: data and structures, however often; holes are free. Only that of
  /// its CreateOptions counts.
  uint64_t output_bytes = UINT64_MAX;
  uint64_t metadata_bytes = uint64_t{64} << 20;         ///< of one layer held in memory at once: tables, directories, caches
  uint64_t descriptor_bytes = (uint64_t{1} << 20) - 1;  ///< of the text that describes a layer
  uint32_t descriptor_line = 4096;                      ///< bytes of one line of it
  uint32_t extents = 2048;                              ///< of one layer, with or without a file of their own
  uint32_t chain_depth = 32;                            ///< layers, the image itself included; 256 at most

  // Of the key slots of an encrypted image: more is refused before any work.
  uint64_t kdf_memory = uint64_t{1} << 30;  ///< bytes that scrypt takes, 128 x N x r; its p is 16 at most
  uint64_t kdf_iterations = 10000000;       ///< of PBKDF2
  /// Of all slots that one secret is tried on, together: N x r x p of scrypt and the iterations of PBKDF2. Some 10 s.
  uint64_t kdf_work = uint64_t{1} << 24;

  // What a layer may keep in memory to be fast, bytes. Nothing fails for these.
  uint64_t write_buffer = uint64_t{64} << 20;   ///< of what was written and is not encoded yet
  uint64_t cluster_cache = uint64_t{64} << 20;  ///< of clusters that were read, verified and decoded
};

}  // namespace varve
#pragma GCC visibility pop

#endif
