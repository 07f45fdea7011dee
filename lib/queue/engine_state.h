// How workers find the next request: the inside of an Engine.
#ifndef VARVE_QUEUE_ENGINE_STATE_H
#define VARVE_QUEUE_ENGINE_STATE_H

#include <array>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <set>
#include <thread>
#include <vector>

#include "queue/gate.h"
#include "varve/queue.h"

namespace varve {

/// Requests of a queue wait in one of two lines: writers may all be busy, and a worker is still left to readers.
enum class Lane : uint8_t { reads, changes };

/// A request on its way. Owned by its queue, which has as many as it is deep.
struct QueuedRequest {
  RequestKind kind = RequestKind::read;
  uint64_t offset = 0;
  uint64_t length = 0;
  iovec single{};                 ///< of one segment, which is the rule
  std::vector<iovec> segments{};  ///< of several
  bool fua = false;
  uint64_t cookie = 0;
  uint64_t number = 0;            ///< in the order in which the queue was given them
  size_t changes_before = 0;      ///< of a flush: writes, zeros and discards before it that have not ended
  QueuedRequest* next = nullptr;  ///< in its line

  Lane lane() const { return kind == RequestKind::read ? Lane::reads : Lane::changes; }
  bool is_change() const { return kind != RequestKind::read && kind != RequestKind::flush; }
  std::span<const iovec> all_segments() const { return segments.empty() ? std::span<const iovec>(&single, 1) : segments; }
};

/// First in, first out. The links lie in the items (`next`), each of which is in one line at most: nothing is allocated. Not thread-safe.
template <typename Item>
class Line {
 public:
  bool empty() const { return first_ == nullptr; }
  void push(Item& item) {
    item.next = nullptr;
    (first_ == nullptr ? first_ : last_->next) = &item;
    last_ = &item;
  }
  Item* pop() {
    Item* const item = first_;
    if (item != nullptr) first_ = item->next;
    return item;
  }

 private:
  Item* first_ = nullptr;
  Item* last_ = nullptr;
};

using RequestLine = Line<QueuedRequest>;

/// Thread-safe.
class Queue::State : public std::enable_shared_from_this<Queue::State> {
 public:
  State(Engine::State& engine, unsigned depth);
  ~State();

  bool submit(const Request& request);
  /// Called once for each request that was submitted, by whoever carried it out or cancelled it.
  void complete(QueuedRequest& request, std::exception_ptr error);
  size_t take(std::span<Completion> out, size_t least, std::optional<std::chrono::milliseconds> timeout);
  int event_fd();
  size_t cancel();
  size_t in_flight();
  void wait_until_quiet();
  void leave();

 private:
  friend class Engine::State;

  /// What waits in one lane. In the line of those whose turn comes, while it is not empty.
  struct Waiting {
    State* queue = nullptr;
    RequestLine requests;
    Waiting* next = nullptr;
  };

  QueuedRequest* admit(const Request& request);
  size_t take_some(std::span<Completion> out);
  RequestLine let_flushes_go(const QueuedRequest& ended);

  Engine::State& engine_;
  std::array<Waiting, 2> waiting_;  ///< under the engine's mutex

  std::mutex mutex_;  // covers what follows
  std::condition_variable changed_;
  std::vector<QueuedRequest> requests_;
  std::vector<QueuedRequest*> free_;
  std::vector<QueuedRequest*> waiting_flushes_;
  std::vector<Completion> done_;  ///< a ring of as many as the queue is deep
  size_t first_done_ = 0;
  size_t done_count_ = 0;
  size_t unfinished_ = 0;
  size_t changes_ = 0;  ///< of the unfinished ones: writes, zeros, discards
  static constexpr size_t kNothing = SIZE_MAX;
  size_t waiters_ = 0;
  size_t wanted_ = kNothing;  ///< the fewest completions that one of them waits for
  uint64_t next_number_ = 0;
  int event_fd_ = -1;
};

/// Thread-safe. Lock order: a queue's mutex is never held with the engine's.
class Engine::State {
 public:
  State(Image& image, unsigned threads);
  ~State();

  Image& image() { return image_; }
  Gate& gate() { return gate_; }

  void attach(Queue::State& queue);
  void detach(Queue::State& queue);
  /// A worker carries it out and tells the queue.
  void enqueue(Queue::State& queue, QueuedRequest& request);
  /// What of the queue has not begun: it never will.
  RequestLine take_back(Queue::State& queue);
  std::vector<std::shared_ptr<Queue::State>> queues();

  /// Throws what the image throws. Not from inside the gate.
  void perform(const QueuedRequest& request);
  /// A read of what lies in memory. False: it would have to wait, or fails.
  bool perform_at_once(const QueuedRequest& request);

 private:
  struct Job {
    Queue::State* queue = nullptr;
    QueuedRequest* request = nullptr;
  };

  void start_worker();
  void work();
  std::optional<Job> next_job();
  Job take_from(Lane lane);
  void change(const QueuedRequest& request);

  Image& image_;
  Gate gate_;
  const unsigned most_threads_;
  std::mutex mutex_;  // innermost; covers what follows
  std::condition_variable work_there_;
  std::array<Line<Queue::State::Waiting>, 2> turns_;  ///< by lane
  std::set<Queue::State*> attached_;
  std::vector<std::thread> workers_;
  unsigned idle_ = 0;      ///< asleep, and not called
  unsigned called_ = 0;    ///< and did not wake up yet
  unsigned changing_ = 0;  ///< workers that carry out what is no read
  bool reads_first_ = true;
  bool ending_ = false;
};

}  // namespace varve

#endif
