// Many together, or one alone.
#ifndef VARVE_QUEUE_GATE_H
#define VARVE_QUEUE_GATE_H

#include <atomic>
#include <condition_variable>
#include <mutex>
#include <optional>

#include "base/striped_count.h"

namespace varve {

/// As a shared mutex, but whoever wants to be alone keeps newcomers out: a steady stream of others never starves him. Thread-safe.
class Gate {
 public:
  /// Together with others. Not from inside another one of the same gate.
  class Pass {
   public:
    explicit Pass(Gate& gate) : gate_(gate), part_(gate_.enter()) {}
    ~Pass() { gate_.leave(part_); }
    Pass(const Pass&) = delete;
    Pass& operator=(const Pass&) = delete;

   private:
    Gate& gate_;
    const size_t part_;
  };

  /// The same without waiting.
  class TryPass {
   public:
    explicit TryPass(Gate& gate) : gate_(gate), part_(gate.try_enter()) {}
    ~TryPass() {
      if (part_) gate_.leave(*part_);
    }
    TryPass(const TryPass&) = delete;
    TryPass& operator=(const TryPass&) = delete;
    explicit operator bool() const { return part_.has_value(); }

   private:
    Gate& gate_;
    const std::optional<size_t> part_;
  };

  /// Alone.
  class Alone {
   public:
    explicit Alone(Gate& gate) : gate_(gate), turn_(gate.turns_) {
      gate_.shut_.store(true);
      std::unique_lock lock(gate_.mutex_);
      gate_.changed_.wait(lock, [this] { return gate_.inside_.is_zero(); });
    }
    ~Alone() {
      const std::lock_guard lock(gate_.mutex_);
      gate_.shut_.store(false);
      gate_.changed_.notify_all();
    }
    Alone(const Alone&) = delete;
    Alone& operator=(const Alone&) = delete;

   private:
    Gate& gate_;
    const std::lock_guard<std::mutex> turn_;
  };

 private:
  /// Counted first and then looked: between the two nobody can have found the gate empty and us outside.
  std::optional<size_t> try_enter() {
    const size_t part = inside_.add();
    if (!shut_.load()) return part;
    leave(part);
    return std::nullopt;
  }
  size_t enter() {
    while (true) {
      if (const auto part = try_enter()) return *part;
      std::unique_lock lock(mutex_);
      changed_.wait(lock, [this] { return !shut_.load(); });
    }
  }
  void leave(size_t part) {
    if (!inside_.remove(part) || !shut_.load()) return;
    const std::lock_guard lock(mutex_);
    changed_.notify_all();
  }

  StripedCount inside_;
  std::atomic<bool> shut_{false};
  std::mutex turns_;  // held by who is alone, or wants to be; outer
  std::mutex mutex_;  // only for waiting
  std::condition_variable changed_;
};

}  // namespace varve

#endif
