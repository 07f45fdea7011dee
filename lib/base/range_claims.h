// Who is about to allocate which blocks.
//
// Two writers to the same absent block (grain, cluster) must not allocate it twice: each claims the blocks that its write will allocate,
// looks at the tables again, and lets go when its entries are stored. Writers to blocks that exist claim nothing.
#ifndef VARVE_BASE_RANGE_CLAIMS_H
#define VARVE_BASE_RANGE_CLAIMS_H

#include <algorithm>
#include <condition_variable>
#include <cstdint>
#include <list>
#include <mutex>

namespace varve {

/// Thread-safe. A thread holds one claim at a time, so claims cannot deadlock.
class RangeClaims {
 private:
  struct Range {
    uint64_t first;
    uint64_t end;
  };

 public:
  /// Held as long as it lives.
  class Claim {
   public:
    Claim(RangeClaims& claims, uint64_t first, uint64_t count) : claims_(claims) {
      std::unique_lock lock(claims_.mutex_);
      claims_.released_.wait(lock, [&] {
        return std::none_of(claims_.held_.begin(), claims_.held_.end(),
                            [&](const Range& held) { return held.first < first + count && first < held.end; });
      });
      claims_.held_.push_front({first, first + count});
      place_ = claims_.held_.begin();
    }
    ~Claim() {
      {
        const std::lock_guard lock(claims_.mutex_);
        claims_.held_.erase(place_);
      }
      claims_.released_.notify_all();
    }
    Claim(const Claim&) = delete;
    Claim& operator=(const Claim&) = delete;

   private:
    RangeClaims& claims_;
    std::list<Range>::iterator place_;
  };

 private:
  std::mutex mutex_;
  std::condition_variable released_;
  std::list<Range> held_;  ///< one a thread at most
};

}  // namespace varve

#endif
