// Input without positions: what a pipe is.
#ifndef VARVE_IO_BYTE_STREAM_H
#define VARVE_IO_BYTE_STREAM_H

#include <cstddef>

#include "varve/storage.h"

namespace varve {

/// Sequential input. Used by one thread at a time. Throws Error (io).
class ByteSource {
 public:
  virtual ~ByteSource() = default;
  /// Reads at least one byte and at most out.size(); returns how many. 0 is the end (or an empty `out`).
  virtual size_t read(MutableBytes out) = 0;
};

}  // namespace varve

#endif
