// Reading extents: verified first, then decoded, and kept for the next time.
#ifndef VARVE_FORMATS_NATIVE_EXTENTS_H
#define VARVE_FORMATS_NATIVE_EXTENTS_H

#include <array>
#include <cstdint>
#include <list>
#include <memory>
#include <mutex>
#include <unordered_map>
#include <vector>

#include "base/aligned_buffer.h"
#include "base/pool.h"
#include "native/cipher.h"
#include "native/cluster_codec.h"
#include "native/pointer.h"
#include "varve/storage.h"

namespace varve::native {

/// Of values that never change, by the pointer that leads to them: after a place was given to something else the old one is not found. The
/// least recently used go first. Thread-safe.
template <typename Value>
class ExtentCache {
 public:
  using ValuePtr = std::shared_ptr<const Value>;

  /// `entries`: how many are kept at most; 0: none.
  explicit ExtentCache(size_t entries) : most_(entries) {}

  ValuePtr find(const Pointer& pointer) {
    const std::lock_guard lock(mutex_);
    const auto found = places_.find(pointer.offset);
    if (found == places_.end() || found->second->pointer != pointer) return nullptr;
    order_.splice(order_.begin(), order_, found->second);
    return found->second->value;
  }
  void insert(const Pointer& pointer, ValuePtr value) {
    if (most_ == 0) return;
    const std::lock_guard lock(mutex_);
    if (const auto found = places_.find(pointer.offset); found != places_.end()) {
      order_.erase(found->second);
      places_.erase(found);
    }
    order_.push_front({pointer, std::move(value)});
    places_.emplace(pointer.offset, order_.begin());
    if (order_.size() <= most_) return;
    places_.erase(order_.back().pointer.offset);
    order_.pop_back();
  }

 private:
  struct Entry {
    Pointer pointer;
    ValuePtr value;
  };
  const size_t most_;
  std::mutex mutex_;  // innermost; covers what follows
  std::list<Entry> order_;
  std::unordered_map<uint64_t, typename std::list<Entry>::iterator> places_;  // by offset
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
  /// nullptr if it is not in memory.
  NodePtr known_node(const Pointer& pointer) { return nodes_.find(pointer); }
  ClusterPtr cluster(const Pointer& pointer);
  /// A part of a cluster, which is kept for the next one; or a whole one, which is not.
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
  bool is_unstored(const Pointer& pointer, uint64_t within, uint64_t length) const;
  void decode(const Pointer& pointer, MutableBytes cluster);

  const std::shared_ptr<Storage> file_;
  const Header header_;
  const std::shared_ptr<Cipher> cipher_;
  const ClusterCodec codec_;
  Pool<AlignedBuffer> buffers_;  // outlives what it has lent
  ExtentCache<Node> nodes_;
  ExtentCache<ClusterBuffer> clusters_;
};

}  // namespace varve::native

#endif
