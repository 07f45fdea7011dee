// A VMDK of any bytes, checked and repaired.
#include "check_and_repair.h"

namespace varve::fuzz {

const char* const kTargetName = "vmdk_check";

void run(std::span<const uint8_t> input) {
  const MemoryImage file(std::as_bytes(input), tight_limits(input.empty() ? 0 : input.back()));
  const HeapBound bound(input.size() * 4);  // the bytes and three copies of them
  check_and_repair(file);
}

}  // namespace varve::fuzz
