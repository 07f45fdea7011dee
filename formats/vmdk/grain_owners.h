// Which places of a file belong to a grain [MEM-19].
#ifndef VARVE_FORMATS_VMDK_GRAIN_OWNERS_H
#define VARVE_FORMATS_VMDK_GRAIN_OWNERS_H

#include <cstdint>

#include "base/bitmap.h"

namespace varve::vmdk {

/// A bit for each place of the window: as much of the file as the memory allows at once. Where that is not all of it, the grains are
/// claimed again and again:
///
///     do { claim every grain } while (owners.advance());
///
/// What a place is, the caller says: a grain's length where grains are aligned, else a sector. Not thread-safe.
class GrainOwners {
 public:
  /// `places`: of the whole file.
  GrainOwners(uint64_t places, uint64_t max_bytes);

  /// Takes [first, first + count). False if some of it that lies in the window belongs to a grain already.
  bool claim(uint64_t first, uint64_t count);
  /// Does something of [first, first + count) in the window belong to a grain?
  bool owned(uint64_t first, uint64_t count) const;
  /// The first place at or behind `place` that belongs to no grain as far as the window shows.
  uint64_t next_free(uint64_t place) const;

  bool in_window(uint64_t place) const { return place >= begin_ && place < end(); }
  bool in_first_window() const { return windows_ == 1; }
  uint64_t end() const { return begin_ + owned_.size(); }  ///< of the window

  /// Moves the window, empty, to the first place claimed behind it. False if there was none. Throws limit where grains are scattered over
  /// so much of the file that it would take too long.
  bool advance();

 private:
  Bitmap owned_;
  uint64_t begin_ = 0;
  uint64_t next_ = UINT64_MAX;  ///< lowest place claimed behind the window
  unsigned windows_ = 1;
};

}  // namespace varve::vmdk

#endif
