// One step of a copy: a stretch of the disk, cut by the source and carried through the pipeline into the target.
#ifndef VARVE_OPS_COPY_ITEM_H
#define VARVE_OPS_COPY_ITEM_H

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "base/aligned_buffer.h"
#include "image/driver.h"
#include "varve/storage.h"

namespace varve::ops {

/// A run of the disk, of one kind throughout.
struct Run {
  uint64_t offset = 0;  ///< in the disk, bytes
  uint64_t length = 0;  ///< bytes
  bool zero = false;    ///< reads as zeros
  size_t place = 0;     ///< of data: where its bytes begin in the item's buffer

  uint64_t end() const { return offset + length; }
};

/// Consecutive runs that cover [offset, end); each worker of the pipeline has one. Data runs begin and end at a multiple of the target's
/// unit, or at the end of the disk.
struct CopyItem {
  uint64_t offset = 0;
  uint64_t end = 0;
  size_t data_bytes = 0;  ///< of the data runs, which lie one behind the other in the buffer
  std::vector<Run> runs;
  std::vector<StreamReader::Piece> stored;  ///< of a stream: what the data runs are decoded from
  AlignedBuffer buffer;                     ///< used again from item to item

  std::vector<std::unique_ptr<BulkPiece>> pieces;  ///< the target's: what is to be placed and stored
  std::vector<Run> writes;                         ///< the target's: what is to be written in order
  uint64_t written = 0;                            ///< bytes of the disk that became data in the target

  void begin(uint64_t at);
  /// Extends the last run, or begins another one, up to `to`.
  void add(uint64_t to, bool zero);
  ConstBytes bytes_of(const Run& run) const;
};

}  // namespace varve::ops

#endif
