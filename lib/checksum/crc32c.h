// CRC-32C (Castagnoli), as VHDX and iSCSI use it [RFC 3720 12.1].
#ifndef VARVE_CHECKSUM_CRC32C_H
#define VARVE_CHECKSUM_CRC32C_H

#include <cstdint>

#include "varve/storage.h"

namespace varve {

/// The CRC of `bytes`, by the processor's instructions where it has them. `seed` is the CRC of what came before:
/// crc32c(b, crc32c(a)) is the CRC of a followed by b. Thread-safe.
uint32_t crc32c(ConstBytes bytes, uint32_t seed = 0);

/// The same without special instructions.
uint32_t crc32c_portable(ConstBytes bytes, uint32_t seed = 0);

/// Does crc32c() use the processor's instructions here?
bool crc32c_has_hardware();

}  // namespace varve

#endif
