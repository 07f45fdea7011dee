#include "signals.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <system_error>

namespace varve::cli {

Signals::Signals() {
  sigemptyset(&watched_);
  for (const int number : {SIGINT, SIGTERM}) {
    struct sigaction current {};
    sigaction(number, nullptr, &current);
    if (current.sa_handler != SIG_IGN) sigaddset(&watched_, number);
  }
  pthread_sigmask(SIG_BLOCK, &watched_, nullptr);
  signal_fd_ = signalfd(-1, &watched_, SFD_CLOEXEC);
  stop_fd_ = eventfd(0, EFD_CLOEXEC);
  if (signal_fd_ < 0 || stop_fd_ < 0) throw std::system_error(errno, std::generic_category(), "cannot wait for signals");
  watcher_ = std::thread([this] { watch(); });
}

Signals::~Signals() {
  eventfd_write(stop_fd_, 1);
  watcher_.join();
  close(signal_fd_);
  close(stop_fd_);
}

void Signals::watch() noexcept {
  std::array<pollfd, 2> waiting = {pollfd{signal_fd_, POLLIN, 0}, pollfd{stop_fd_, POLLIN, 0}};
  while (true) {
    if (poll(waiting.data(), waiting.size(), -1) < 0 && errno != EINTR) return;
    if (waiting[1].revents != 0) return;
    if (waiting[0].revents == 0) continue;
    signalfd_siginfo info{};
    if (read(signal_fd_, &info, sizeof info) != static_cast<ssize_t>(sizeof info)) continue;
    const int number = static_cast<int>(info.ssi_signo);
    if (cancel_.cancelled()) {
      pthread_sigmask(SIG_UNBLOCK, &watched_, nullptr);
      raise(number);
      return;
    }
    received_.store(number);
    cancel_.cancel();
  }
}

}  // namespace varve::cli
