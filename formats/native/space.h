// Where new extents go. Nothing on disk records it: what no tree refers to is free (docs/formats/varve.md, sections 8 and 10).
#ifndef VARVE_FORMATS_NATIVE_SPACE_H
#define VARVE_FORMATS_NATIVE_SPACE_H

#include <cstdint>
#include <mutex>
#include <vector>

#include "base/unit_set.h"
#include "native/structures.h"

namespace varve::native {

/// The space of an image that is being written. New extents go to the end until found() tells what is used; from then on whole blocks that
/// are free come first. What is freed while generation W is built is given out again when W + 1 is durable [R2]. What was also given out
/// for W, so that nothing durable refers to it, waits only for its readers [R3]. Thread-safe.
class Space {
 public:
  /// `end`: of used space, whole blocks. `unit`: in which the length of a cluster's extent counts, bytes.
  Space(uint64_t end, uint64_t unit)
      : end_(end),
        clusters_{end, 0},
        nodes_{end, 0},
        used_(unit),
        freed_now_(unit),
        freed_before_(unit),
        back_now_(unit),
        back_before_(unit) {}

  /// For a cluster of `length` bytes, whole units: right behind the one before where it fits.
  uint64_t take(uint64_t length);
  /// Whole blocks, for a node.
  uint64_t take_node(uint64_t length);
  /// Whole blocks, in one piece, at the end.
  uint64_t take_large(uint64_t length);
  /// What is being built no longer refers to it. False: some of it was free already, so two owners had it.
  bool free(uint64_t offset, uint64_t length);
  /// The same of an extent that was given out for what is being built.
  bool take_back(uint64_t offset, uint64_t length);
  /// What was taken back may be given out again. `unread`: as for advance().
  void recycle(bool unread);

  /// The generation that was being built is durable. The next one begins at a block [R3]. `unread`: of what was freed before the last time
  /// that this was true, nobody knows the place any more; else it all waits on.
  void advance(bool unread = true);

  /// What the trees of the state that was opened refer to, which has been superseded by a durable one of ours.
  void found(UnitSet used);
  bool knows_used() const;
  /// After found(): all that was given out and may still be referred to. For what watches the image.
  IntervalSet used() const;

  uint64_t end() const;
  /// At a close, when nothing is taken any more: all that waits is free, and the end goes as far down as what is used lets it. Returns it.
  /// Before found() it stays.
  uint64_t settle();

  /// Runs of free blocks of at least this length that have become free since the last call: what may be punched out of the file.
  std::vector<Interval> take_fresh(uint64_t at_least);

 private:
  bool take_hole(Interval& chunk, uint64_t length);
  void refill(Interval& chunk, uint64_t length, uint64_t chunk_length);
  uint64_t carve(Interval& chunk, uint64_t length);
  void give_back(Interval& chunk);
  void release(const Interval& extent);
  void release_blocks(const Interval& extent);
  void release_all(UnitSet& extents);
  template <typename Use>
  static void take_each(UnitSet& extents, Use use);

  mutable std::mutex mutex_;  // innermost; covers what follows
  uint64_t end_;
  Interval clusters_;  ///< taken for clusters, and not given out yet
  Interval nodes_;
  uint64_t cursor_ = 0;  ///< where the last hole was found
  bool knows_used_ = false;
  UnitSet used_;           ///< chunks included; before found() what was taken since
  UnitSet free_{kBlock};   ///< whole blocks below end_
  UnitSet fresh_{kBlock};  ///< of those
  UnitSet freed_now_;
  UnitSet freed_before_;
  UnitSet back_now_;
  UnitSet back_before_;
  std::vector<Interval> early_;  ///< what would be free before found() says what is used
};

}  // namespace varve::native

#endif
