// Opening a VHDX: identifier, headers, log, regions, metadata, in the order in which each may be believed.
#ifndef VARVE_FORMATS_VHDX_OPEN_H
#define VARVE_FORMATS_VHDX_OPEN_H

#include <memory>

#include "vhdx/vhdx_image.h"

namespace varve::vhdx {

/// As FormatDriver::open(). A log that holds changes is replayed: into the file if that is opened for writing, else in memory.
std::unique_ptr<VhdxImage> open_image(OpenContext& context);

ProbeResult probe_image(const ProbeInput& input);

}  // namespace varve::vhdx

#endif
