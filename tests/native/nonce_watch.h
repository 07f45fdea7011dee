// Every nonce that is used under every key while it lives.
#ifndef VARVE_TESTS_NATIVE_NONCE_WATCH_H
#define VARVE_TESTS_NATIVE_NONCE_WATCH_H

#include <algorithm>
#include <array>
#include <cstdint>
#include <map>
#include <mutex>
#include <set>

#include "crypto/gcm.h"

namespace varve::test {

/// One at a time. What it watches opens its images after it has been made.
class NonceWatch {
 public:
  NonceWatch() {
    current_ = this;
    watch_gcm([](const Key& key, const GcmNonce& nonce) { current_->saw(key, nonce); });
  }
  ~NonceWatch() { watch_gcm(nullptr); }
  NonceWatch(const NonceWatch&) = delete;
  NonceWatch& operator=(const NonceWatch&) = delete;

  uint64_t seals() const { return seals_; }
  uint64_t repeats() const { return repeats_; }
  uint64_t keys() const { return seen_.size(); }
  uint64_t most_of_a_key() const {
    uint64_t most = 0;
    for (const auto& one : seen_) most = std::max<uint64_t>(most, one.second.size());
    return most;
  }

 private:
  using Key = std::array<uint8_t, 32>;

  void saw(const Key& key, const GcmNonce& nonce) {
    const std::lock_guard lock(mutex_);
    ++seals_;
    if (key == Key{} || !seen_[key].insert(nonce).second) ++repeats_;
  }

  static inline NonceWatch* current_ = nullptr;
  std::mutex mutex_;
  std::map<Key, std::set<GcmNonce>> seen_;
  uint64_t seals_ = 0;
  uint64_t repeats_ = 0;  ///< a key that was made before counts as one
};

}  // namespace varve::test

#endif
