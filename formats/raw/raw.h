// Raw disks: a file or a block device that holds the disk's bytes and nothing else.
#ifndef VARVE_FORMATS_RAW_RAW_H
#define VARVE_FORMATS_RAW_RAW_H

#include "image/driver.h"

namespace varve {

/// Never detected by a signature: it is what remains for reading when nothing matches, and must be named for writing.
const FormatDriver& raw_driver();

}  // namespace varve

#endif
