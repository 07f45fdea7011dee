// The driver of the native format (docs/formats/varve.md).
//
// The folder is not called varve like the format: "varve/..." is how public headers are included.
#ifndef VARVE_FORMATS_NATIVE_NATIVE_H
#define VARVE_FORMATS_NATIVE_NATIVE_H

#include "image/driver.h"

namespace varve {

const FormatDriver& native_driver();

}  // namespace varve

#endif
