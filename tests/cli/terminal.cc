#include "terminal.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <cstdlib>
#include <stdexcept>

#include "support/process.h"

namespace varve::test {
namespace {

constexpr auto kPatience = std::chrono::seconds(30);

[[noreturn]] void become(const char* terminal, char* const* words) {
  setsid();
  const int fd = open(terminal, O_RDWR);
  if (fd < 0 || ioctl(fd, TIOCSCTTY, 0) != 0) _exit(126);
  for (const int stream : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) dup2(fd, stream);
  if (fd > STDERR_FILENO) close(fd);
  execv(words[0], words);
  _exit(127);
}

}  // namespace

AtTerminal::AtTerminal(const std::vector<std::string>& argv) : terminal_(posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC)) {
  if (terminal_ < 0 || grantpt(terminal_) != 0 || unlockpt(terminal_) != 0) throw std::runtime_error("no pseudo terminal");
  std::array<char, 64> name{};
  if (ptsname_r(terminal_, name.data(), name.size()) != 0) throw std::runtime_error("no pseudo terminal");
  std::vector<std::string> words = argv;
  std::vector<char*> pointers;
  pointers.reserve(words.size() + 1);
  for (std::string& word : words) pointers.push_back(word.data());
  pointers.push_back(nullptr);
  pid_ = fork();
  if (pid_ == 0) become(name.data(), pointers.data());
  if (pid_ < 0) throw std::runtime_error("fork");
}

AtTerminal::~AtTerminal() {
  if (pid_ > 0) {
    kill(pid_, SIGKILL);
    waitpid(pid_, &status_, 0);
  }
  close(terminal_);
}

/// False if there is nothing any more.
bool AtTerminal::take(int milliseconds) {
  pollfd waiting{terminal_, POLLIN, 0};
  if (poll(&waiting, 1, milliseconds) <= 0) return true;
  std::array<char, 4096> buffer{};
  const ssize_t count = read(terminal_, buffer.data(), buffer.size());
  if (count <= 0) return false;  // EIO: nobody has it open
  screen_.append(buffer.data(), static_cast<size_t>(count));
  return true;
}

bool AtTerminal::shows(const std::string& text) {
  size_t at = std::string::npos;
  eventually([&] { return (at = screen_.find(text, waited_for_)) != std::string::npos || !take(20); }, kPatience);
  at = screen_.find(text, waited_for_);
  if (at == std::string::npos) return false;
  waited_for_ = at + text.size();
  return true;
}

void AtTerminal::type(const std::string& text) const {
  if (write(terminal_, text.data(), text.size()) != static_cast<ssize_t>(text.size()))
    throw std::runtime_error("the terminal takes nothing");
}

bool AtTerminal::echoes() const {
  termios state{};
  return tcgetattr(terminal_, &state) == 0 && (state.c_lflag & ECHO) != 0;
}

int AtTerminal::wait() {
  const bool ended = eventually(
      [&] {
        take(0);
        return waitpid(pid_, &status_, WNOHANG) == pid_;
      },
      kPatience);
  if (!ended) return -1;
  pid_ = -1;
  for (size_t before = 0; before != screen_.size();) {
    before = screen_.size();
    take(0);
  }
  return WIFEXITED(status_) ? WEXITSTATUS(status_) : 128 + WTERMSIG(status_);
}

}  // namespace varve::test
