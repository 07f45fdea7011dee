// A disk whose storage a test holds up, to see what goes on meanwhile.
#ifndef VARVE_TESTS_QUEUE_HELD_DISK_H
#define VARVE_TESTS_QUEUE_HELD_DISK_H

#include <condition_variable>
#include <mutex>
#include <set>
#include <vector>

#include "io/memory_storage.h"
#include "support/pattern.h"
#include "support/storages.h"
#include "varve/queue.h"

namespace varve::test {

/// Calls that reach a held place wait until it is let go; what began is written down. Thread-safe.
class HeldStorage final : public PassingStorage {
 public:
  static constexpr uint64_t kFlush = UINT64_MAX;  ///< as a place

  using PassingStorage::PassingStorage;

  void read_at(uint64_t offset, MutableBytes out) override {
    pass(offset);
    below_->read_at(offset, out);
  }
  void write_at(uint64_t offset, ConstBytes data) override {
    pass(offset);
    below_->write_at(offset, data);
  }
  void flush() override {
    pass(kFlush);
    below_->flush();
  }

  void hold(uint64_t place) {
    const std::lock_guard lock(mutex_);
    held_.insert(place);
  }
  void let_go(uint64_t place) {
    const std::lock_guard lock(mutex_);
    held_.erase(place);
    changed_.notify_all();
  }
  void let_all_go() {
    const std::lock_guard lock(mutex_);
    held_.clear();
    changed_.notify_all();
  }
  /// Waits until somebody is held up there.
  void wait_for(uint64_t place) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return waiting_.contains(place); });
  }
  /// Places in the order in which calls came.
  std::vector<uint64_t> begun() const {
    const std::lock_guard lock(mutex_);
    return begun_;
  }

 private:
  void pass(uint64_t place) {
    std::unique_lock lock(mutex_);
    begun_.push_back(place);
    if (!held_.contains(place)) return;
    waiting_.insert(place);
    changed_.notify_all();
    changed_.wait(lock, [&] { return !held_.contains(place); });
    waiting_.erase(place);
  }

  mutable std::mutex mutex_;  // covers what follows
  std::condition_variable changed_;
  std::set<uint64_t> held_;
  std::multiset<uint64_t> waiting_;
  std::vector<uint64_t> begun_;
};

/// A raw disk of 1 MiB, filled with generation 0 of the pattern.
struct HeldDisk {
  static constexpr uint64_t kSize = 1 << 20;
  static constexpr uint64_t kBlock = 4096;

  explicit HeldDisk(unsigned threads, Access access = Access::read_write) : image(open(access)), engine(image, {threads}) {}
  ~HeldDisk() { storage->let_all_go(); }

  std::shared_ptr<MemoryStorage> memory = std::make_shared<MemoryStorage>("disk.raw", pattern(0, 0, kSize));
  std::shared_ptr<HeldStorage> storage = std::make_shared<HeldStorage>(memory);
  Image image;
  Engine engine;

 private:
  Image open(Access access) {
    OpenOptions how;
    how.format = "raw";
    how.access = access;
    return Image::open(storage, how);
  }
};

/// A request of one block, with memory of its own. Number `n` is block n of the disk and has n as its cookie.
class BlockRequest {
 public:
  BlockRequest(RequestKind kind, uint64_t n, uint64_t generation = 1)
      : bytes_(kind == RequestKind::write ? pattern(n * HeldDisk::kBlock, generation, HeldDisk::kBlock)
                                          : std::vector<std::byte>(HeldDisk::kBlock)),
        segment_{bytes_.data(), bytes_.size()} {
    request_.kind = kind;
    request_.offset = n * HeldDisk::kBlock;
    request_.length = kind == RequestKind::zero || kind == RequestKind::discard ? HeldDisk::kBlock : 0;
    request_.cookie = n;
  }
  Request request() const {
    Request with = request_;
    if (with.kind == RequestKind::read || with.kind == RequestKind::write) with.segments = {&segment_, 1};
    return with;
  }
  const std::vector<std::byte>& bytes() const { return bytes_; }

 private:
  std::vector<std::byte> bytes_;
  iovec segment_;
  Request request_;
};

/// The cookies of `count` completions, in their order, none of which may be an error.
inline std::vector<uint64_t> take_cookies(Queue& queue, size_t count) {
  std::vector<Completion> done(count);
  const size_t got = queue.wait(done, count);
  std::vector<uint64_t> cookies;
  for (size_t i = 0; i < got; ++i) {
    if (done[i].error) std::rethrow_exception(done[i].error);
    cookies.push_back(done[i].cookie);
  }
  return cookies;
}

}  // namespace varve::test

#endif
