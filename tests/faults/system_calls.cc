#include "faults/system_calls.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdarg>

namespace varve::test {
namespace {

enum class Kind : uint8_t { read, write, flush, resize, create, open, other };

std::atomic<bool> active{false};        // NOLINT: the C library's functions have no other place
std::atomic<uint64_t> calls{0};         // NOLINT
std::atomic<uint64_t> strike_at{0};     // NOLINT
std::atomic<bool> strike_on{false};     // NOLINT
std::atomic<bool> struck{false};        // NOLINT
std::atomic<bool> flush_struck{false};  // NOLINT
std::atomic<bool> named_only{false};    // NOLINT
CallFault fault = CallFault::io;        // NOLINT

bool can_hit(Kind kind) {
  switch (fault) {
    case CallFault::io: return true;
    case CallFault::no_space: return kind == Kind::write || kind == Kind::flush || kind == Kind::resize || kind == Kind::create;
    case CallFault::flush: return kind == Kind::flush;
    case CallFault::open: return kind == Kind::open;
    case CallFault::interrupted: return kind == Kind::read || kind == Kind::write || kind == Kind::flush || kind == Kind::resize;
    case CallFault::short_transfer: return kind == Kind::read || kind == Kind::write;
  }
  return false;
}

bool strikes(Kind kind) {
  if (!active || !can_hit(kind)) return false;
  const uint64_t number = calls++;
  const uint64_t step = fault == CallFault::interrupted ? 2 : 1;
  if (number != strike_at && !(strike_on && number > strike_at && (number - strike_at) % step == 0)) return false;
  struck = true;
  return true;
}

/// True if the call is to fail, with errno set.
bool fails(Kind kind) {
  if (!strikes(kind)) return false;
  switch (fault) {
    case CallFault::no_space: errno = ENOSPC; break;
    case CallFault::interrupted: errno = EINTR; break;
    case CallFault::open: errno = EMFILE; break;
    default: errno = EIO;
  }
  if (kind == Kind::flush && fault != CallFault::interrupted) flush_struck = true;
  return true;
}

/// How many bytes to move; 0: fail.
size_t transfer(Kind kind, size_t length) {
  if (fault == CallFault::short_transfer) return strikes(kind) ? (length + 1) / 2 : length;
  return fails(kind) ? 0 : length;
}

template <typename Function>
Function* next(const char* name) {
  return reinterpret_cast<Function*>(dlsym(RTLD_NEXT, name));
}

template <typename Function>
int flush(const char* name, int fd) {
  if (fails(Kind::flush)) return -1;
  return active ? 0 : next<Function>(name)(fd);
}

bool creates(int flags) { return (flags & O_CREAT) != 0 || (flags & O_TMPFILE) == O_TMPFILE; }

}  // namespace

FailSystemCall::FailSystemCall(uint64_t at, CallFault what, bool sticky) {
  calls = 0;
  strike_at = at;
  strike_on = sticky;
  struck = false;
  flush_struck = false;
  fault = what;
  active = true;
}

FailSystemCall::~FailSystemCall() { active = false; }

void refuse_unnamed_files(bool refuse) { named_only = refuse; }

bool system_call_failed() { return struck; }

bool system_flush_failed() { return flush_struck; }

}  // namespace varve::test

