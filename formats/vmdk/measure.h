// How large a new VMDK becomes.
#ifndef VARVE_FORMATS_VMDK_MEASURE_H
#define VARVE_FORMATS_VMDK_MEASURE_H

#include <cstdint>

#include "image/driver.h"

namespace varve::vmdk {

/// As FormatDriver::measure().
uint64_t measure_image(const OptionValues& options, uint64_t size, const FormatDriver::CountUnits& count);

}  // namespace varve::vmdk

#endif
