// Laying out a new VHDX.
#ifndef VARVE_FORMATS_VHDX_CREATE_H
#define VARVE_FORMATS_VHDX_CREATE_H

#include <memory>

#include "vhdx/vhdx_image.h"

namespace varve::vhdx {

/// As FormatDriver::create().
std::unique_ptr<VhdxImage> create_image(CreateContext& context);
/// As FormatDriver::measure().
uint64_t measure_image(const OptionValues& options, uint64_t size, const FormatDriver::CountUnits& count);

}  // namespace varve::vhdx

#endif
