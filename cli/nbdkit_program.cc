#include "nbdkit_program.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <sstream>
#include <utility>

#include "exit_codes.h"
#include "usual_signals.h"
#include "varve/error.h"

namespace varve::cli {
namespace {

std::string environment(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? std::string() : std::string(value);
}

std::string find_program(const std::string& name) {
  std::istringstream path(environment("PATH"));
  for (std::string directory; std::getline(path, directory, ':');) {
    if (directory.empty()) continue;
    std::string candidate = directory;
    candidate.append("/").append(name);
    if (access(candidate.c_str(), X_OK) == 0) return candidate;
  }
  throw Error(Errc::not_found, "is not installed, and it is what serves images").in(name).hint("install it (Debian: apt install nbdkit)");
}

[[noreturn]] void fail(const std::string& what) { throw Error(Errc::io, std::strerror(errno)).in(what); }

}  // namespace

Nbdkit Nbdkit::find() {
  Nbdkit found;
  found.program = find_program("nbdkit");
  found.plugin = environment("VARVE_NBDKIT_PLUGIN");  // of a build that is not installed
  if (found.plugin.empty()) found.plugin = VARVE_NBDKIT_PLUGIN;
  if (access(found.plugin.c_str(), R_OK) != 0)
    throw Error(Errc::not_found, "the plugin for nbdkit is not there")
        .in(found.plugin)
        .hint("build varve with nbdkit's headers (Debian: apt install nbdkit nbdkit-plugin-dev) and install it");
  return found;
}

int inherited_descriptor(const KeySecret& secret) {
  std::array<int, 2> ends{};
  if (pipe(ends.data()) != 0) fail("a pipe for the key");
  // A pipe holds more than the longest secret, so nobody has to read yet.
  const ConstBytes bytes = secret.bytes.bytes();
  const bool written = write(ends[1], bytes.data(), bytes.size()) == static_cast<ssize_t>(bytes.size());
  close(ends[1]);
  if (!written) fail("a pipe for the key");
  return ends[0];
}

int run_until_cancelled(std::vector<std::string> words, const CancelToken& cancel) {
  constexpr timespec kPause{0, 20000000};
  std::array<int, 2> lifeline{};
  if (pipe(lifeline.data()) != 0 || fcntl(lifeline[1], F_SETFD, FD_CLOEXEC) != 0) fail("a pipe for the server");
  words.push_back("until-fd=" + std::to_string(lifeline[0]));
  std::vector<char*> pointers;
  pointers.reserve(words.size() + 1);
  for (std::string& word : words) pointers.push_back(word.data());
  pointers.push_back(nullptr);
  std::signal(SIGCHLD, SIG_DFL);  // if it is ignored, nobody learns how a child has ended
  pid_t pid = -1;
  errno = posix_spawn(&pid, pointers.front(), nullptr, UsualSignals().get(), pointers.data(), environ);
  close(lifeline[0]);
  if (errno != 0) fail(words.front());
  int status = 0;
  while (waitpid(pid, &status, WNOHANG) == 0) {
    if (cancel.cancelled() && lifeline[1] >= 0) close(std::exchange(lifeline[1], -1));
    nanosleep(&kPause, nullptr);
  }
  if (lifeline[1] >= 0) close(lifeline[1]);
  return WIFSIGNALED(status) ? kSignalBase + WTERMSIG(status) : WEXITSTATUS(status);
}

void remove_stale_socket(const std::string& path) {
  struct stat status {};
  sockaddr_un address{};
  if (lstat(path.c_str(), &status) != 0 || !S_ISSOCK(status.st_mode) || path.size() >= sizeof address.sun_path) return;
  address.sun_family = AF_UNIX;
  std::copy(path.begin(), path.end(), address.sun_path);
  const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) fail(path);
  const void* generic = &address;
  const bool refused = connect(fd, static_cast<const sockaddr*>(generic), sizeof address) != 0 && errno == ECONNREFUSED;
  close(fd);
  if (refused && unlink(path.c_str()) != 0) fail(path);
}

}  // namespace varve::cli
