#include "failure.h"

#include <cerrno>

#include "nbdkit.h"

namespace varve_nbdkit {
namespace {

/// NBD knows few errors, and nbdkit makes EINVAL of all others, as if the client had been wrong. ENOTSUP it takes as the wish that it write
/// zeros itself, and aborts if a write says so: what an image can't do is not permitted.
int as_nbd_knows_it(int number) {
  switch (number) {
    case EPERM:
    case EROFS:
    case EIO:
    case ENOMEM:
    case EINVAL:
    case ENOSPC:
    case EOVERFLOW: return number;
    case EACCES:
    case ENOTSUP: return EPERM;
    default: return EIO;
  }
}

}  // namespace

void Outcome::require(int code) const {
  if (code == VARVE_OK) return;
  const std::string line = error_ != nullptr ? varve_error_message(error_) : varve_code_name(code);
  throw Failure(line, varve_code_errno(code));
}

void tell(const std::exception& failure) noexcept {
  nbdkit_error("%s", failure.what());
  if (const auto* ours = dynamic_cast<const Failure*>(&failure)) {
    nbdkit_set_error(as_nbd_knows_it(ours->number()));
  } else {
    nbdkit_set_error(dynamic_cast<const std::bad_alloc*>(&failure) != nullptr ? ENOMEM : EIO);
  }
}

}  // namespace varve_nbdkit
