// The VHDX driver [MS-VHDX]. docs/formats/vhdx.md tells what it reads and writes.
#ifndef VARVE_FORMATS_VHDX_VHDX_H
#define VARVE_FORMATS_VHDX_VHDX_H

#include "image/driver.h"

namespace varve {

/// Lives for ever.
const FormatDriver& vhdx_driver();

}  // namespace varve

#endif
