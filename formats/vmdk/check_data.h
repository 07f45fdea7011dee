// Reading everything that an extent stores.
#ifndef VARVE_FORMATS_VMDK_CHECK_DATA_H
#define VARVE_FORMATS_VMDK_CHECK_DATA_H

#include "base/interval_set.h"
#include "varve/check.h"
#include "vmdk/extent.h"

namespace varve::vmdk {

/// Reads all data of the extent, which decodes compressed grains and compares their markers, on all processors. What can't be read is
/// reported as damage, grain by grain; `known_bad` parts have been reported already. Calls options.progress with bytes of the extent.
void check_data(ExtentDriver& extent, const IntervalSet& known_bad, const CheckOptions& options, CheckReport& report);

}  // namespace varve::vmdk

#endif
