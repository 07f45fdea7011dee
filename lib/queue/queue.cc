#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "io/host_error.h"
#include "queue/engine_state.h"

namespace varve {

Queue::State::State(Engine::State& engine, unsigned depth) : engine_(engine), requests_(depth), done_(depth) {
  free_.reserve(depth);
  waiting_flushes_.reserve(depth);
  for (QueuedRequest& request : requests_) free_.push_back(&request);
  for (Waiting& lane : waiting_) lane.queue = this;
}

Queue::State::~State() {
  if (event_fd_ >= 0) ::close(event_fd_);
}

/// Holds the mutex. Takes a place for it; nullptr: the queue is full.
QueuedRequest* Queue::State::admit(const Request& request) {
  if (unfinished_ + done_count_ == requests_.size()) return nullptr;
  QueuedRequest& queued = *free_.back();
  queued.kind = request.kind;
  queued.offset = request.offset;
  queued.length = request.length;
  queued.segments.clear();
  queued.single = {};
  if (request.segments.size() == 1) queued.single = request.segments.front();
  if (request.segments.size() > 1) queued.segments.assign(request.segments.begin(), request.segments.end());
  queued.fua = request.fua;
  queued.cookie = request.cookie;
  queued.number = next_number_++;
  queued.changes_before = request.kind == RequestKind::flush ? changes_ : 0;
  free_.pop_back();
  ++unfinished_;
  if (queued.is_change()) ++changes_;
  return &queued;
}

bool Queue::State::submit(const Request& request) {
  if (request.segments.size() > Request::kMostSegments)
    throw Error(Errc::invalid_argument, "a request of " + std::to_string(request.segments.size()) + " segments is too much")
        .hint("use at most " + std::to_string(Request::kMostSegments));
  QueuedRequest* queued = nullptr;
  {
    const std::lock_guard lock(mutex_);
    queued = admit(request);
    if (queued == nullptr) return false;
    if (queued->changes_before != 0) {
      waiting_flushes_.push_back(queued);
      return true;
    }
  }
  if (engine_.perform_at_once(*queued))
    complete(*queued, nullptr);
  else
    engine_.enqueue(*this, *queued);
  return true;
}

/// Holds the mutex. The flushes that have waited for it last.
RequestLine Queue::State::let_flushes_go(const QueuedRequest& ended) {
  RequestLine ready;
  if (!ended.is_change()) return ready;
  --changes_;
  const auto has_to_wait = [&](QueuedRequest* flush) { return flush->number < ended.number || --flush->changes_before != 0; };
  const auto gone = std::stable_partition(waiting_flushes_.begin(), waiting_flushes_.end(), has_to_wait);
  for (auto flush = gone; flush != waiting_flushes_.end(); ++flush) ready.push(**flush);
  waiting_flushes_.erase(gone, waiting_flushes_.end());
  return ready;
}

void Queue::State::complete(QueuedRequest& request, std::exception_ptr error) {
  // Whoever waits for the last completion may destroy the queue as soon as the mutex is free.
  const std::shared_ptr<State> self = shared_from_this();
  RequestLine ready;
  {
    const std::lock_guard lock(mutex_);
    ready = let_flushes_go(request);
    done_[(first_done_ + done_count_) % done_.size()] = {request.cookie, std::move(error)};
    ++done_count_;
    --unfinished_;
    free_.push_back(&request);
    if (done_count_ >= wanted_ || (unfinished_ == 0 && waiters_ != 0)) changed_.notify_all();
    if (event_fd_ >= 0 && done_count_ == 1) eventfd_write(event_fd_, 1);
  }
  while (QueuedRequest* const flush = ready.pop()) engine_.enqueue(*this, *flush);
}

/// Holds the mutex.
size_t Queue::State::take_some(std::span<Completion> out) {
  const size_t count = std::min(out.size(), done_count_);
  for (size_t i = 0; i < count; ++i) {
    out[i] = std::exchange(done_[first_done_], {});
    first_done_ = (first_done_ + 1) % done_.size();
  }
  done_count_ -= count;
  return count;
}

size_t Queue::State::take(std::span<Completion> out, size_t least, std::optional<std::chrono::milliseconds> timeout) {
  std::unique_lock lock(mutex_);
  least = std::min(least, out.size());
  const auto enough = [&] { return done_count_ >= least || unfinished_ == 0; };
  if (!enough()) {
    ++waiters_;
    wanted_ = std::min(wanted_, least);
    if (timeout)
      changed_.wait_for(lock, *timeout, enough);
    else
      changed_.wait(lock, enough);
    if (--waiters_ == 0) wanted_ = kNothing;
  }
  return take_some(out);
}

int Queue::State::event_fd() {
  const std::lock_guard lock(mutex_);
  if (event_fd_ >= 0) return event_fd_;
  const int fd = eventfd(done_count_ != 0 ? 1 : 0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (fd < 0) throw host_error(errno, "cannot make an eventfd");
  return event_fd_ = fd;
}

namespace {

std::exception_ptr cancellation() noexcept {
  try {
    return std::make_exception_ptr(Error(Errc::cancelled, "cancelled before it began"));
  } catch (...) {
    return std::current_exception();  // for want of memory
  }
}

}  // namespace

size_t Queue::State::cancel() {
  const std::exception_ptr error = cancellation();
  RequestLine cancelled = engine_.take_back(*this);
  {
    // A flush that still waits here would only be let go by what was just taken back, or by what ends now.
    const std::lock_guard lock(mutex_);
    for (QueuedRequest* const flush : waiting_flushes_) cancelled.push(*flush);
    waiting_flushes_.clear();
  }
  size_t count = 0;
  while (QueuedRequest* const request = cancelled.pop()) {
    complete(*request, error);
    ++count;
  }
  return count;
}

size_t Queue::State::in_flight() {
  const std::lock_guard lock(mutex_);
  return unfinished_ + done_count_;
}

void Queue::State::leave() { engine_.detach(*this); }

void Queue::State::wait_until_quiet() {
  std::unique_lock lock(mutex_);
  ++waiters_;
  changed_.wait(lock, [this] { return unfinished_ == 0; });
  if (--waiters_ == 0) wanted_ = kNothing;
}

// ---- Queue -----------------------------------------------------------------------------------------------------------------------------

namespace {

unsigned checked_depth(unsigned depth) {
  if (depth >= 1 && depth <= Queue::kMostDepth) return depth;
  throw Error(Errc::invalid_argument, "a queue cannot have a depth of " + std::to_string(depth))
      .hint("1 to " + std::to_string(Queue::kMostDepth));
}

}  // namespace

Queue::Queue(Engine& engine, unsigned depth) : state_(std::make_shared<State>(*engine.state_, checked_depth(depth))) {
  engine.state_->attach(*state_);
}

Queue::~Queue() {
  state_->cancel();
  state_->wait_until_quiet();
  state_->leave();
}

bool Queue::submit(const Request& request) { return state_->submit(request); }
size_t Queue::poll(std::span<Completion> out) { return state_->take(out, 0, std::nullopt); }
size_t Queue::wait(std::span<Completion> out, size_t least, std::optional<std::chrono::milliseconds> timeout) {
  return state_->take(out, least, timeout);
}
int Queue::event_fd() { return state_->event_fd(); }
size_t Queue::cancel() { return state_->cancel(); }
size_t Queue::in_flight() const { return state_->in_flight(); }

}  // namespace varve
