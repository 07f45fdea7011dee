#include "io/beneath.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include <cerrno>
#include <optional>
#include <string_view>
#include <vector>

#include "io/host_error.h"
#include "io/path.h"

namespace varve {

namespace {

constexpr int kAlways = O_CLOEXEC | O_NONBLOCK | O_NOCTTY;  // O_NONBLOCK: a FIFO put there meanwhile must not hang us

Error refused(const std::string& directory, const std::string& name) {
  return Error(Errc::permission, "only a regular file inside the image's directory may be opened")
      .in(join_path(directory, name))
      .during("open")
      .hint("if you trust the image, allow it with --references=any");
}

Error failed(int error, const std::string& directory, const std::string& name) {
  // Each of these says that the lookup met a way out, a symlink where none is followed, or a name that no file can have.
  if (error == EXDEV || error == ELOOP || error == EAGAIN || error == ENAMETOOLONG || error == EISDIR || error == ENXIO)
    return refused(directory, name);
  return host_error(error, "cannot open").in(join_path(directory, name)).during("open");
}

UniqueFd open_directory(const std::string& directory) {
  UniqueFd fd(open(directory.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!fd) throw host_error(errno, "cannot open the directory").in(directory).during("open");
  return fd;
}

void require_regular(const UniqueFd& fd, const std::string& directory, const std::string& name) {
  struct stat st = {};
  if (fstat(fd.get(), &st) != 0) throw failed(errno, directory, name);
  if (!S_ISREG(st.st_mode)) throw refused(directory, name);
}

/// A descriptor, or errno in `error`.
UniqueFd try_openat2(int directory, const std::string& name, int flags, int& error) {
  struct open_how how = {};
  how.flags = static_cast<uint64_t>(flags);
  how.resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS;
  // EAGAIN: something was renamed during the lookup of a `..` inside, so that the kernel can't be sure. A few tries are enough
  // unless someone does it on purpose.
  for (int tries = 0; tries < 16; ++tries) {
    UniqueFd fd(static_cast<int>(syscall(SYS_openat2, directory, name.c_str(), &how, sizeof(how))));
    if (fd) return fd;
    error = errno;
    if (error != EAGAIN && error != EINTR) break;
  }
  return {};
}

std::vector<std::string> components_of(std::string_view name) {
  std::vector<std::string> parts;
  while (!name.empty()) {
    const size_t slash = name.find('/');
    const std::string_view part = name.substr(0, slash);
    if (!part.empty() && part != ".") parts.emplace_back(part);
    name = slash == std::string_view::npos ? std::string_view() : name.substr(slash + 1);
  }
  return parts;
}

}  // namespace

UniqueFd open_regular_beneath(const std::string& directory, const std::string& name, int flags) {
  if (name.empty() || name.find('\0') != std::string::npos) throw refused(directory, name.c_str());
  const UniqueFd dir = open_directory(directory);
  int error = 0;
  // First a descriptor that opens nothing: a device or a FIFO is recognised without waking it.
  const UniqueFd probe = try_openat2(dir.get(), name, O_PATH | O_CLOEXEC, error);
  if (!probe && (error == ENOSYS || error == EPERM)) return open_beneath_by_steps(directory, name, flags);
  if (!probe) throw failed(error, directory, name);
  require_regular(probe, directory, name);
  UniqueFd fd = try_openat2(dir.get(), name, flags | kAlways, error);
  if (!fd) throw failed(error, directory, name);
  require_regular(fd, directory, name);
  return fd;
}

UniqueFd open_beneath_by_steps(const std::string& directory, const std::string& name, int flags) {
  const std::vector<std::string> parts = components_of(name);
  if (name.starts_with('/') || name.ends_with('/') || name.find('\0') != std::string::npos || parts.empty())
    throw refused(directory, name.c_str());
  for (const std::string& part : parts)
    if (part == "..") throw refused(directory, name);
  UniqueFd at = open_directory(directory);
  for (size_t i = 0; i < parts.size(); ++i) {
    UniqueFd next(openat(at.get(), parts[i].c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC));
    if (!next) throw failed(errno, directory, name);
    struct stat st = {};
    if (fstat(next.get(), &st) != 0) throw failed(errno, directory, name);
    const bool last = i + 1 == parts.size();
    if (S_ISLNK(st.st_mode) || (last && !S_ISREG(st.st_mode))) throw refused(directory, name);
    if (!last) at = std::move(next);
  }
  UniqueFd fd(openat(at.get(), parts.back().c_str(), flags | kAlways | O_NOFOLLOW));
  if (!fd) throw failed(errno, directory, name);
  require_regular(fd, directory, name);
  return fd;
}

}  // namespace varve
