#include "io/atomic_create.h"

#include <fcntl.h>
#include <sys/random.h>
#include <sys/stat.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <optional>
#include <utility>

#include "io/host_error.h"
#include "io/locks.h"
#include "io/path.h"
#include "io/posix_storage.h"
#include "io/uninterrupted.h"

namespace varve {

namespace {

constexpr int kTries = 64;

/// ".NAME.XXXXXXXX.tmp", shortened so that it is a valid name.
std::string temporary_name(const std::string& base) {
  std::array<unsigned char, 8> bytes = {};
  if (getrandom(bytes.data(), bytes.size(), 0) != static_cast<ssize_t>(bytes.size())) throw host_error(errno, "cannot get random bytes");
  std::string random;
  for (const unsigned char byte : bytes) random += "0123456789abcdefghijklmnopqrstuv"[byte % 32];
  return "." + base.substr(0, 200) + "." + random + ".tmp";
}

class AtomicFile final : public PendingFile {
 public:
  AtomicFile(std::string path, const FileCreate& how, Unnamed unnamed)
      : path_(std::move(path)), base_(base_name_of(path_)), how_(how), directory_(open_directory()) {
    check_target();
    UniqueFd fd = unnamed == Unnamed::where_possible ? open_unnamed() : UniqueFd();
    if (!fd) fd = open_temporary();
    fd_ = fd.get();
    try {
      lock_file(fd_, Access::read_write, path_);
      storage_ = make_storage(std::move(fd));
    } catch (...) {
      remove_temporary();
      throw;
    }
  }
  ~AtomicFile() override { remove_temporary(); }

  const std::shared_ptr<Storage>& storage() const override { return storage_; }
  void publish(Naming naming) override;
  void withdraw() noexcept override;

 private:
  UniqueFd open_directory();
  UniqueFd open_unnamed();
  UniqueFd open_temporary();
  std::shared_ptr<Storage> make_storage(UniqueFd fd) const;
  void check_target() const;
  void name_unnamed(const std::string& name) const;
  int rename_without_replacing() const;
  void remove_temporary() noexcept;
  void flush_directory() const;
  Error failed(int error, const char* what) const { return host_error(error, what).in(path_).during("create"); }
  Error taken() const {
    return Error(Errc::exists, "a file of that name exists already").in(path_).hint("choose another name, or replace it with --force");
  }
  mode_t mode() const { return static_cast<mode_t>(how_.mode.value_or(0666) & 0777); }

