// What was written and is not in the tree yet: 4 KiB blocks by cluster.
#ifndef VARVE_FORMATS_NATIVE_DIRTY_BLOCKS_H
#define VARVE_FORMATS_NATIVE_DIRTY_BLOCKS_H

#include <array>
#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "native/journal.h"
#include "native/structures.h"
#include "varve/storage.h"

namespace varve::native {

/// Thread-safe. Readers look here first and take the rest from the tree: what goes into the tree leaves this only afterwards.
class DirtyBlocks {
 public:
  explicit DirtyBlocks(uint64_t cluster_size) : cluster_size_(cluster_size) {}

  /// Within one cluster. Of blocks that are written in part and are not here the rest comes from `base` (offset in the disk, bytes of a
  /// block); it is called without a lock, so two writers into one block must not come at once. `journaled`: the journal holds it already.
  using Base = std::function<void(uint64_t offset, MutableBytes out)>;
  void write(uint64_t offset, ConstBytes data, const Base& base, bool journaled = false);

  /// Fills in what is here of a range within one cluster. Returns what is not, in ascending order, as ranges of the disk.
  struct Gap {
    uint64_t offset;
    uint64_t length;
  };
  std::vector<Gap> read(uint64_t offset, MutableBytes out) const;

  bool has(uint64_t cluster) const;
  /// The first cluster at or behind this one that has something here.
  std::optional<uint64_t> next(uint64_t cluster) const;
  // Without waiting. None: whatever was here before is in the tree.
  uint64_t bytes() const noexcept;
  bool empty() const noexcept { return bytes() == 0; }

  /// What was written to a cluster up to now.
  struct Ticket {
    uint64_t cluster = 0;
    uint64_t version = 0;
    bool journaled = true;  ///< all of it is in the journal
  };
  /// The clusters that were written to least recently, `most` of them.
  std::vector<Ticket> oldest(size_t most) const;
  std::vector<Ticket> all() const;
  /// The tree holds what the ticket's cluster held when it was taken; what was written since stays.
  void written_back(const Ticket& ticket);
  void drop(uint64_t first_cluster, uint64_t count);

  /// Bytes that neither the tree nor the journal holds.
  uint64_t unjournaled() const;
  /// They as changes of a disk of `size` bytes, the bytes copied into `storage`; then journaled() for what they were.
  std::vector<JournalChange> changes(uint64_t size, std::vector<std::byte>& storage, std::vector<Ticket>& tickets) const;
  void journaled(const std::vector<Ticket>& tickets);

 private:
  using Page = std::array<std::byte, kBlock>;
  struct Block {
    std::unique_ptr<Page> page;
    bool journaled = false;
  };
  struct Cluster {
    std::map<uint32_t, Block> blocks;
    uint64_t version = 0;
  };

  Block& block_of(Cluster& cluster, uint32_t index, const Page* base);
  void put(uint64_t offset, ConstBytes data, const Page* base, bool journaled);
  void forget_page(const Block& block);

  const uint64_t cluster_size_;
  mutable std::mutex mutex_;  // covers what follows
  std::map<uint64_t, Cluster> clusters_;
  std::map<uint64_t, uint64_t> order_;  ///< version -> cluster
  uint64_t version_ = 0;
  std::atomic<uint64_t> pages_{0};
  uint64_t unjournaled_ = 0;  ///< pages
};

}  // namespace varve::native

#endif
