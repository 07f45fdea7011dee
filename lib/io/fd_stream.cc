#include "io/fd_stream.h"

#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "io/host_error.h"

namespace varve {

namespace {

constexpr size_t kMaxTransfer = size_t{1} << 30;

/// After a failed call: true if it is worth calling again. Whoever gave us the descriptor may have made it non-blocking.
bool try_again(int fd, short events) {
  if (errno == EINTR) return true;
  if (errno != EAGAIN && errno != EWOULDBLOCK) return false;
  struct pollfd ready = {fd, events, 0};
  return poll(&ready, 1, -1) >= 0 || errno == EINTR;
}

}  // namespace

void FdByteSource::wait() const {
  constexpr int kPatienceMs = 100;
  struct pollfd ready = {fd_, POLLIN, 0};
  int n = 0;
  do {
    cancel_->check();
    n = poll(&ready, 1, kPatienceMs);
  } while (n == 0 || (n < 0 && errno == EINTR));
}

size_t FdByteSource::read(MutableBytes out) {
  while (true) {
    if (cancel_ != nullptr) wait();
    const ssize_t n = ::read(fd_, out.data(), std::min(out.size(), kMaxTransfer));
    if (n >= 0) return static_cast<size_t>(n);
    if (!try_again(fd_, POLLIN)) throw host_error(errno, "cannot read").in(name_).during("read");
  }
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
  while (!data.empty()) {
    const ssize_t n = ::write(fd_, data.data(), std::min(data.size(), kMaxTransfer));
    if (n < 0 && try_again(fd_, POLLOUT)) continue;
    if (n < 0) throw host_error(errno, "cannot write").in(name_).at(written_).during("write");
    data = data.subspan(static_cast<size_t>(n));
    written_ += static_cast<uint64_t>(n);
  }
}

void PipeStorage::flush() {
  if (fdatasync(fd_) == 0 || errno == EINVAL || errno == EROFS || errno == ENOTSUP) return;
  throw host_error(errno, "cannot make the data durable").in(name_).during("flush");
}

void PipeStorage::resize(uint64_t size) {
  if (size != this->size()) throw Error(Errc::unsupported, "a pipe cannot be resized").in(name_).during("resize");
}

}  // namespace varve