// The names that lib/io's calls have with 64-bit offsets.
extern "C" {

using varve::test::Kind;

ssize_t pread64(int fd, void* buffer, size_t length, off64_t offset) {
  const size_t most = varve::test::transfer(Kind::read, length);
  return most == 0 && length != 0 ? -1 : varve::test::next<decltype(pread64)>("pread64")(fd, buffer, most, offset);
}

ssize_t pwrite64(int fd, const void* buffer, size_t length, off64_t offset) {
  const size_t most = varve::test::transfer(Kind::write, length);
  return most == 0 && length != 0 ? -1 : varve::test::next<decltype(pwrite64)>("pwrite64")(fd, buffer, most, offset);
}

ssize_t read(int fd, void* buffer, size_t length) {
  const size_t most = varve::test::transfer(Kind::read, length);
  return most == 0 && length != 0 ? -1 : varve::test::next<decltype(read)>("read")(fd, buffer, most);
}

ssize_t write(int fd, const void* buffer, size_t length) {
  const size_t most = varve::test::transfer(Kind::write, length);
  return most == 0 && length != 0 ? -1 : varve::test::next<decltype(write)>("write")(fd, buffer, most);
}

int fdatasync(int fd) { return varve::test::flush<decltype(fdatasync)>("fdatasync", fd); }

int fsync(int fd) { return varve::test::flush<decltype(fsync)>("fsync", fd); }

int syncfs(int fd) noexcept { return varve::test::flush<decltype(syncfs)>("syncfs", fd); }

int ftruncate64(int fd, off64_t size) noexcept {
  return varve::test::fails(Kind::resize) ? -1 : varve::test::next<decltype(ftruncate64)>("ftruncate64")(fd, size);
}

int fallocate64(int fd, int mode, off64_t offset, off64_t length) {
  return varve::test::fails(Kind::resize) ? -1 : varve::test::next<decltype(fallocate64)>("fallocate64")(fd, mode, offset, length);
}

int open64(const char* path, int flags, ...) {
  va_list more;
  va_start(more, flags);
  const mode_t mode = varve::test::creates(flags) ? va_arg(more, mode_t) : 0;
  va_end(more);
  return varve::test::fails(Kind::open) ? -1 : varve::test::next<decltype(open64)>("open64")(path, flags, mode);
}

int openat64(int directory, const char* path, int flags, ...) {
  va_list more;
  va_start(more, flags);
  const mode_t mode = varve::test::creates(flags) ? va_arg(more, mode_t) : 0;
  va_end(more);
  if (varve::test::named_only && (flags & O_TMPFILE) == O_TMPFILE) {
    errno = EOPNOTSUPP;
    return -1;
  }
  const Kind kind = varve::test::creates(flags) ? Kind::create : Kind::open;
  return varve::test::fails(kind) ? -1 : varve::test::next<decltype(openat64)>("openat64")(directory, path, flags, mode);
}

int stat64(const char* path, struct stat64* st) noexcept {
  return varve::test::fails(Kind::other) ? -1 : varve::test::next<decltype(stat64)>("stat64")(path, st);
}

int fstat64(int fd, struct stat64* st) noexcept {
  return varve::test::fails(Kind::other) ? -1 : varve::test::next<decltype(fstat64)>("fstat64")(fd, st);
}

int fstatat64(int directory, const char* path, struct stat64* st, int flags) noexcept {
  return varve::test::fails(Kind::other) ? -1 : varve::test::next<decltype(fstatat64)>("fstatat64")(directory, path, st, flags);
}

off64_t lseek64(int fd, off64_t offset, int whence) noexcept {
  return varve::test::fails(Kind::other) ? -1 : varve::test::next<decltype(lseek64)>("lseek64")(fd, offset, whence);
}

int linkat(int from, const char* old_path, int to, const char* new_path, int flags) noexcept {
  return varve::test::fails(Kind::create) ? -1 : varve::test::next<decltype(linkat)>("linkat")(from, old_path, to, new_path, flags);
}

int renameat(int from, const char* old_path, int to, const char* new_path) noexcept {
  return varve::test::fails(Kind::create) ? -1 : varve::test::next<decltype(renameat)>("renameat")(from, old_path, to, new_path);
}

int renameat2(int from, const char* old_path, int to, const char* new_path, unsigned flags) noexcept {
  return varve::test::fails(Kind::create) ? -1 : varve::test::next<decltype(renameat2)>("renameat2")(from, old_path, to, new_path, flags);
}

int unlinkat(int directory, const char* path, int flags) noexcept {
  return varve::test::fails(Kind::other) ? -1 : varve::test::next<decltype(unlinkat)>("unlinkat")(directory, path, flags);
}

int fcntl64(int fd, int command, ...) {
  va_list more;
  va_start(more, command);
  void* const argument = va_arg(more, void*);
  va_end(more);
  return varve::test::fails(Kind::other) ? -1 : varve::test::next<decltype(fcntl64)>("fcntl64")(fd, command, argument);
}

/// openat2() has no function of its own.
long syscall(long number, ...) noexcept {
  va_list more;
  va_start(more, number);
  long a[4];
  for (long& argument : a) argument = va_arg(more, long);
  va_end(more);
  return varve::test::fails(Kind::open) ? -1 : varve::test::next<decltype(syscall)>("syscall")(number, a[0], a[1], a[2], a[3]);
}
}
