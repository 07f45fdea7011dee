// An image of the native format of any bytes, opened for reading: every call returns or throws varve::Error, no byte of the file changes,
// and check never finds an image sound that can't be read.
#include "target.h"

namespace varve::fuzz {

const char* const kTargetName = "varve_open";

void run(std::span<const uint8_t> input) { read_packed_image(input, "varve"); }

}  // namespace varve::fuzz
