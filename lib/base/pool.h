// Reuse of objects that are expensive to make.
#ifndef VARVE_BASE_POOL_H
#define VARVE_BASE_POOL_H

#include <functional>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

namespace varve {

/// Lends objects, each to one borrower at a time. Thread-safe. At most `max_idle` unused objects are kept; how many are lent is
/// for the caller to bound. Must outlive what it lends.
template <typename T>
class Pool {
 public:
  using Make = std::function<std::unique_ptr<T>()>;

  explicit Pool(Make make, size_t max_idle = 64) : make_(std::move(make)), max_idle_(max_idle) { idle_.reserve(max_idle_); }
  Pool(const Pool&) = delete;
  Pool& operator=(const Pool&) = delete;

  /// A borrowed object; goes back when this is destroyed. Its state is what the last borrower left.
  class Lease {
   public:
    Lease(Lease&&) noexcept = default;
    Lease& operator=(Lease&& other) noexcept {
      std::swap(pool_, other.pool_);
      std::swap(object_, other.object_);
      return *this;
    }
    ~Lease() {
      if (object_) pool_->give_back(std::move(object_));
    }
    T& operator*() const { return *object_; }
    T* operator->() const { return object_.get(); }

   private:
    friend class Pool;
    Lease(Pool* pool, std::unique_ptr<T> object) : pool_(pool), object_(std::move(object)) {}
    Pool* pool_;
    std::unique_ptr<T> object_;
  };

  Lease borrow() {
    {
      const std::lock_guard lock(mutex_);
      if (!idle_.empty()) {
        std::unique_ptr<T> object = std::move(idle_.back());
        idle_.pop_back();
        return Lease(this, std::move(object));
      }
    }
    return Lease(this, make_());
  }

  size_t idle() const {
    const std::lock_guard lock(mutex_);
    return idle_.size();
  }

 private:
  void give_back(std::unique_ptr<T> object) noexcept {
    const std::lock_guard lock(mutex_);
    if (idle_.size() < max_idle_) idle_.push_back(std::move(object));  // reserved: cannot throw
  }

  const Make make_;
  const size_t max_idle_;
  mutable std::mutex mutex_;  // innermost; covers:
  std::vector<std::unique_ptr<T>> idle_;
};

}  // namespace varve

#endif
