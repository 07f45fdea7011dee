// Reading extents: verified first, then decoded, and kept for the next time.
#ifndef VARVE_FORMATS_NATIVE_EXTENTS_H
#define VARVE_FORMATS_NATIVE_EXTENTS_H

#include <array>
#include <atomic>
#include <cstdint>
#include <iterator>
#include <list>
#include <memory>
#include <mutex>
#include <optional>
#include <shared_mutex>
#include <unordered_map>
#include <vector>

#include "base/aligned_buffer.h"
#include "base/pool.h"
#include "native/cipher.h"
#include "native/cluster_codec.h"
#include "native/pointer.h"
#include "varve/storage.h"

namespace varve::native {

/// Of values that never change, by the pointer that leads to them: after a place was given to something else the old one is not found. Who
/// looks waits for nobody who looks. Of those in one shard the oldest go first, but not before all others once were found again.
/// Thread-safe.
template <typename Value>
class ExtentCache {
 public:
  using ValuePtr = std::shared_ptr<const Value>;

  /// `entries`: how many are kept at most; 0: none.
  explicit ExtentCache(size_t entries) : shards_(entries >= kWorthShards ? kShards : 1) {
    for (Shard& shard : shards_) shard.most = entries / shards_.size();
  }

  /// Calls `use` with the value, which stays in its place meanwhile. False: it is not here.
  template <typename Use>
  bool look(const Pointer& pointer, Use use) {
    Shard& shard = shard_of(pointer);
    const std::shared_lock lock(shard.mutex);
    const auto found = shard.places.find(pointer.offset);
    if (found == shard.places.end() || found->second->pointer != pointer) return false;
    Entry& entry = *found->second;
    if (!entry.found_again.load(std::memory_order_relaxed)) entry.found_again.store(true, std::memory_order_relaxed);
    use(entry.value);
    return true;
  }
  ValuePtr find(const Pointer& pointer) {
    ValuePtr value;
    look(pointer, [&](const ValuePtr& found) { value = found; });
    return value;
  }
  void insert(const Pointer& pointer, ValuePtr value) {
    Shard& shard = shard_of(pointer);
    if (shard.most == 0) return;
    const std::unique_lock lock(shard.mutex);
    if (const auto found = shard.places.find(pointer.offset); found != shard.places.end()) {
      shard.order.erase(found->second);
      shard.places.erase(found);
    }
    shard.order.emplace_front(pointer, std::move(value));
    shard.places.emplace(pointer.offset, shard.order.begin());
    if (shard.order.size() > shard.most) shard.drop_one();
  }

 private:
  struct Entry {
    Entry(const Pointer& its_pointer, ValuePtr its_value) : pointer(its_pointer), value(std::move(its_value)) {}
    const Pointer pointer;
    const ValuePtr value;
    std::atomic<bool> found_again{false};
  };
  /// What several processors use at once mostly lies in different ones, and these share no cache line.
  struct alignas(64) Shard {
    size_t most = 0;
    std::shared_mutex mutex;  // innermost; covers what follows
    std::list<Entry> order;
    std::unordered_map<uint64_t, typename std::list<Entry>::iterator> places;  // by offset

    void drop_one() {
      while (order.back().found_again.exchange(false)) order.splice(order.begin(), order, std::prev(order.end()));
      places.erase(order.back().pointer.offset);
      order.pop_back();
    }
  };
  static constexpr size_t kShards = 16;
  static constexpr size_t kWorthShards = 16 * kShards;

  /// Neighbours in the file lie in different shards, whatever their size.
  Shard& shard_of(const Pointer& pointer) {
    constexpr uint64_t kOdd = 0x9e3779b97f4a7c15;  // 2^64 divided by the golden ratio
    return shards_[(pointer.offset * kOdd >> 32) % shards_.size()];
  }

  std::vector<Shard> shards_;
};

using Node = std::array<Pointer, kFanout>;
using NodePtr = std::shared_ptr<const Node>;
using Bytes = std::vector<std::byte>;
/// A decoded cluster. Its memory is used again for others.
using ClusterBuffer = Pool<AlignedBuffer>::Lease;
using ClusterPtr = std::shared_ptr<const ClusterBuffer>;

/// The extents of one file. Thread-safe.
class Extents {
 public:
  /// What nodes and decoded clusters that are kept may take, bytes. `cipher`: of an encrypted image.
  Extents(std::shared_ptr<Storage> file, const Header& header, uint64_t node_bytes, uint64_t cluster_bytes,
          std::shared_ptr<Cipher> cipher = nullptr);

  const Header& header() const { return header_; }
  Storage& file() { return *file_; }
  const ClusterCodec& codec() const { return codec_; }
  Cipher* cipher() const { return cipher_.get(); }

  /// Throws corrupt, naming the place, if the bytes are not the ones that were written, or if an entry may not stand there.
  NodePtr node(const Pointer& pointer, uint64_t end);
  /// An entry of a node that is in memory.
  std::optional<Pointer> known_entry(const Pointer& node, size_t index) {
    std::optional<Pointer> entry;
    nodes_.look(node, [&](const NodePtr& found) { entry = (*found)[index]; });
    return entry;
  }
  ClusterPtr cluster(const Pointer& pointer);
  /// A part of a cluster, which is kept for the next one; or a whole one, which is not. Of a cluster that is stored as it is and was
  /// verified once, when it is no longer kept, only the blocks in question are read and held against their sums.
  void read(const Pointer& pointer, uint64_t within, MutableBytes out);
  /// The same of what is in memory. False: it is not.
  bool read_known(const Pointer& pointer, uint64_t within, MutableBytes out);
  /// Verifies the stored bytes of a cluster, whether they decode, and that there are zeros behind the first `used` bytes.
  void verify(const Pointer& pointer, uint64_t used);

  /// The stored bytes, verified and decrypted.
  void read_stored(const Pointer& pointer, MutableBytes out);
  /// Encrypts what `pointer` leads to, if the image is encrypted, and sets its tag then. Returns what goes into the file: `bytes`, or
  /// `out`, which may be the same place.
  ConstBytes seal(Pointer& pointer, ConstBytes bytes, MutableBytes out);
  /// Gives a node its tag and writes it to the pointer's place.
  void write_node(Pointer& pointer, NodePtr node);

 private:
  /// Of the blocks of kBlock bytes that a cluster is stored in; the last one may be shorter.
  using BlockSums = std::vector<uint64_t>;
  void keep_sums(const Pointer& pointer, ConstBytes cluster);
  bool read_blocks(const Pointer& pointer, uint64_t within, MutableBytes out);
  bool is_unstored(const Pointer& pointer, uint64_t within, uint64_t length) const;
  void decode(const Pointer& pointer, MutableBytes cluster);

  const std::shared_ptr<Storage> file_;
  const Header header_;
  const std::shared_ptr<Cipher> cipher_;
  const ClusterCodec codec_;
  Pool<AlignedBuffer> buffers_;  // outlives what it has lent
  ExtentCache<Node> nodes_;
  ExtentCache<ClusterBuffer> clusters_;
  ExtentCache<BlockSums> sums_;
};

}  // namespace varve::native

#endif
