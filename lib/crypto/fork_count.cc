#include "crypto/fork_count.h"

#include <pthread.h>

#include <atomic>

namespace varve {
namespace {

std::atomic<uint64_t> forks{0};

/// As long as the library is loaded.
const bool watching = pthread_atfork(nullptr, nullptr, [] { forks.fetch_add(1, std::memory_order_relaxed); }) == 0;

}  // namespace

uint64_t fork_count() noexcept { return watching ? forks.load(std::memory_order_relaxed) : 0; }

}  // namespace varve
