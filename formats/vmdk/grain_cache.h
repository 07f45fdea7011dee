// Decoded grains that were used last, for reads smaller than a grain.
#ifndef VARVE_FORMATS_VMDK_GRAIN_CACHE_H
#define VARVE_FORMATS_VMDK_GRAIN_CACHE_H

#include <cstddef>
#include <cstdint>
#include <list>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

namespace varve::vmdk {

/// Thread-safe. Few enough to be searched in order.
class GrainCache {
 public:
  using Grain = std::shared_ptr<const std::vector<std::byte>>;

  explicit GrainCache(size_t grains) : max_(grains) {}

  /// nullptr if it is not here.
  Grain find(uint64_t number) {
    const std::lock_guard lock(mutex_);
    for (auto it = recent_.begin(); it != recent_.end(); ++it) {
      if (it->first != number) continue;
      recent_.splice(recent_.begin(), recent_, it);
      return it->second;
    }
    return nullptr;
  }

  void add(uint64_t number, Grain grain) {
    const std::lock_guard lock(mutex_);
    recent_.emplace_front(number, std::move(grain));
    if (recent_.size() > max_) recent_.pop_back();
  }

 private:
  const size_t max_;
  std::mutex mutex_;                              // covers recent_
  std::list<std::pair<uint64_t, Grain>> recent_;  // the latest used first
};

}  // namespace varve::vmdk

#endif
