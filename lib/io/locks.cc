#include "io/locks.h"

#include <fcntl.h>

#include <cerrno>
#include <initializer_list>
#include <span>
#include <utility>

#include "io/host_error.h"

namespace varve {

namespace {

// QEMU's permission numbers; never to be changed.
constexpr off_t kUses = 100;
constexpr off_t kForbids = 200;
constexpr off_t kConsistentRead = 0;
constexpr off_t kWrite = 1;
constexpr off_t kResize = 3;
// Ours alone.
constexpr off_t kVarveReader = 300;

/// What an access takes, and which bytes of others rule it out.
struct Protocol {
  std::span<const off_t> takes;
  std::span<const off_t> conflicts;
};

constexpr off_t kReaderTakes[] = {kUses + kConsistentRead, kVarveReader};
constexpr off_t kReaderConflicts[] = {kUses + kWrite, kUses + kResize, kForbids + kConsistentRead};
constexpr off_t kWriterTakes[] = {kUses + kConsistentRead, kUses + kWrite, kUses + kResize, kForbids + kWrite, kForbids + kResize};
constexpr off_t kWriterConflicts[] = {kUses + kWrite,    kUses + kResize,    kForbids + kConsistentRead,
                                      kForbids + kWrite, kForbids + kResize, kVarveReader};

Protocol protocol_of(Access access) {
  if (access == Access::read_only) return {kReaderTakes, kReaderConflicts};
  return {kWriterTakes, kWriterConflicts};
}

struct flock byte_lock(short type, off_t byte) {
  struct flock lock = {};
  lock.l_type = type;
  lock.l_whence = SEEK_SET;
  lock.l_start = byte;
  lock.l_len = 1;
  return lock;
}

/// Would an exclusive lock on this byte be refused? No, where there are no locks.
bool is_held(int fd, off_t byte) {
  struct flock lock = byte_lock(F_WRLCK, byte);
  return fcntl(fd, F_OFD_GETLK, &lock) == 0 && lock.l_type != F_UNLCK;
}

Error locked(Access access, const std::string& path, bool by_writer) {
  Error error = Error(Errc::locked, by_writer ? "another program has it open for writing" : "another program is using it").in(path);
  return std::move(error).hint(access == Access::read_only ? "close it, or read it with -U" : "close that program first");
}

void check(int fd, Access access, const std::string& path) {
  for (const off_t byte : protocol_of(access).conflicts)
    if (is_held(fd, byte)) throw locked(access, path, byte == kUses + kWrite || byte == kUses + kResize);
}

void unlock(int fd, std::span<const off_t> bytes) noexcept {
  for (const off_t byte : bytes) {
    struct flock lock = byte_lock(F_UNLCK, byte);
    static_cast<void>(fcntl(fd, F_OFD_SETLK, &lock));
  }
}

}  // namespace

void lock_file(int fd, Access access, const std::string& path) {
  // Asked before anything is taken, so that a refused attempt cannot disturb a virtual machine that is about to start.
  check(fd, access, path);
  const Protocol protocol = protocol_of(access);
  for (const off_t byte : protocol.takes) {
    struct flock lock = byte_lock(F_RDLCK, byte);
    if (fcntl(fd, F_OFD_SETLK, &lock) == 0) continue;
    if (errno != EAGAIN && errno != EACCES) return;  // this file system has no locks: go on without
    unlock(fd, protocol.takes);
    throw locked(access, path, false);
  }
  // Asked again: of two that took at the same time at least one sees the other.
  try {
    check(fd, access, path);
  } catch (const Error&) {
    unlock(fd, protocol.takes);
    throw;
  }
}

void check_unlocked_for_writing(int fd, const std::string& path) { check(fd, Access::read_write, path); }

}  // namespace varve
