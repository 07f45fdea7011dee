#include "key_command.h"

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <ctime>
#include <utility>

#include "usual_signals.h"
#include "varve/error.h"

namespace varve::cli {
namespace {

constexpr const char* kName = "key command";

class Streams {
 public:
  explicit Streams(int output) {
    posix_spawn_file_actions_init(&actions_);
    posix_spawn_file_actions_addopen(&actions_, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&actions_, output, STDOUT_FILENO);
  }
  Streams(const Streams&) = delete;
  Streams& operator=(const Streams&) = delete;
  ~Streams() { posix_spawn_file_actions_destroy(&actions_); }
  const posix_spawn_file_actions_t* get() const { return &actions_; }

 private:
  posix_spawn_file_actions_t actions_{};
};

[[noreturn]] void fail(int error) { throw Error(Errc::io, "can't be run").in(kName).caused_by(std::strerror(error)); }

}  // namespace

KeyCommand::KeyCommand(const std::string& command) {
  std::string shell = "sh", option = "-c", script = command;
  const std::array<char*, 4> words = {shell.data(), option.data(), script.data(), nullptr};
  std::signal(SIGCHLD, SIG_DFL);  // if it is ignored, nobody learns how a child has ended
  std::array<int, 2> ends{};
  if (pipe2(ends.data(), O_CLOEXEC) != 0) fail(errno);
  const int failed = posix_spawn(&pid_, "/bin/sh", Streams(ends[1]).get(), UsualSignals().get(), words.data(), environ);
  close(ends[1]);
  output_ = ends[0];
  if (failed == 0) return;
  close(output_);
  fail(failed);
}

KeyCommand::~KeyCommand() {
  close(output_);
  if (pid_ > 0) kill(pid_, SIGTERM);
}

void KeyCommand::wait(const CancelToken& cancel) {
  constexpr timespec kPause{0, 5000000};
  int status = 0;
  pid_t ended = 0;
  while ((ended = waitpid(pid_, &status, WNOHANG)) == 0) {
    cancel.check();
    nanosleep(&kPause, nullptr);
  }
  pid_ = -1;
  if (ended < 0) fail(errno);
  if (WIFSIGNALED(status)) throw Error(Errc::io, "was killed by signal " + std::to_string(WTERMSIG(status))).in(kName);
  if (WEXITSTATUS(status) != 0) throw Error(Errc::io, "failed with exit status " + std::to_string(WEXITSTATUS(status))).in(kName);
}

}  // namespace varve::cli
