// Which requests may still know a place that the tables no longer name.
#ifndef VARVE_BASE_IN_FLIGHT_H
#define VARVE_BASE_IN_FLIGHT_H

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

namespace varve {

/// Counts the requests under way in two generations. advance() begins a new one once the older has ended, so a request that began before
/// one successful advance() has ended when the next one succeeds: nobody ever waits. Thread-safe; advance() by one thread at a time.
class InFlight {
 public:
  class Request {
   public:
    explicit Request(InFlight& all) : all_(all), generation_(all.enter()) {}
    ~Request() { all_.counts_[generation_].fetch_sub(1); }
    Request(const Request&) = delete;
    Request& operator=(const Request&) = delete;

   private:
    InFlight& all_;
    const size_t generation_;
  };

  bool advance() {
    const size_t now = current_.load();
    if (counts_[1 - now].load() != 0) return false;
    current_.store(1 - now);
    return true;
  }

 private:
  size_t enter() {
    while (true) {
      const size_t generation = current_.load();
      counts_[generation].fetch_add(1);
      if (current_.load() == generation) return generation;
      counts_[generation].fetch_sub(1);
    }
  }

  std::atomic<size_t> current_{0};
  std::array<std::atomic<uint64_t>, 2> counts_{};
};

}  // namespace varve

#endif
