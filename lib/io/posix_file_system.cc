// The host's file system.

#include <fcntl.h>
#include <sys/stat.h>

#include <cerrno>
#include <utility>

#include "io/atomic_create.h"
#include "io/beneath.h"
#include "io/file_system.h"
#include "io/host_error.h"
#include "io/locks.h"
#include "io/posix_storage.h"

namespace varve {

namespace {

const char* kind_of(mode_t mode) {
  if (S_ISDIR(mode)) return "a directory";
  if (S_ISCHR(mode)) return "a character device";
  if (S_ISFIFO(mode)) return "a named pipe";
  if (S_ISSOCK(mode)) return "a socket";
  return "no regular file";
}

void check_kind(mode_t mode, const std::string& path, const FileOpen& how) {
  if (S_ISREG(mode) || (S_ISBLK(mode) && how.allow_device)) return;
  if (S_ISBLK(mode)) throw Error(Errc::permission, "it is a block device, which may not be opened here").in(path).during("open");
  throw Error(Errc::invalid_argument, std::string("it is ") + kind_of(mode))
      .in(path)
      .during("open")
      .hint("name a regular file or a block device");
}

int flags_of(const FileOpen& how) { return how.access == Access::read_write ? O_RDWR : O_RDONLY; }

/// Checks again what was opened, locks it, and makes a storage of it.
std::shared_ptr<Storage> adopt(UniqueFd fd, const std::string& path, const FileOpen& how) {
  struct stat st = {};
  if (fstat(fd.get(), &st) != 0) throw host_error(errno, "cannot open").in(path).during("open");
  check_kind(st.st_mode, path, how);
  const int flags = fcntl(fd.get(), F_GETFL);
  if (flags >= 0) static_cast<void>(fcntl(fd.get(), F_SETFL, flags & ~O_NONBLOCK));
  if (how.lock) lock_file(fd.get(), how.access, path);
  return std::make_shared<PosixStorage>(std::move(fd), path, how.durable, how.cache);
}

class PosixFileSystem final : public FileSystem {
 public:
  std::shared_ptr<Storage> open(const std::string& path, const FileOpen& how) override {
    // The kind is asked before opening: to open some devices is to do something. O_NONBLOCK, and asking again afterwards, is for
    // what is put there in between.
    struct stat st = {};
    if (stat(path.c_str(), &st) != 0) throw host_error(errno, "cannot open").in(path).during("open");
    check_kind(st.st_mode, path, how);
    int flags = flags_of(how) | O_CLOEXEC | O_NOCTTY | O_NONBLOCK;
    // The kernel refuses a device that is mounted or part of another (EBUSY).
    if (S_ISBLK(st.st_mode) && how.access == Access::read_write) flags |= O_EXCL;
    UniqueFd fd(::open(path.c_str(), flags));
    if (!fd) throw host_error(errno, "cannot open").in(path).during("open");
    return adopt(std::move(fd), path, how);
  }

  std::shared_ptr<Storage> open_beneath(const std::string& directory, const std::string& name, const FileOpen& how) override {
    UniqueFd fd = open_regular_beneath(directory, name, flags_of(how));
    return adopt(std::move(fd), directory.ends_with('/') ? directory + name : directory + "/" + name, how);
  }

  std::unique_ptr<PendingFile> create(const std::string& path, const FileCreate& how) override { return atomic_create(path, how); }
};

}  // namespace

FileSystem& host_file_system() {
  static PosixFileSystem file_system;  // without state
  return file_system;
}

}  // namespace varve
