// Laying out a new VHDX.
#ifndef VARVE_FORMATS_VHDX_CREATE_H
#define VARVE_FORMATS_VHDX_CREATE_H

#include <memory>

#include "vhdx/vhdx_image.h"

namespace varve::vhdx {

/// As FormatDriver::create().
std::unique_ptr<VhdxImage> create_image(CreateContext& context);

}  // namespace varve::vhdx

#endif
