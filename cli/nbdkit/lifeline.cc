#include "lifeline.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdlib>

#include "failure.h"
#include "nbdkit.h"

namespace varve_nbdkit {
namespace {

constexpr int kGrace = 500;  // milliseconds for nbdkit to end by itself

}  // namespace

Lifeline::Lifeline(int fd, ServedImage& image) : fd_(fd), image_(image), stop_(eventfd(0, EFD_CLOEXEC)) {
  if (stop_ < 0) throw Failure("cannot watch until-fd", errno);
  fcntl(fd_, F_SETFD, FD_CLOEXEC);
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);  // signals are for nbdkit's threads
  watcher_ = std::thread([this] { watch(); });
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

Lifeline::~Lifeline() {
  eventfd_write(stop_, 1);
  watcher_.join();
  close(stop_);
}

void Lifeline::watch() noexcept {
  std::array<pollfd, 2> waiting = {pollfd{fd_, POLLIN, 0}, pollfd{stop_, POLLIN, 0}};
  while (poll(waiting.data(), waiting.size(), -1) < 0 && errno == EINTR) {
  }
  if (waiting[1].revents != 0) return;
  nbdkit_shutdown();
  if (poll(&waiting[1], 1, kGrace) != 0) return;
  ending_.store(true);
  const int closed = answer([this] { image_.close(); });
  _exit(closed == 0 ? EXIT_SUCCESS : EXIT_FAILURE);
}

}  // namespace varve_nbdkit
