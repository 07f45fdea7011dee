// Which format is this?
#ifndef VARVE_IMAGE_PROBE_H
#define VARVE_IMAGE_PROBE_H

#include "image/driver.h"

namespace varve {

struct Detection {
  const FormatDriver* driver = nullptr;
  bool trusted = false;  ///< not what a guest could have written into a raw disk: may be opened for writing
};

/// Reads head and tail once and asks all drivers. More than one signature is invalid_argument: a file that is two
/// things at once was made to deceive. With no signature the fallback is taken; without one, invalid_argument.
Detection detect_format(Storage& file);

}  // namespace varve

#endif
