// How fast an image can be read and written.
#ifndef VARVE_BENCH_H
#define VARVE_BENCH_H

#include <cstdint>
#include <optional>

#include "varve/image.h"
#include "varve/progress.h"

#pragma GCC visibility push(default)
namespace varve {

/// Requests of one size through queues (varve/queue.h), `depth` of each at a time, until `count` are done or `seconds` are over.
struct BenchOptions {
  bool write = false;             ///< else read. Writing destroys what the disk holds
  bool random = false;            ///< places at random, all equally likely; else one behind the other
  uint64_t block = 4096;          ///< bytes of a request
  uint64_t step = 0;              ///< from one request to the next, bytes; 0: `block`. Behind the end it goes on at the start
  uint64_t offset = 0;            ///< where the part of the disk begins that is used, bytes
  uint64_t range = 0;             ///< how long it is, bytes; 0: up to the end
  uint64_t count = 75000;         ///< requests; 0: as many as there is time for
  double seconds = 0;             ///< time for them; 0: any
  unsigned depth = 1;             ///< requests under way at once in each queue; 1 to 256
  unsigned queues = 1;            ///< each with a thread of its own that submits; 1 to 64
  unsigned workers = 0;           ///< EngineOptions::threads
  uint64_t flush_interval = 0;    ///< a flush after so many writes, which waits for those before it; 0: only at the end
  std::optional<uint8_t> fill{};  ///< every byte written; without it half of each block is random, and no block is like another
  uint64_t seed = 1;              ///< of places and contents
  const CancelToken* cancel = nullptr;
};

struct BenchResult {
  uint64_t requests = 0;
  uint64_t bytes = 0;
  uint64_t flushes = 0;      ///< the last one included
  double seconds = 0;        ///< all, the last flush included
  double flush_seconds = 0;  ///< of the last flush
  /// How long a request took from its submission to when its completion was taken, nanoseconds; of the flush between writes nothing is in
  /// it. Exact to one part in 16.
  struct Latency {
    uint64_t mean = 0, p50 = 0, p90 = 0, p99 = 0, p999 = 0, most = 0;
  } latency;
};

/// Throws invalid_argument for what can't be done on this disk, and what reading and writing throw; then the disk holds what was
/// written until then. Nothing else may use the image.
BenchResult bench(Image& image, const BenchOptions& options);

}  // namespace varve
#pragma GCC visibility pop

#endif
