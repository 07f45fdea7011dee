// Files with much nothing in them as inputs: a VHDX has three MiB before the first byte of a disk, and hardly a KiB of them says anything.
#ifndef VARVE_FUZZ_SPARSE_INPUT_H
#define VARVE_FUZZ_SPARSE_INPUT_H

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "io/memory_storage.h"

namespace varve::fuzz {

/// No input makes a larger file.
inline constexpr uint64_t kMaxSparseFile = 16 << 20;

/// An input is a row of records {place in sectors, 4 bytes; length, 2 bytes; bytes}, little-endian. A record without bytes says that the
/// file reaches to its place. One at the place 0xffffffff ends the row, and what follows belongs to the target. Any bytes are an input.
struct SparseInput {
  explicit SparseInput(std::span<const uint8_t> input);

  std::shared_ptr<MemoryStorage> file;
  std::span<const uint8_t> tail;  ///< of the input
};

/// The records that make such a file, and the end of the row. The same for files of the same bytes, whoever wrote them.
std::vector<uint8_t> pack_sparse(Storage& file);

/// Of any size, holes included.
std::shared_ptr<MemoryStorage> copy_of(Storage& file);

}  // namespace varve::fuzz

#endif
