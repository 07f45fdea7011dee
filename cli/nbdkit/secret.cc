#include "secret.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <new>
#include <utility>

#include "failure.h"
#include "nbdkit.h"

namespace varve_nbdkit {
namespace {

constexpr size_t kMapped = 4096;
constexpr size_t kMost = 1024 + 2;  // a passphrase and the end of its line

[[noreturn]] void fail(const std::string& name) { throw Failure(name + ": " + std::strerror(errno), errno); }

class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  ~Descriptor() { close(fd_); }
  int get() const { return fd_; }

 private:
  const int fd_;
};

Secret read_all(const Descriptor& from, const std::string& name) {
  Secret secret;
  std::array<char, 256> some{};
  while (true) {
    const ssize_t count = read(from.get(), some.data(), some.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) fail(name);
    if (count == 0) break;
    secret.append(some.data(), static_cast<size_t>(count));
  }
  explicit_bzero(some.data(), some.size());
  return secret;
}

/// nbdkit's memory, to be wiped.
struct WipeAndFree {
  void operator()(char* text) const {
    explicit_bzero(text, std::strlen(text));
    std::free(text);  // NOLINT: nbdkit took it from malloc
  }
};

}  // namespace

Secret::Secret() {
  void* mapped = mmap(nullptr, kMapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (mapped == MAP_FAILED) throw std::bad_alloc();
  madvise(mapped, kMapped, MADV_DONTDUMP);
  mlock(mapped, kMapped);  // as far as the process may
  data_ = static_cast<char*>(mapped);
}

Secret::Secret(Secret&& other) noexcept : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}

Secret::~Secret() {
  if (data_ == nullptr) return;
  explicit_bzero(data_, kMapped);
  munmap(data_, kMapped);
}

void Secret::append(const void* bytes, size_t count) {
  if (count > kMost - size_) throw Failure("the passphrase or key is longer than any can be: name the file that holds it alone", EINVAL);
  std::memcpy(data_ + size_, bytes, count);
  size_ += count;
}

Secret read_secret_file(const std::string& path) {
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY);
  if (fd < 0) fail(path);
  return read_all(Descriptor(fd), path);
}

int inherited_descriptor(const std::string& key, const std::string& number) {
  const std::string name = key + "=" + number;
  int fd = -1;
  const auto [end, failed] = std::from_chars(number.data(), number.data() + number.size(), fd);
  if (failed != std::errc() || end != number.data() + number.size())
    throw Failure(name + ": give the number of an open descriptor", EINVAL);
  if (fd <= STDERR_FILENO) throw Failure(name + ": the standard streams are nbdkit's: take a higher number", EINVAL);
  if (fcntl(fd, F_GETFD) < 0) fail(name);
  return fd;
}

Secret read_secret_descriptor(const std::string& number) {
  return read_all(Descriptor(inherited_descriptor("key-fd", number)), "key-fd=" + number);
}

Secret read_secret_password(const std::string& where) {
  if (where.empty() || (where.front() != '-' && where.front() != '+'))
    throw Failure(
        "a passphrase on the command line is seen by everybody on this host: use passphrase=+FILE, passphrase=-FD or passphrase=-", EINVAL);
  char* text = nullptr;
  if (nbdkit_read_password(where.c_str(), &text) != 0) throw Failure("passphrase=" + where + ": can't be read", EIO);
  const std::unique_ptr<char, WipeAndFree> wiped(text);
  Secret secret;
  secret.append(text, std::strlen(text));
  return secret;
}

}  // namespace varve_nbdkit
