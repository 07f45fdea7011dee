// The entry of libFuzzer.
#include "target.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  varve::fuzz::run({data, size});
  return 0;
}
