// Is this still the process that began?
#ifndef VARVE_CRYPTO_FORK_COUNT_H
#define VARVE_CRYPTO_FORK_COUNT_H

#include <cstdint>

namespace varve {

/// How often fork() led to this process since the library was loaded: another number in the child than in its parent. Costs a load.
/// Thread-safe.
uint64_t fork_count() noexcept;

}  // namespace varve

#endif
