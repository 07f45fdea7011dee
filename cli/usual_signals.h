// How programs are started that this one runs.
#ifndef VARVE_CLI_USUAL_SIGNALS_H
#define VARVE_CLI_USUAL_SIGNALS_H

#include <signal.h>
#include <spawn.h>

namespace varve::cli {

/// For posix_spawn(): signals act on the child as usual, whatever this process does with them.
class UsualSignals {
 public:
  UsualSignals() {
    posix_spawnattr_init(&attributes_);
    sigset_t all_of_ours;
    sigemptyset(&all_of_ours);
    posix_spawnattr_setsigmask(&attributes_, &all_of_ours);
    sigaddset(&all_of_ours, SIGPIPE);
    sigaddset(&all_of_ours, SIGXFSZ);
    posix_spawnattr_setsigdefault(&attributes_, &all_of_ours);
    posix_spawnattr_setflags(&attributes_, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
  }
  UsualSignals(const UsualSignals&) = delete;
  UsualSignals& operator=(const UsualSignals&) = delete;
  ~UsualSignals() { posix_spawnattr_destroy(&attributes_); }
  const posix_spawnattr_t* get() const { return &attributes_; }

 private:
  posix_spawnattr_t attributes_{};
};

}  // namespace varve::cli

#endif
