// A VHDX of any bytes, checked and repaired.
#include "check_and_repair.h"
#include "sparse_input.h"

namespace varve::fuzz {

const char* const kTargetName = "vhdx_check";

void run(std::span<const uint8_t> input) {
  const SparseInput parts(input);
  const MemoryImage file(parts.file, "vhdx", tight_limits(parts.tail.empty() ? 0 : parts.tail.back()));
  // A log that holds something goes into the file when that is opened for writing, whatever is asked for then.
  only_errors([&] { file.open(Access::read_write).close(); });
  const HeapBound bound(parts.file->size() * 4);
  check_and_repair(file);
}

}  // namespace varve::fuzz
