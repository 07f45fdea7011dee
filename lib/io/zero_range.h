// Zeros in a storage, by the cheapest way that it has.
#ifndef VARVE_IO_ZERO_RANGE_H
#define VARVE_IO_ZERO_RANGE_H

#include <cstdint>

#include "varve/storage.h"

namespace varve {

/// The range, which lies in the storage, reads as zeros afterwards: punched, or written where that is not possible. Errors: those of
/// Storage.
void zero_range(Storage& storage, uint64_t offset, uint64_t length);

}  // namespace varve

#endif
