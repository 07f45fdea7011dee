// A file descriptor with an owner.
#ifndef VARVE_IO_UNIQUE_FD_H
#define VARVE_IO_UNIQUE_FD_H

#include <unistd.h>

#include <utility>

namespace varve {

/// Closes on destruction. Errors of close() are not looked at: whoever needs the data to last has called fdatasync() before.
class UniqueFd {
 public:
  UniqueFd() = default;
  explicit UniqueFd(int fd) noexcept : fd_(fd) {}
  UniqueFd(UniqueFd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  UniqueFd& operator=(UniqueFd&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~UniqueFd() {
    if (fd_ >= 0) ::close(fd_);
  }

  int get() const noexcept { return fd_; }
  explicit operator bool() const noexcept { return fd_ >= 0; }

 private:
  int fd_ = -1;
};

}  // namespace varve

#endif
