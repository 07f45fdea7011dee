// The copy engine: one loop for every source and every target.
//
// The source cuts the disk into items, the pipeline (exec/pipeline.h) carries them through three steps: work (read, decode, look for
// zeros, encode) by all threads, deliver in the order of the disk, finish by all threads. What the steps do for a target is decided
// once, by the class that copy.cc chooses. Memory is bounded by the items under way; their buffers are used again.
#ifndef VARVE_OPS_COPY_H
#define VARVE_OPS_COPY_H

#include <memory>

#include "ops/copy_source.h"
#include "ops/copy_target.h"
#include "varve/ops.h"

namespace varve::ops {

/// The way into `target`. `image` is the source if it is one, or nullptr for a stream.
std::unique_ptr<CopyTarget> choose_target(Image* image, Image& target, const CopyOptions& options);

/// Copies all of `source` into `target`, which the caller closes or aborts. Throws invalid_argument if it is too small.
CopyReport copy(CopySource& source, Image* image, Image& target, const CopyOptions& options);

}  // namespace varve::ops

#endif
