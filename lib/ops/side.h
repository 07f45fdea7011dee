// One of two disks that are looked at side by side.
#ifndef VARVE_OPS_SIDE_H
#define VARVE_OPS_SIDE_H

#include <cstdint>

#include "image/node.h"

namespace varve::ops {

/// Reads as zeros behind its end, and everywhere if there is no disk.
class Side {
 public:
  explicit Side(Node* node) : node_(node), size_(node == nullptr ? 0 : node->size()) {}

  uint64_t size() const { return size_; }
  /// Is the run at `offset` data, and where does it end? One thread at a time.
  bool data_at(uint64_t offset, uint64_t& end) {
    if (offset >= size_) {
      end = UINT64_MAX;
      return false;
    }
    if (offset < run_.offset || offset - run_.offset >= run_.length) run_ = node_->extent_at(offset);
    end = run_.offset + run_.length;
    return run_.kind == ExtentKind::data;
  }
  /// Of what is data.
  void read(uint64_t offset, MutableBytes out) { node_->read_at(offset, out); }

 private:
  Node* const node_;
  const uint64_t size_;
  Extent run_;
};

}  // namespace varve::ops

#endif
