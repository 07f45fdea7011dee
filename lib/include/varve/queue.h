// An image in use by many threads and queues at once.
#ifndef VARVE_QUEUE_H
#define VARVE_QUEUE_H

#include <sys/uio.h>

#include <chrono>
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <span>

#include "varve/image.h"

#pragma GCC visibility push(default)
namespace varve {

struct EngineOptions {
  /// Workers that carry out the requests of queues, at most 64; 0: twice as many as this process may use processors, at least 4. They are
  /// started when they are needed. With more than one, one is always left to reads, so that a read never waits for others' writes.
  unsigned threads = 0;
};

enum class RequestKind : uint8_t { read, write, zero, discard, flush };

struct Request {
  static constexpr size_t kMostSegments = 1024;

  RequestKind kind = RequestKind::read;
  uint64_t offset = 0;                   ///< bytes; nothing of a flush
  uint64_t length = 0;                   ///< bytes, of zero and discard
  std::span<const iovec> segments = {};  ///< of read and write; copied, but not what they point to
  bool fua = false;                      ///< of what changes the disk: when it ends its bytes survive a power cut
  uint64_t cookie = 0;                   ///< the caller's; comes back with the completion
};

struct Completion {
  uint64_t cookie = 0;
  std::exception_ptr error;  ///< nullptr: it was done
};

/// Carries out what queues are given, and keeps apart what must not overlap. All members are thread-safe but construction and destruction.
/// They throw what the image's throw.
class Engine {
 public:
  /// `image` is used by nobody else from now on, and outlives the engine.
  explicit Engine(Image& image, const EngineOptions& options = {});
  ~Engine();  ///< all queues are gone by then; does not close the image
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;

  // In the caller's thread.
  void read_at(uint64_t offset, MutableBytes out);
  void write_at(uint64_t offset, ConstBytes data, bool fua = false);
  void zero(uint64_t offset, uint64_t length, bool fua = false);
  void discard(uint64_t offset, uint64_t length, bool fua = false);
  void flush();
  Extent extent_at(uint64_t offset);
  uint64_t size() const;

  /// Waits until no request is being carried out, and lets none begin before `work` has returned or thrown: for snapshots, resizing,
  /// checks. `work` must use the image it is given and nothing of the engine.
  void exclusive(const std::function<void(Image&)>& work);
  /// Beside requests, for what the image allows from any thread.
  void shared(const std::function<void(Image&)>& work);

  /// Cancels what has not begun in any queue, waits for the rest, and closes the image.
  void close();

 private:
  friend class Queue;
  class State;
  const std::unique_ptr<State> state_;
};

/// Requests under way beside each other, which may overtake each other; a flush alone waits: for the writes, zeros and discards that were
/// submitted to its queue before it. Queues of one engine get their turns evenly. All members are thread-safe but construction and
/// destruction.
class Queue {
 public:
  static constexpr unsigned kMostDepth = 4096;

  /// `depth`: how many requests it holds that were submitted and not yet taken as completions, 1 to kMostDepth; else invalid_argument. All
  /// memory for them is taken now. The engine outlives the queue.
  Queue(Engine& engine, unsigned depth);
  /// Cancels what has not begun and waits for the rest: afterwards no buffer is touched. Completions that were not taken are gone.
  ~Queue();
  Queue(const Queue&) = delete;
  Queue& operator=(const Queue&) = delete;

  /// False: the queue is full. Throws invalid_argument for too many segments; what else is wrong the completion tells. A read of what lies
  /// in memory is done at once.
  bool submit(const Request& request);
  /// Takes as many completions as are there and fit; returns how many.
  size_t poll(std::span<Completion> out);
  /// The same, when at least `least` (counted down to what fits and what can come) are there or `timeout` is over. nullopt: any time.
  size_t wait(std::span<Completion> out, size_t least, std::optional<std::chrono::milliseconds> timeout = std::nullopt);
  /// An eventfd that becomes readable when there are completions and were none. The queue's, for its life. Throws io.
  int event_fd();
  /// What has not begun ends with Errc::cancelled. Returns how many requests that are.
  size_t cancel();
  /// How many were submitted whose completions were not taken.
  size_t in_flight() const;

 private:
  class State;
  friend class Engine;
  const std::shared_ptr<State> state_;
};

}  // namespace varve
#pragma GCC visibility pop

#endif
