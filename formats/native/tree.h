// The tree of an object that can change (docs/formats/varve.md, sections 5, 6 and 8).
//
// What has changed since the last commit lies in memory: nodes whose entries are pointers, or nodes in memory again. All else is read when
// it is needed. A change goes down from the root and brings the nodes on its way into memory; what it replaces is given back through the
// owner, who knows whether a snapshot still holds it. store() writes the nodes in memory from the bottom up and leaves none.
#ifndef VARVE_FORMATS_NATIVE_TREE_H
#define VARVE_FORMATS_NATIVE_TREE_H

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "native/extents.h"
#include "native/object.h"

namespace varve::native {

/// Clusters from `first` on that are alike: absent, zero, or one data cluster.
struct ClusterRun {
  Pointer pointer;  ///< of the first
  uint64_t clusters = 1;
};

/// For changes: not thread-safe. Looking is: many may look while none changes.
class Tree {
  struct MemoryNode;

 public:
  /// `end`: of used space, for what is read from now on.
  Tree(Extents& extents, const Object& object, std::function<uint64_t()> end);
  ~Tree();
  Tree(Tree&&) noexcept;
  Tree& operator=(Tree&&) noexcept;

  uint64_t size() const { return size_; }
  uint32_t parent() const { return parent_; }
  void set_parent(uint32_t parent) { parent_ = parent; }
  uint64_t clusters() const;
  uint64_t whole_clusters() const;  ///< without a last one that the size ends in
  bool changed() const { return root_.node != nullptr || changed_; }
  /// Each takes about 36 KiB.
  size_t nodes_in_memory() const { return nodes_in_memory_; }

  /// Looks at one node at most beside the way to it.
  ClusterRun run_at(uint64_t cluster, uint64_t most) const;
  /// The cluster's pointer if all nodes on the way to it are in memory.
  std::optional<Pointer> known(uint64_t cluster) const;

  /// What stands at one place of the tree, nodes in memory included. Valid until the tree changes.
  struct Place {
    Pointer pointer;
    const MemoryNode* node = nullptr;  ///< if set, `pointer` says nothing
    unsigned level = 0;                ///< that of the root, if a lower tree is looked at from higher up
    bool is_node() const { return node != nullptr || pointer.kind == Kind::node; }
  };
  Place root() const { return {root_.pointer, root_.node.get(), height_}; }
  /// The 512 places below one that stands at `level`, or into which one falls that is empty. Of a lower tree the root is the first.
  std::vector<Place> below(const Place& place, unsigned level) const;

  /// What a change gives up: called with each extent, nodes included, once nothing in the tree leads to it. A change that fails on the way
  /// has been made in part, and nothing that the tree still leads to was given up.
  using GiveUp = std::function<void(const Pointer&)>;

  void set(uint64_t cluster, const Pointer& pointer, const GiveUp& give_up);
  /// Zero, or absent if `birth` is 0.
  void clear(uint64_t first, uint64_t count, uint64_t birth, const GiveUp& give_up);
  /// What is added is absent. What is cut off is given up; entries behind the end are absent afterwards.
  void resize(uint64_t size, const GiveUp& give_up);

  /// Where store() puts a node.
  using Sink = std::function<uint64_t()>;
  /// Everything in memory becomes extents of this birth. Returns the object as it stands then; after an error some of it is still in
  /// memory, and nothing is lost.
  Object store(uint64_t birth, const Sink& sink);
  /// As it was at the last store().
  Object object() const;

 private:
  struct Slot {
    Pointer pointer;
    std::unique_ptr<MemoryNode> node;  ///< if set, `pointer` says nothing
  };

  /// Where the nodes in memory end on the way to a cluster.
  struct Descent {
    const Slot* slot;
    unsigned level;
    uint64_t covered;  ///< clusters from that one on
  };
  Descent descend(uint64_t cluster) const;
  MemoryNode& open(Slot& slot, unsigned level, uint64_t begin, const GiveUp& give_up);
  void clear_slot(Slot& slot, unsigned level, uint64_t begin, uint64_t first, uint64_t count, uint64_t birth, const GiveUp& give_up);
  void drop(Slot& slot, unsigned level, uint64_t birth, const GiveUp& give_up);
  std::unique_ptr<MemoryNode> make_node();
  void forget_node(Slot& slot);
  void lower(unsigned height, const GiveUp& give_up);
  Pointer store_slot(Slot& slot, unsigned level, uint64_t birth, const Sink& sink);

  Extents* extents_;
  std::function<uint64_t()> end_;
  uint64_t size_;
  uint32_t parent_;
  unsigned height_;
  Slot root_;
  size_t nodes_in_memory_ = 0;
  bool changed_ = false;  ///< the root itself, or the size
};

}  // namespace varve::native

#endif
