// Which requests may still know a place that the tables no longer name.
#ifndef VARVE_BASE_IN_FLIGHT_H
#define VARVE_BASE_IN_FLIGHT_H

#include <array>
#include <atomic>
#include <cstddef>

#include "base/striped_count.h"

namespace varve {

/// Counts the requests under way in two generations. advance() begins a new one once the older has ended, so a request that began before
/// one successful advance() has ended when the next one succeeds: nobody ever waits. Thread-safe; advance() by one thread at a time.
class InFlight {
  struct Place {
    size_t generation;
    size_t part;
  };

 public:
  class Request {
   public:
    explicit Request(InFlight& all) : all_(all), place_(all.enter()) {}
    ~Request() { all_.counts_[place_.generation].remove(place_.part); }
    Request(const Request&) = delete;
    Request& operator=(const Request&) = delete;

   private:
    InFlight& all_;
    const Place place_;
  };

  bool advance() {
    const size_t now = current_.load();
    if (!counts_[1 - now].is_zero()) return false;
    current_.store(1 - now);
    return true;
  }

 private:
  Place enter() {
    while (true) {
      const size_t generation = current_.load();
      const size_t part = counts_[generation].add();
      if (current_.load() == generation) return {generation, part};
      counts_[generation].remove(part);
    }
  }

  std::atomic<size_t> current_{0};
  std::array<StripedCount, 2> counts_;
};

}  // namespace varve

#endif
