#include <algorithm>
#include <utility>

#include "exec/pipeline.h"
#include "exec/signals_blocked.h"
#include "image/node.h"
#include "queue/engine_state.h"

namespace varve {
namespace {

constexpr unsigned kMostThreads = 64;
/// Bytes that are copied while the submitter waits.
constexpr uint64_t kMostAtOnce = uint64_t{1} << 20;

unsigned threads_for(const EngineOptions& options) {
  return std::min(options.threads != 0 ? options.threads : std::max(2 * default_threads(), 4U), kMostThreads);
}

MutableBytes bytes_of(const iovec& segment) { return {static_cast<std::byte*>(segment.iov_base), segment.iov_len}; }

}  // namespace

Engine::State::State(Image& image, unsigned threads) : image_(image), most_threads_(threads) { workers_.reserve(threads); }

Engine::State::~State() {
  {
    const std::lock_guard lock(mutex_);
    ending_ = true;
    work_there_.notify_all();
  }
  for (std::thread& worker : workers_) worker.join();
}

void Engine::State::attach(Queue::State& queue) {
  const std::lock_guard lock(mutex_);
  attached_.insert(&queue);
}

void Engine::State::detach(Queue::State& queue) {
  const std::lock_guard lock(mutex_);
  attached_.erase(&queue);
}

std::vector<std::shared_ptr<Queue::State>> Engine::State::queues() {
  const std::lock_guard lock(mutex_);
  std::vector<std::shared_ptr<Queue::State>> all;
  for (Queue::State* queue : attached_)
    if (auto alive = queue->weak_from_this().lock()) all.push_back(std::move(alive));
  return all;
}

// ---- whose turn it is ------------------------------------------------------------------------------------------------------------------

void Engine::State::enqueue(Queue::State& queue, QueuedRequest& request) {
  std::unique_lock lock(mutex_);
  const auto which = static_cast<size_t>(request.lane());
  Queue::State::Waiting& lane = queue.waiting_[which];
  if (lane.requests.empty()) turns_[which].push(lane);
  lane.requests.push(request);
  if (idle_ != 0) {
    --idle_;
    ++called_;
    return work_there_.notify_one();
  }
  if (workers_.size() == most_threads_) return;
  start_worker();
  if (!workers_.empty()) return;
  // A host without room for a single thread: then whoever submits does it.
  lock.unlock();
  RequestLine all = take_back(queue);
  while (QueuedRequest* const one = all.pop()) {
    std::exception_ptr error;
    try {
      perform(*one);
    } catch (...) {
      error = std::current_exception();
    }
    queue.complete(*one, std::move(error));
  }
}

/// Holds the mutex. There need not be room for one.
void Engine::State::start_worker() {
  const SignalsBlocked blocked;
  try {
    workers_.emplace_back([this] { work(); });
  } catch (const std::exception&) {
    // Those that run do it, a little later.
  }
}

RequestLine Engine::State::take_back(Queue::State& queue) {
  const std::lock_guard lock(mutex_);
  RequestLine all;
  for (Line<Queue::State::Waiting>& turns : turns_) {
    Line<Queue::State::Waiting> others;
    while (Queue::State::Waiting* const lane = turns.pop()) {
      if (lane->queue != &queue) others.push(*lane);
      while (lane->queue == &queue && !lane->requests.empty()) all.push(*lane->requests.pop());
    }
    turns = others;
  }
  return all;
}

/// One request of the queue whose turn it is, which then goes to the end.
Engine::State::Job Engine::State::take_from(Lane lane) {
  Line<Queue::State::Waiting>& turns = turns_[static_cast<size_t>(lane)];
  Queue::State::Waiting& first = *turns.pop();
  QueuedRequest* const request = first.requests.pop();
  if (!first.requests.empty()) turns.push(first);
  return {first.queue, request};
}

/// Reads and changes by turns. Of several workers one is always left to reads.
std::optional<Engine::State::Job> Engine::State::next_job() {
  const bool reads = !turns_[static_cast<size_t>(Lane::reads)].empty();
  const bool may_change = changing_ < std::max(most_threads_, 2U) - 1;
  const bool changes = may_change && !turns_[static_cast<size_t>(Lane::changes)].empty();
  if (!reads && !changes) return std::nullopt;
  const bool read = reads && (reads_first_ || !changes);
  reads_first_ = !read;
  return take_from(read ? Lane::reads : Lane::changes);
}

void Engine::State::work() {
  std::unique_lock lock(mutex_);
  while (true) {
    const std::optional<Job> job = next_job();
    if (!job) {
      if (ending_) return;
      ++idle_;
      work_there_.wait(lock, [this] { return called_ != 0 || ending_; });
      if (called_ != 0) --called_;
      continue;
    }
    const bool changes = job->request->lane() == Lane::changes;
    if (changes) ++changing_;
    lock.unlock();
    std::exception_ptr error;
    try {
      perform(*job->request);
    } catch (...) {
      error = std::current_exception();
    }
    job->queue->complete(*job->request, std::move(error));
    lock.lock();
    if (changes) --changing_;
  }
}

// ---- carrying out ----------------------------------------------------------------------------------------------------------------------

void Engine::State::perform(const QueuedRequest& request) {
  const Gate::Pass pass(gate_);
  if (request.kind != RequestKind::read) return change(request);
  uint64_t at = request.offset;
  for (const iovec& segment : request.all_segments()) {
    image_.read_at(at, bytes_of(segment));
    at += segment.iov_len;
  }
}

void Engine::State::change(const QueuedRequest& request) {
  uint64_t at = request.offset;
  switch (request.kind) {
    case RequestKind::write:
      for (const iovec& segment : request.all_segments()) {
        image_.write_at(at, bytes_of(segment));
        at += segment.iov_len;
      }
      break;
    case RequestKind::zero: image_.zero(request.offset, request.length); break;
    case RequestKind::discard: image_.discard(request.offset, request.length); break;
    case RequestKind::flush:
    case RequestKind::read: break;
  }
  if (request.fua || request.kind == RequestKind::flush) image_.flush();
}

bool Engine::State::perform_at_once(const QueuedRequest& request) {
  if (request.kind != RequestKind::read) return false;
  uint64_t bytes = 0;
  for (const iovec& segment : request.all_segments()) bytes += segment.iov_len;
  if (bytes > kMostAtOnce) return false;
  const Gate::TryPass pass(gate_);
  if (!pass) return false;
  uint64_t at = request.offset;
  for (const iovec& segment : request.all_segments()) {
    if (!image_.node().read_at_once(at, bytes_of(segment))) return false;
    at += segment.iov_len;
  }
  return true;
}

// ---- Engine ----------------------------------------------------------------------------------------------------------------------------

Engine::Engine(Image& image, const EngineOptions& options) : state_(std::make_unique<State>(image, threads_for(options))) {}

Engine::~Engine() = default;

void Engine::read_at(uint64_t offset, MutableBytes out) {
  const Gate::Pass pass(state_->gate());
  state_->image().read_at(offset, out);
}

void Engine::write_at(uint64_t offset, ConstBytes data, bool fua) {
  const Gate::Pass pass(state_->gate());
  state_->image().write_at(offset, data);
  if (fua) state_->image().flush();
}

void Engine::zero(uint64_t offset, uint64_t length, bool fua) {
  const Gate::Pass pass(state_->gate());
  state_->image().zero(offset, length);
  if (fua) state_->image().flush();
}

void Engine::discard(uint64_t offset, uint64_t length, bool fua) {
  const Gate::Pass pass(state_->gate());
  state_->image().discard(offset, length);
  if (fua) state_->image().flush();
}

void Engine::flush() {
  const Gate::Pass pass(state_->gate());
  state_->image().flush();
}

Extent Engine::extent_at(uint64_t offset) {
  const Gate::Pass pass(state_->gate());
  return state_->image().extent_at(offset);
}

uint64_t Engine::size() const { return state_->image().size(); }

void Engine::exclusive(const std::function<void(Image&)>& work) {
  const Gate::Alone alone(state_->gate());
  work(state_->image());
}

void Engine::shared(const std::function<void(Image&)>& work) {
  const Gate::Pass pass(state_->gate());
  work(state_->image());
}

void Engine::close() {
  for (const auto& queue : state_->queues()) queue->cancel();
  exclusive([](Image& image) { image.close(); });
}

}  // namespace varve
