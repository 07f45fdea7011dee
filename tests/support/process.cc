#include "support/process.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <stdexcept>
#include <thread>
#include <utility>

#include "io/unique_fd.h"

namespace varve::test {

namespace {

using Clock = std::chrono::steady_clock;

struct Pipe {
  UniqueFd read;
  UniqueFd write;
  Pipe() {
    std::array<int, 2> ends = {};
    if (pipe2(ends.data(), O_CLOEXEC) != 0) throw std::runtime_error("pipe2");
    read = UniqueFd(ends[0]);
    write = UniqueFd(ends[1]);
  }
};

/// -1 if it can't be started. SIGPIPE is as usual in the child.
pid_t spawn(const std::vector<std::string>& argv, int in, int out, int err) {
  std::vector<std::string> words = argv;
  std::vector<char*> pointers;
  for (std::string& word : words) pointers.push_back(word.data());
  pointers.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, in, 0);
  posix_spawn_file_actions_adddup2(&actions, out, 1);
  posix_spawn_file_actions_adddup2(&actions, err, 2);
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  sigset_t usual;
  sigemptyset(&usual);
  sigaddset(&usual, SIGPIPE);
  posix_spawnattr_setsigdefault(&attributes, &usual);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGDEF);
  pid_t pid = -1;
  if (posix_spawnp(&pid, pointers[0], &actions, &attributes, pointers.data(), environ) != 0) pid = -1;
  posix_spawnattr_destroy(&attributes);
  posix_spawn_file_actions_destroy(&actions);
  return pid;
}

int exit_code_of(int status) { return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status); }

/// Moves what is ready. False once both outputs have ended.
class Feeder {
 public:
  Feeder(UniqueFd in, UniqueFd out, UniqueFd err, const std::string& input, RunResult& result)
      : in_(std::move(in)), out_(std::move(out)), err_(std::move(err)), input_(input), result_(result) {
    fcntl(in_.get(), F_SETFL, O_NONBLOCK);
  }

  bool step(int timeout_ms) {
    if (in_ && fed_ == input_.size()) in_ = UniqueFd();
    std::array<pollfd, 3> fds = {pollfd{in_ ? in_.get() : -1, POLLOUT, 0}, pollfd{out_ ? out_.get() : -1, POLLIN, 0},
                                 pollfd{err_ ? err_.get() : -1, POLLIN, 0}};
    if (poll(fds.data(), fds.size(), timeout_ms) < 0 && errno != EINTR) return false;
    if (fds[0].revents != 0) feed();
    if (fds[1].revents != 0) drain(out_, result_.out);
    if (fds[2].revents != 0) drain(err_, result_.err);
    return out_ || err_;
  }

 private:
  void feed() {
    const ssize_t n = write(in_.get(), input_.data() + fed_, input_.size() - fed_);
    if (n > 0) fed_ += static_cast<size_t>(n);
    if (n < 0 && errno != EAGAIN && errno != EINTR) in_ = UniqueFd();
  }
  static void drain(UniqueFd& fd, std::string& into) {
    std::array<char, 65536> buffer;
    const ssize_t n = read(fd.get(), buffer.data(), buffer.size());
    if (n > 0) into.append(buffer.data(), static_cast<size_t>(n));
    if (n == 0 || (n < 0 && errno != EINTR)) fd = UniqueFd();
  }

  UniqueFd in_;
  UniqueFd out_;
  UniqueFd err_;
  const std::string& input_;
  size_t fed_ = 0;
  RunResult& result_;
};

/// A program that closes its input early must not end the test.
class IgnoreSigpipe {
 public:
  IgnoreSigpipe() : old_(signal(SIGPIPE, SIG_IGN)) {}
  IgnoreSigpipe(const IgnoreSigpipe&) = delete;
  IgnoreSigpipe& operator=(const IgnoreSigpipe&) = delete;
  ~IgnoreSigpipe() { signal(SIGPIPE, old_); }

 private:
  void (*old_)(int);
};

}  // namespace

RunResult run(const std::vector<std::string>& argv, const std::string& input, std::chrono::milliseconds timeout) {
  const IgnoreSigpipe ignore;
  RunResult result;
  Pipe in;
  Pipe out;
  Pipe err;
  const pid_t pid = spawn(argv, in.read.get(), out.write.get(), err.write.get());
  in.read = UniqueFd();
  out.write = UniqueFd();
  err.write = UniqueFd();
  if (pid < 0) {
    result.exit_code = 127;
    return result;
  }
  Feeder feeder(std::move(in.write), std::move(out.read), std::move(err.read), input, result);
  const auto end = Clock::now() + timeout;
  auto grace = Clock::time_point::max();  // a child of the child may hold the pipes for longer than we care
  int status = 0;
  bool ended = false;
  while (feeder.step(20) || !ended) {
    if (!ended && waitpid(pid, &status, WNOHANG) == pid) {
      ended = true;
      grace = Clock::now() + std::chrono::seconds(2);
    }
    if (Clock::now() > grace) break;
    if (ended || Clock::now() < end || result.timed_out) continue;
    result.timed_out = true;
    kill(pid, SIGKILL);
  }
  result.exit_code = exit_code_of(status);
  return result;
}

std::string must_run(const std::vector<std::string>& argv) {
  const RunResult result = run(argv);
  std::string line;
  for (const std::string& word : argv) line += word + " ";
  CHECK_MESSAGE(result.exit_code == 0, line << "said: " << result.err << result.out.substr(0, 300));
  return result.out;
}

Background::Background(const std::vector<std::string>& argv, bool input) {
  Pipe pipe;
  const UniqueFd null(open("/dev/null", O_RDWR | O_CLOEXEC));
  pid_ = spawn(argv, input ? pipe.read.get() : null.get(), null.get(), null.get());
  if (pid_ < 0) throw std::runtime_error("cannot start " + argv.at(0));
  if (input) input_ = fcntl(pipe.write.get(), F_DUPFD_CLOEXEC, 0);
}

Background::~Background() {
  close_input();
  if (pid_ > 0) stop(SIGKILL);
}

bool Background::running() {
  if (pid_ > 0 && waitpid(pid_, &status_, WNOHANG) == pid_) pid_ = -1;
  return pid_ > 0;
}

void Background::close_input() {
  if (input_ >= 0) close(std::exchange(input_, -1));
}

int Background::stop(int signal) {
  if (pid_ > 0) {
    kill(pid_, signal);
    waitpid(pid_, &status_, 0);
    pid_ = -1;
  }
  return exit_code_of(status_);
}

bool Background::wait(std::chrono::milliseconds timeout) {
  return eventually([&] { return !running(); }, timeout);
}

namespace {

std::string usual_parent() {
  const char* base = std::getenv("TMPDIR");
  return base != nullptr && *base != '\0' ? base : "/tmp";
}

}  // namespace

TempDir::TempDir() : TempDir(usual_parent()) {}

TempDir::TempDir(const std::string& parent) : path_(parent + "/varve-test-XXXXXX") {
  if (mkdtemp(path_.data()) == nullptr) throw std::runtime_error("mkdtemp");
}

TempDir::~TempDir() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

void sleep_a_little() { std::this_thread::sleep_for(std::chrono::milliseconds(20)); }

}  // namespace varve::test
