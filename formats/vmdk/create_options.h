// What a new VMDK can be like: the options that users give, and the plan that comes of them.
#ifndef VARVE_FORMATS_VMDK_CREATE_OPTIONS_H
#define VARVE_FORMATS_VMDK_CREATE_OPTIONS_H

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "image/options.h"

namespace varve::vmdk {

enum class Subformat : uint8_t {
  monolithic_sparse,
  monolithic_flat,
  two_gb_sparse,
  two_gb_flat,
  vmfs,
  stream_optimized,
};

/// As createType and the option spell it.
std::string_view subformat_name(Subformat subformat) noexcept;

constexpr bool is_flat(Subformat s) { return s == Subformat::monolithic_flat || s == Subformat::two_gb_flat || s == Subformat::vmfs; }

/// Option values with those of the preset filled in.
struct CreatePlan {
  Subformat subformat = Subformat::monolithic_sparse;
  std::string adapter_type;
  uint64_t hw_version = 4;
  std::optional<uint64_t> tools_version;
  std::optional<uint64_t> tools_install_type;
  uint64_t grain_sectors = 128;
  int level = 6;
  bool zeroed_grains = false;
};

/// The driver's option table.
std::vector<OptionSpec> create_option_specs();

/// What a user gave counts more than the preset, and that more than a default. `streaming`: to a pipe, which only
/// streamOptimized can go down. Throws invalid_argument for options that don't go together.
CreatePlan make_plan(const OptionValues& options, bool streaming);

}  // namespace varve::vmdk

#endif
