// The metadata that changes while an image is in use: 4 KiB pages of the block allocation table, of sector bitmaps and of the metadata
// region. They change here first and reach the file through the log (log_writer.h), so a page is what the log holds: one sector.
#ifndef VARVE_FORMATS_VHDX_PAGE_CACHE_H
#define VARVE_FORMATS_VHDX_PAGE_CACHE_H

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <vector>

#include "varve/storage.h"

namespace varve::vhdx {

inline constexpr uint64_t kPageSize = 4096;
using Page = std::array<std::byte, kPageSize>;
using PagePtr = std::shared_ptr<const Page>;

/// Pages that have changed, in ascending order of their place, as they were when taken.
struct PageBatch {
  struct Item {
    uint64_t offset;  ///< in the file
    PagePtr page;
  };
  std::vector<Item> pages;
};

/// Thread-safe. Pages never change once handed out: a change makes a new one.
class PageCache {
 public:
  /// Unchanged pages are kept as long as all take at most `max_bytes`.
  PageCache(std::shared_ptr<Storage> file, uint64_t max_bytes);

  /// The page at `offset`, a multiple of kPageSize. Throws corrupt if the file ends before it.
  PagePtr page(uint64_t offset);
  /// Any range, also over several pages, each of which changes in one step.
  void write(uint64_t offset, ConstBytes data);
  /// Changes one page in one step. `change` runs under the lock: it is short and calls nothing of this class. It returns whether it changed
  /// anything.
  void update(uint64_t offset, const std::function<bool(Page&)>& change);

  uint64_t changed_bytes() const { return changed_.load(std::memory_order_relaxed) * kPageSize; }
  /// All that changed since the last call. Until finish() these pages stay in memory: the file does not hold them yet.
  PageBatch take();
  /// The pages of the batch are in their places.
  void finish(const PageBatch& batch);

 private:
  struct Slot {
    PagePtr page;
    bool changed = false;
    unsigned pending = 0;  ///< batches that hold it
  };

  PagePtr load(uint64_t offset);
  void make_room();

  const std::shared_ptr<Storage> file_;
  const uint64_t max_pages_;
  std::atomic<uint64_t> changed_{0};  ///< pages

  mutable std::mutex mutex_;        // innermost; covers what follows; not held while pages are read
  std::map<uint64_t, Slot> slots_;  // by offset
  uint64_t evictions_ = 0;          ///< a page that was read before one of these may be out of date
};

}  // namespace varve::vhdx

#endif
