// Many small extents into a file with few writes.
#ifndef VARVE_FORMATS_NATIVE_RUN_WRITER_H
#define VARVE_FORMATS_NATIVE_RUN_WRITER_H

#include "base/aligned_buffer.h"
#include "varve/storage.h"

namespace varve::native {

/// Writes what lies behind each other in the file at once. Not thread-safe.
class RunWriter {
 public:
  explicit RunWriter(Storage& file) : file_(file) {}

  /// `bytes` stay valid until finish().
  void add(uint64_t offset, ConstBytes bytes);
  void finish();

 private:
  void gather(ConstBytes bytes);

  Storage& file_;
  uint64_t offset_ = 0;
  ConstBytes run_;        ///< in the caller's memory, or in buffer_
  AlignedBuffer buffer_;  ///< used when the caller's pieces do not lie behind each other
};

}  // namespace varve::native

#endif
