#include "support/host.h"

#include <fcntl.h>
#include <linux/capability.h>
#include <linux/loop.h>
#include <linux/magic.h>
#include <sys/ioctl.h>
#include <sys/ptrace.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <sstream>

#include "io/unique_fd.h"

namespace varve::test {

namespace {

/// Opens a device file; `why` says what is in the way.
UniqueFd device(const std::string& path, std::string& why) {
  UniqueFd fd(open(path.c_str(), O_RDWR | O_CLOEXEC));
  if (!fd) why = path + ": " + std::strerror(errno);
  return fd;
}

std::string why_not_capable(unsigned capability, const std::string& name) {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (!line.starts_with("CapEff:")) continue;
    const bool capable = ((std::stoull(line.substr(7), nullptr, 16) >> capability) & 1) != 0;
    return capable ? "" : "this process lacks " + name;
  }
  return "/proc/self/status does not tell of " + name;
}

}  // namespace

std::string why_no_loop_device() {
  std::string why;
  const UniqueFd control = device("/dev/loop-control", why);
  if (!control) return why;
  const int number = ioctl(control.get(), LOOP_CTL_GET_FREE);
  if (number < 0) return std::string("no free loop device: ") + std::strerror(errno);
  device("/dev/loop" + std::to_string(number), why);
  return why;
}

std::string why_no_fuse() {
  std::string why = why_not_capable(CAP_SYS_ADMIN, "CAP_SYS_ADMIN");
  if (why.empty()) device("/dev/fuse", why);
  return why;
}

std::string why_no_mount(const std::string& type) {
  const std::string why = why_not_capable(CAP_SYS_ADMIN, "CAP_SYS_ADMIN");
  if (!why.empty()) return why;
  std::ifstream types("/proc/filesystems");
  for (std::string line; std::getline(types, line);)
    if (line.ends_with("\t" + type)) return "";
  return "the kernel does not know the file system " + type;
}

std::string why_no_direct_io(const std::string& directory) {
  struct statfs fs = {};
  // A kernel may take the flag there, and yet there is nothing below the page cache.
  if (statfs(directory.c_str(), &fs) == 0 && static_cast<uint32_t>(fs.f_type) == TMPFS_MAGIC) return directory + " is on a tmpfs";
  const UniqueFd fd(open(directory.c_str(), O_TMPFILE | O_RDWR | O_DIRECT | O_CLOEXEC, 0600));
  return fd ? "" : directory + ": no direct I/O: " + std::strerror(errno);
}

std::string why_no_ptrace() {
  const pid_t child = fork();
  if (child == 0) _exit(ptrace(PTRACE_TRACEME, 0, nullptr, nullptr) == 0 ? 0 : errno);
  int status = 0;
  if (child < 0 || waitpid(child, &status, 0) != child) return "no child process can be made";
  const int error = WIFEXITED(status) ? WEXITSTATUS(status) : EPERM;
  return error == 0 ? "" : std::string("ptrace: ") + std::strerror(error);
}

}  // namespace varve::test
