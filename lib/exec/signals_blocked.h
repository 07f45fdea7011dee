// The library's threads do not run the program's signal handlers.
#ifndef VARVE_EXEC_SIGNALS_BLOCKED_H
#define VARVE_EXEC_SIGNALS_BLOCKED_H

#include <pthread.h>

#include <csignal>

namespace varve {

/// As long as it lives no signal reaches the calling thread, nor ever the threads that it starts meanwhile. Those that a thread's own fault
/// raises are left alone: without a handler they could not be reported.
class SignalsBlocked {
 public:
  SignalsBlocked() noexcept {
    sigset_t all;
    sigfillset(&all);
    for (const int fault : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGABRT}) sigdelset(&all, fault);
    pthread_sigmask(SIG_BLOCK, &all, &before_);
  }
  ~SignalsBlocked() { pthread_sigmask(SIG_SETMASK, &before_, nullptr); }
  SignalsBlocked(const SignalsBlocked&) = delete;
  SignalsBlocked& operator=(const SignalsBlocked&) = delete;

 private:
  sigset_t before_;
};

}  // namespace varve

#endif
