// Creation options, and laying out a new image.
#ifndef VARVE_FORMATS_NATIVE_CREATE_H
#define VARVE_FORMATS_NATIVE_CREATE_H

#include <memory>
#include <vector>

#include "native/native_image.h"
#include "varve/format.h"

namespace varve::native {

std::vector<OptionSpec> create_option_specs();

/// As FormatDriver::create().
std::unique_ptr<NativeImage> create_image(CreateContext& context);
/// As FormatDriver::measure().
uint64_t measure_image(const OptionValues& options, uint64_t size, const FormatDriver::CountUnits& count);

}  // namespace varve::native

#endif
