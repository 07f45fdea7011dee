// The kernel fails. system_calls.cc stands between this program and the C library in all calls on files that lib/io makes.
#ifndef VARVE_TESTS_FAULTS_SYSTEM_CALLS_H
#define VARVE_TESTS_FAULTS_SYSTEM_CALLS_H

#include <cstdint>

namespace varve::test {

enum class CallFault : uint8_t {
  io,              ///< any call: EIO
  no_space,        ///< what takes space, a name or a promise of it (writing, resizing, creating, naming, flushing): ENOSPC
  flush,           ///< flushes: EIO
  open,            ///< opening what is there: EMFILE
  interrupted,     ///< reads, writes, flushes, resizing: EINTR
  short_transfer,  ///< reads and writes: half of the bytes
};

/// While it lives, call number `at` (counting from 0, over all threads) of those that the fault can hit fails, and does nothing; with
/// `sticky` all later ones as well, of interrupted ones every other. Flushes do nothing in any case: what the medium does is not at issue.
class FailSystemCall {
 public:
  FailSystemCall(uint64_t at, CallFault fault, bool sticky);
  ~FailSystemCall();
  FailSystemCall(const FailSystemCall&) = delete;
  FailSystemCall& operator=(const FailSystemCall&) = delete;
};

/// From now on: files without a name can't be made (EOPNOTSUPP), or they can again.
void refuse_unnamed_files(bool refuse);

/// Of the last FailSystemCall, also after its end.
bool system_call_failed();
bool system_flush_failed();

}  // namespace varve::test

#endif
