// What a disk may hold after a power cut: per sector the content at the last flush that had returned, or any written since.
#ifndef VARVE_TESTS_CRASH_HISTORY_H
#define VARVE_TESTS_CRASH_HISTORY_H

#include <cstdint>
#include <string>
#include <vector>

#include "support/shadow_disk.h"

namespace varve::test {

class History {
 public:
  static constexpr uint64_t kSector = 512;

  /// `start` is what is on the medium before the first operation: the disk, or of one of `size` bytes as much as is looked at.
  explicit History(const ShadowDisk& start) : History(start, start.size()) {}
  History(const ShadowDisk& start, uint64_t size);

  /// An operation that had been asked for when the log was `log_begin` long and had returned when it was `log_end`; `now` is the
  /// disk after it, changed at [offset, offset + length) at most.
  void wrote(size_t log_begin, size_t log_end, const ShadowDisk& now, uint64_t offset, uint64_t length);
  /// An operation that may have failed: what it was to write may be there, in part or not at all.
  void maybe(size_t log_begin, size_t log_end, const ShadowDisk& wanted, uint64_t offset, uint64_t length);
  /// A discard may show either; `now` holds what it showed at the time.
  void discarded(size_t log_begin, size_t log_end, const ShadowDisk& now, uint64_t offset, uint64_t length);
  void flushed(size_t log_begin, size_t log_end);
  /// What a smaller disk no longer has is zeros once it grows again. `seen`: as much of the new one as is looked at.
  void resized(size_t log_begin, size_t log_end, uint64_t size, uint64_t seen);
  void resized(size_t log_begin, size_t log_end, uint64_t size) { resized(log_begin, log_end, size, size); }

  /// Grows with what must have survived a cut at `position` of the log.
  uint64_t promised(size_t position) const;
  /// Empty if a disk of `size` bytes that begins with `content` may be there after a cut at `position`; else what may not.
  std::string verdict(size_t position, ConstBytes content, uint64_t size) const;
  std::string verdict(size_t position, ConstBytes content) const { return verdict(position, content, content.size()); }

 private:
  struct Version {
    size_t operation;
    uint64_t hash;
    bool observed;       ///< what was read afterwards; false: only possible
    bool grown = false;  ///< the zeros of a growth: what was there before a disk shrank can't show under that size
  };
  struct Operation {
    size_t log_begin;
    size_t log_end;
    bool flush;
    uint64_t size;  ///< of the disk afterwards
    uint64_t seen;  ///< of it
  };

  static uint64_t hash_sector(ConstBytes sector);
  void add(size_t log_begin, size_t log_end, bool flush);
  void record(const ShadowDisk& now, uint64_t offset, uint64_t length, bool observed = true);
  size_t last_begun(size_t position) const;
  bool admissible(const std::vector<Version>& versions, size_t durable, size_t resized, size_t last, uint64_t hash) const;

  std::vector<Operation> operations_;
  std::vector<std::vector<Version>> sectors_;
  uint64_t zeros_;
};

}  // namespace varve::test

#endif
