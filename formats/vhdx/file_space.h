// Where in the file new blocks go.
#ifndef VARVE_FORMATS_VHDX_FILE_SPACE_H
#define VARVE_FORMATS_VHDX_FILE_SPACE_H

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <new>
#include <vector>

namespace varve::vhdx {

/// Payload blocks go where others were given up, or at the end; all else at the end. Not thread-safe.
class FileSpace {
 public:
  /// `end`: behind everything that is used, a whole number of MiB.
  FileSpace(uint64_t block_size, uint64_t end) : block_size_(block_size), end_(end) {}

  uint64_t end() const { return end_; }
  uint64_t take_end(uint64_t length) {
    const uint64_t offset = end_;
    end_ += length;
    return offset;
  }

  bool has_free_block() const { return !free_.empty(); }
  uint64_t take_free_block() {
    Run& run = free_.back();
    const uint64_t offset = run.offset + --run.blocks * block_size_;
    if (run.blocks == 0) free_.pop_back();
    return offset;
  }
  /// Nothing refers to the blocks any more, on the medium neither. More runs than are worth remembering, or than there is memory for, are
  /// left to the next session: this is called where a write has failed, and must not fail as well.
  void give_blocks(uint64_t offset, uint64_t blocks) noexcept {
    if (blocks == 0 || free_.size() >= kMaxRuns) return;
    try {
      free_.push_back({offset, blocks});
    } catch (const std::bad_alloc&) {
      return;
    }
  }

  /// Gives up free blocks at the end. Returns the new end.
  uint64_t trim() {
    std::sort(free_.begin(), free_.end(), [](const Run& a, const Run& b) { return a.offset < b.offset; });
    while (!free_.empty() && free_.back().offset + free_.back().blocks * block_size_ == end_) {
      end_ = free_.back().offset;
      free_.pop_back();
    }
    return end_;
  }

 private:
  struct Run {
    uint64_t offset;
    uint64_t blocks;
  };
  static constexpr size_t kMaxRuns = size_t{1} << 20;

  uint64_t block_size_;
  uint64_t end_;
  std::vector<Run> free_;
};

}  // namespace varve::vhdx

#endif
