// Creation options of VHDX (docs/formats/vhdx.md).
#ifndef VARVE_FORMATS_VHDX_CREATE_OPTIONS_H
#define VARVE_FORMATS_VHDX_CREATE_OPTIONS_H

#include <cstdint>
#include <vector>

#include "image/options.h"
#include "varve/format.h"
#include "vhdx/metadata.h"

namespace varve {
class RandomSource;
}

namespace varve::vhdx {

std::vector<OptionSpec> create_option_specs();

/// What the options say of the disk; its size and parent are left to the caller. Throws invalid_argument where options contradict each
/// other.
Metadata make_plan(const OptionValues& options, RandomSource& random);

}  // namespace varve::vhdx

#endif
