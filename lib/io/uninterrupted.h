// System calls that a signal may interrupt.
#ifndef VARVE_IO_UNINTERRUPTED_H
#define VARVE_IO_UNINTERRUPTED_H

#include <cerrno>

namespace varve {

/// Makes the call, and again as long as it fails with EINTR. Returns what it returned last; errno is that call's.
template <typename Call>
auto uninterrupted(Call call) -> decltype(call()) {
  auto result = call();
  while (result < 0 && errno == EINTR) result = call();
  return result;
}

}  // namespace varve

#endif
