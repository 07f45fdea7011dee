#include "io/fd_stream.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "io/host_error.h"
#include "io/uninterrupted.h"

namespace varve {

namespace {

constexpr int kPatienceMs = 100;

/// Returns when `fd` is ready, or has an error to tell. Throws when `cancel` is set, which may be null.
void wait(int fd, short events, const CancelToken* cancel) {
  struct pollfd ready = {fd, events, 0};
  int n = 0;
  do {
    if (cancel != nullptr) cancel->check();
    n = poll(&ready, 1, cancel != nullptr ? kPatienceMs : -1);
  } while (n == 0 || (n < 0 && errno == EINTR));
}

/// After a failed call: true if it is worth calling again. Whoever gave us the descriptor may have made it non-blocking.
bool try_again(int fd, short events, const CancelToken* cancel) {
  if (errno == EINTR) return true;
  if (errno != EAGAIN && errno != EWOULDBLOCK) return false;
  wait(fd, events, cancel);
  return true;
}

bool has_type(int fd, mode_t type) {
  struct stat status {};
  return fstat(fd, &status) == 0 && (status.st_mode & S_IFMT) == type;
}

/// The pipe that is `fd`, opened once more: this description does not wait, and the one that others share with us stays as it is. Nothing
/// if it is no pipe, or not ours to open.
UniqueFd open_without_waiting(int fd) {
  if (!has_type(fd, S_IFIFO)) return {};
  return UniqueFd(open(("/proc/self/fd/" + std::to_string(fd)).c_str(), O_WRONLY | O_NONBLOCK | O_CLOEXEC));
}

}  // namespace

size_t FdByteSource::read(MutableBytes out) {
  while (true) {
    if (cancel_ != nullptr) wait(fd_, POLLIN, cancel_);
    const ssize_t n = ::read(fd_, out.data(), std::min(out.size(), kMaxTransfer));
    if (n >= 0) return static_cast<size_t>(n);
    if (!try_again(fd_, POLLIN, cancel_)) throw host_error(errno, "cannot read").in(name_).during("read");
  }
}

PipeStorage::PipeStorage(int fd, std::string name, const CancelToken* cancel)
    : fd_(fd), name_(std::move(name)), cancel_(cancel), own_(cancel != nullptr ? open_without_waiting(fd) : UniqueFd()) {
  // What is ready takes this much at once; more would wait for its reader.
  if (cancel != nullptr && !own_ && (has_type(fd, S_IFIFO) || has_type(fd, S_IFSOCK))) most_ = PIPE_BUF;
}

uint64_t PipeStorage::size() const {
  const std::lock_guard lock(mutex_);
  return written_;
}

void PipeStorage::read_at(uint64_t offset, MutableBytes) {
  throw Error(Errc::unsupported, "a pipe cannot be read back").in(name_).at(offset).during("read");
}

void PipeStorage::write_at(uint64_t offset, ConstBytes data) {
  const std::lock_guard lock(mutex_);
  if (offset != written_) throw Error(Errc::invalid_argument, "a pipe can only be written in order").in(name_).at(offset).during("write");
  const int fd = own_ ? own_.get() : fd_;
  while (!data.empty()) {
    if (cancel_ != nullptr) wait(fd, POLLOUT, cancel_);
    const ssize_t n = ::write(fd, data.data(), std::min(data.size(), most_));
    if (n < 0 && try_again(fd, POLLOUT, cancel_)) continue;
    if (n < 0) throw host_error(errno, "cannot write").in(name_).at(written_).during("write");
    data = data.subspan(static_cast<size_t>(n));
    written_ += static_cast<uint64_t>(n);
  }
}

void PipeStorage::flush() {
  if (uninterrupted([&] { return fdatasync(fd_); }) == 0 || errno == EINVAL || errno == EROFS || errno == ENOTSUP) return;
  throw host_error(errno, "cannot make the data durable").in(name_).during("flush");
}

void PipeStorage::resize(uint64_t size) {
  if (size != this->size()) throw Error(Errc::unsupported, "a pipe cannot be resized").in(name_).during("resize");
}

}  // namespace varve
