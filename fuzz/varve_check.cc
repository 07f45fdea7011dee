// An image of the native format of any bytes, checked and repaired.
#include "check_and_repair.h"
#include "sparse_input.h"

namespace varve::fuzz {

const char* const kTargetName = "varve_check";

void run(std::span<const uint8_t> input) {
  const SparseInput parts(input);
  const MemoryImage file(parts.file, "varve", tight_limits(parts.tail.empty() ? 0 : parts.tail.back()));
  const HeapBound bound(parts.file->size() * 4);
  check_and_repair(file);
}

}  // namespace varve::fuzz
