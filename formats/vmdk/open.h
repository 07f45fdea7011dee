// Opening a VMDK: from an extent with its descriptor inside, from a descriptor that names its extents, or from an extent alone.
#ifndef VARVE_FORMATS_VMDK_OPEN_H
#define VARVE_FORMATS_VMDK_OPEN_H

#include <memory>

#include "image/driver.h"
#include "vmdk/vmdk_image.h"

namespace varve::vmdk {

/// As FormatDriver::probe().
ProbeResult probe_image(const ProbeInput& input);

/// As FormatDriver::open().
std::unique_ptr<VmdkImage> open_image(OpenContext& context);

/// Opens the extent that lies in `part.storage`, as its magic number says; sets driver and header. The extent
/// holds no more metadata than its share among `sharers`, so that many extents cost no more memory than one.
void open_sparse_part(ImagePart& part, bool writable, bool over_parent, const Limits& limits, uint64_t sharers);

}  // namespace varve::vmdk

#endif
