// Opening a name that a stranger chose, such that it cannot leave a directory.
#ifndef VARVE_IO_BENEATH_H
#define VARVE_IO_BENEATH_H

#include <string>

#include "io/unique_fd.h"

namespace varve {

/// Opens the regular file `name` below `directory` with the given open(2) flags. The kernel itself keeps the lookup inside
/// (openat2 with RESOLVE_BENEATH): neither `..`, an absolute name nor a symlink leads out, and nothing outside is looked at.
/// What would lead out, and whatever is not a regular file, is Errc::permission with a text made of the name alone [REF-5].
/// Not there: Errc::not_found. Kernels without openat2 get open_beneath_by_steps().
UniqueFd open_regular_beneath(const std::string& directory, const std::string& name, int flags);

/// The same, one component at a time with O_NOFOLLOW; it refuses every symlink and every `..`.
UniqueFd open_beneath_by_steps(const std::string& directory, const std::string& name, int flags);

}  // namespace varve

#endif
