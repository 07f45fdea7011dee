// A copy of what has changed since a snapshot: its cost is that of the changes.
#ifndef VARVE_OPS_COPY_CHANGES_H
#define VARVE_OPS_COPY_CHANGES_H

#include <string>

#include "varve/ops.h"

namespace varve::ops {

/// `target` reads as snapshot `since` of `source`, and as zeros behind that. Afterwards it reads as `source`, and holds no more than what
/// differs.
CopyReport copy_changes(Image& source, const std::string& since, Image& target, const CopyOptions& options);

}  // namespace varve::ops

#endif
