// The drivers of this build, by name.
#ifndef VARVE_IMAGE_REGISTRY_H
#define VARVE_IMAGE_REGISTRY_H

#include <string_view>

#include "image/driver.h"

namespace varve {

/// Throws invalid_argument, naming the known formats, if there is none of this name.
const FormatDriver& driver_named(std::string_view name);

}  // namespace varve

#endif
