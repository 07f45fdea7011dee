#ifndef VARVE_FORMATS_VMDK_H
#define VARVE_FORMATS_VMDK_H

#include "image/driver.h"

namespace varve {

const FormatDriver& vmdk_driver();

}  // namespace varve

#endif
