// Creating a VMDK of any subformat that is written here.
#ifndef VARVE_FORMATS_VMDK_CREATE_H
#define VARVE_FORMATS_VMDK_CREATE_H

#include <memory>

#include "vmdk/vmdk_image.h"

namespace varve::vmdk {

/// The parts of a twoGb image: 2047 MiB each but the last.
inline constexpr uint64_t kSplitSectors = 4192256;

/// As FormatDriver::create(). The image is complete once it was closed, whatever was written.
std::unique_ptr<VmdkImage> create_image(CreateContext& context);

}  // namespace varve::vmdk

#endif