  const std::string path_;
  const std::string base_;
  const FileCreate how_;
  bool can_flush_directory_ = true;
  UniqueFd directory_;
  std::string temporary_;  ///< the name that the file has until it is published; empty: none
  int fd_ = -1;            ///< the storage's
  std::shared_ptr<Storage> storage_;
  bool published_ = false;
};

UniqueFd AtomicFile::open_directory() {
  const std::string directory = directory_of(path_);
  UniqueFd fd(open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd && errno == EACCES) {
    // One may create files in a directory that one can't read, but not flush it.
    can_flush_directory_ = false;
    fd = UniqueFd(open(directory.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  }
  if (!fd) throw host_error(errno, "cannot open the directory of the new file").in(path_).during("create");
  return fd;
}

void AtomicFile::check_target() const {
  if (base_.empty() || base_ == "." || base_ == "..") throw Error(Errc::invalid_argument, "this is no name for a file").in(path_);
  struct stat st = {};
  if (fstatat(directory_.get(), base_.c_str(), &st, AT_SYMLINK_NOFOLLOW) != 0) {
    if (errno == ENOENT) return;
    throw failed(errno, "cannot look at the target");
  }
  if (S_ISLNK(st.st_mode)) throw Error(Errc::exists, "a symbolic link has that name").in(path_).hint("name the file that it points to");
  if (!how_.replace) throw taken();
  if (!S_ISREG(st.st_mode))
    throw Error(Errc::invalid_argument, "what has that name is not a regular file and will not be replaced").in(path_);
  const UniqueFd old(openat(directory_.get(), base_.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
  if (old) check_unlocked_for_writing(old.get(), path_);
  // One may replace what one can't read. Anything else leaves open whether another program uses it.
  if (!old && errno != EACCES && errno != ENOENT) throw failed(errno, "cannot look at the target");
}

UniqueFd AtomicFile::open_unnamed() {
  // Linking the file later goes by its name in /proc; without that it begins with a name.
  if (access("/proc/self/fd", X_OK) != 0) return {};
  UniqueFd fd(openat(directory_.get(), ".", O_TMPFILE | O_RDWR | O_CLOEXEC, mode()));
  // EISDIR: a kernel without O_TMPFILE; ENOENT: one that knows it halfway.
  if (!fd && errno != EOPNOTSUPP && errno != EISDIR && errno != EINVAL && errno != ENOENT) throw failed(errno, "cannot create");
  return fd;
}

UniqueFd AtomicFile::open_temporary() {
  for (int tries = 0; tries < kTries; ++tries) {
    std::string name = temporary_name(base_);
    UniqueFd fd(openat(directory_.get(), name.c_str(), O_CREAT | O_EXCL | O_RDWR | O_NOFOLLOW | O_CLOEXEC, mode()));
    if (fd) {
      temporary_ = std::move(name);
      return fd;
    }
    if (errno != EEXIST) break;
  }
  throw failed(errno, "cannot create");
}

std::shared_ptr<Storage> AtomicFile::make_storage(UniqueFd fd) const {
  // For direct I/O the file is opened once more, which its own permissions may forbid: its owner gets them for that moment.
  constexpr mode_t kOwner = S_IRUSR | S_IWUSR;
  struct stat st = {};
  if (how_.cache == Cache::none && fstat(fd_, &st) != 0) throw failed(errno, "cannot create");
  const bool widen = how_.cache == Cache::none && (st.st_mode & kOwner) != kOwner;
  if (widen && fchmod(fd_, (st.st_mode & 0777) | kOwner) != 0) throw failed(errno, "cannot set the permissions");
  auto storage = std::make_shared<PosixStorage>(std::move(fd), path_, how_.durable, how_.cache);
  if (widen && fchmod(fd_, st.st_mode & 0777) != 0) throw failed(errno, "cannot set the permissions");
  return storage;
}

/// Throws `exists` if the name is taken.
void AtomicFile::name_unnamed(const std::string& name) const {
  const std::string self = "/proc/self/fd/" + std::to_string(fd_);
  if (linkat(AT_FDCWD, self.c_str(), directory_.get(), name.c_str(), AT_SYMLINK_FOLLOW) != 0)
    throw failed(errno, "cannot give it its name");
}

/// 0 or errno.
int AtomicFile::rename_without_replacing() const {
  if (renameat2(directory_.get(), temporary_.c_str(), directory_.get(), base_.c_str(), RENAME_NOREPLACE) == 0) return 0;
  if (errno != EINVAL && errno != ENOSYS) return errno;
  if (linkat(directory_.get(), temporary_.c_str(), directory_.get(), base_.c_str(), 0) != 0) return errno;
  static_cast<void>(unlinkat(directory_.get(), temporary_.c_str(), 0));
  return 0;
}

void AtomicFile::publish(Naming naming) {
  if (published_) throw Error(Errc::invalid_argument, "the file was published before").in(path_);
  check_target();
  if (temporary_.empty() && !how_.replace) {
    name_unnamed(base_);
  } else {
    if (temporary_.empty()) {
      std::string name = temporary_name(base_);
      name_unnamed(name);
      temporary_ = std::move(name);
    }
    const int error = how_.replace ? (renameat(directory_.get(), temporary_.c_str(), directory_.get(), base_.c_str()) == 0 ? 0 : errno)
                                   : rename_without_replacing();
    if (error == EEXIST) throw taken();
    if (error != 0) throw failed(error, "cannot give it its name");
    temporary_.clear();
  }
  published_ = true;
  if (how_.durable && naming == Naming::durable) flush_directory();
}

void AtomicFile::withdraw() noexcept {
  if (!published_) return;
  published_ = false;
  // Only if the name is still this file's.
  struct stat mine = {};
  struct stat named = {};
  const bool same = fstat(fd_, &mine) == 0 && fstatat(directory_.get(), base_.c_str(), &named, AT_SYMLINK_NOFOLLOW) == 0 &&
                    mine.st_ino == named.st_ino && mine.st_dev == named.st_dev;
  if (same) static_cast<void>(unlinkat(directory_.get(), base_.c_str(), 0));
}

void AtomicFile::flush_directory() const {
  // The file too: its link count has changed, and some file systems log a new name with the inode.
  if (uninterrupted([&] { return fsync(fd_); }) != 0) throw failed(errno, "cannot make the new name durable");
  const int result = uninterrupted([&] { return can_flush_directory_ ? fsync(directory_.get()) : syncfs(fd_); });
  // EINVAL: this file system has nothing to flush in a directory.
  if (result != 0 && errno != EINVAL) throw failed(errno, "cannot make the new name durable");
}

void AtomicFile::remove_temporary() noexcept {
  if (!temporary_.empty()) static_cast<void>(unlinkat(directory_.get(), temporary_.c_str(), 0));
}

}  // namespace

std::unique_ptr<PendingFile> atomic_create(const std::string& path, const FileCreate& how, Unnamed unnamed) {
  return std::make_unique<AtomicFile>(path, how, unnamed);
}

}  // namespace varve
