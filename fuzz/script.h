// Scripts of operations on an image, made of fuzz input.
#ifndef VARVE_FUZZ_SCRIPT_H
#define VARVE_FUZZ_SCRIPT_H

#include <cstdint>

#include "data_producer.h"
#include "shadow.h"
#include "varve/image.h"

namespace varve::fuzz {

inline constexpr size_t kStepBytes = 8;  ///< of input, roughly

struct ScriptBounds {
  uint64_t largest = 16 << 20;  ///< bytes that a resize may ask for
  bool sound = false;           ///< the image is: nothing may be found corrupt on the way
};

/// Writes, zeroes, discards, reads, flushes, resizes or checks, and notes in `shadow` what must be there now. What is refused changes
/// nothing. False once the image takes no more writes.
bool run_step(Image& image, Shadow& shadow, DataProducer& script, const ScriptBounds& bounds);

/// Does a check find no damage in the structure, and, where asked for, in what is stored? A write of a part of a block reads the rest of
/// it.
bool is_sound(Image& image, bool data = false);

}  // namespace varve::fuzz

#endif
