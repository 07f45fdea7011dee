// Checking and repairing an image of any bytes.
#ifndef VARVE_FUZZ_CHECK_AND_REPAIR_H
#define VARVE_FUZZ_CHECK_AND_REPAIR_H

#include "target.h"

namespace varve::fuzz {

/// Only a repair changes the file, a safe one loses nothing that could be read, each leaves what it said that it would leave, and the
/// second time it finds nothing to do.
void check_and_repair(const MemoryImage& file);

}  // namespace varve::fuzz

#endif
