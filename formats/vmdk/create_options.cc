#include "vmdk/create_options.h"

#include <algorithm>
#include <array>
#include <utility>

#include "varve/error.h"
#include "vmdk/structures.h"

namespace varve::vmdk {
namespace {

constexpr std::array<std::pair<Subformat, std::string_view>, 6> kSubformats{{
    {Subformat::monolithic_sparse, "monolithicSparse"},
    {Subformat::monolithic_flat, "monolithicFlat"},
    {Subformat::two_gb_sparse, "twoGbMaxExtentSparse"},
    {Subformat::two_gb_flat, "twoGbMaxExtentFlat"},
    {Subformat::vmfs, "vmfs"},
    {Subformat::stream_optimized, "streamOptimized"},
}};

/// What each preset sets. Documented in docs/formats/vmdk.md, "Presets".
struct Preset {
  std::string_view name;
  Subformat subformat;
  std::string_view adapter_type;
  uint64_t hw_version;
  bool tools_keys;
};

constexpr std::array<Preset, 3> kPresets{{
    {"esxi", Subformat::vmfs, "lsilogic", 14, false},
    {"workstation", Subformat::monolithic_sparse, "lsilogic", 14, false},
    {"ova", Subformat::stream_optimized, "lsilogic", 14, true},
}};

// What open-vmdk writes: tools of unknown version that the guest brings along.
constexpr uint64_t kToolsVersionUnknown = 2147483647;
constexpr uint64_t kToolsInstallTypeGuest = 4;

Subformat subformat_named(std::string_view name) {
  for (const auto& [subformat, known] : kSubformats)
    if (known == name) return subformat;
  throw Error(Errc::invalid_argument, "no VMDK subformat is called '" + std::string(name) + "'");
}

const Preset* preset_named(std::string_view name) {
  const auto found = std::find_if(kPresets.begin(), kPresets.end(), [&](const Preset& preset) { return preset.name == name; });
  return found == kPresets.end() ? nullptr : &*found;
}

void apply(const Preset& preset, CreatePlan& plan) {
  plan.subformat = preset.subformat;
  plan.adapter_type = preset.adapter_type;
  plan.hw_version = preset.hw_version;
  if (!preset.tools_keys) return;
  plan.tools_version = kToolsVersionUnknown;
  plan.tools_install_type = kToolsInstallTypeGuest;
}

/// An option that has no effect in this subformat is a misunderstanding, not a wish to ignore.
void require_meaning(const OptionValues& options, const CreatePlan& plan) {
  const auto refuse = [&](std::string_view option, std::string_view where) {
    throw Error(Errc::invalid_argument,
                "option " + std::string(option) + " has no meaning in a VMDK of subformat " + std::string(subformat_name(plan.subformat)))
        .hint("it belongs to " + std::string(where));
  };
  const bool stream = plan.subformat == Subformat::stream_optimized;
  if (options.is_given("compression_level") && !stream) refuse("compression_level", "streamOptimized");
  if (options.is_given("grain_size") && is_flat(plan.subformat)) refuse("grain_size", "the sparse subformats and streamOptimized");
  if (options.is_given("zeroed_grain") && options.boolean("zeroed_grain") && (stream || is_flat(plan.subformat)))
    refuse("zeroed_grain", "monolithicSparse and twoGbMaxExtentSparse");
}

}  // namespace

std::string_view subformat_name(Subformat subformat) noexcept {
  for (const auto& [known, name] : kSubformats)
    if (known == subformat) return name;
  return "";
}

std::vector<OptionSpec> create_option_specs() {
  std::vector<OptionSpec> specs;
  OptionSpec subformat{"subformat", OptionType::choice, "monolithicSparse", "how the disk is stored"};
  for (const auto& [unused, name] : kSubformats) subformat.choices.push_back(name);
  specs.push_back(std::move(subformat));
  OptionSpec preset{"preset", OptionType::choice, "", "a target's needs: sets subformat, adapter_type, hwversion and more"};
  for (const Preset& known : kPresets) preset.choices.push_back(known.name);
  specs.push_back(std::move(preset));
  specs.push_back({"adapter_type",
                   OptionType::choice,
                   "lsilogic",
                   "disk controller that the guest is to see",
                   {"ide", "buslogic", "lsilogic", "legacyESX"}});
  specs.push_back({"hwversion", OptionType::number, "4", "virtual hardware version", {}, 1, 99});
  specs.push_back({"grain_size", OptionType::size, "64K", "unit of allocation and compression", {}, 4096, uint64_t{1} << 20, true});
  specs.push_back({"compression_level", OptionType::number, "6", "1 is fast, 9 is small; of streamOptimized", {}, 1, 9});
  specs.push_back({"zeroed_grain", OptionType::boolean, "off", "mark zeros over a parent in the tables; not read by every program"});
  specs.push_back({"tools_version", OptionType::number, "", "version of VMware Tools in the guest", {}, 0, UINT32_MAX});
  specs.push_back({"tools_install_type", OptionType::number, "", "how VMware Tools got there: 4 is open-vm-tools", {}, 0, 4});
  return specs;
}

CreatePlan make_plan(const OptionValues& options, bool streaming) {
  CreatePlan plan;
  plan.subformat = streaming ? Subformat::stream_optimized : subformat_named(options.text("subformat"));
  plan.adapter_type = options.text("adapter_type");
  plan.hw_version = options.number("hwversion");
  if (const Preset* preset = preset_named(options.text("preset"))) apply(*preset, plan);
  if (options.is_given("subformat")) plan.subformat = subformat_named(options.text("subformat"));
  if (options.is_given("adapter_type")) plan.adapter_type = options.text("adapter_type");
  if (options.is_given("hwversion")) plan.hw_version = options.number("hwversion");
  if (options.is_set("tools_version")) plan.tools_version = options.number("tools_version");
  if (options.is_set("tools_install_type")) plan.tools_install_type = options.number("tools_install_type");
  plan.grain_sectors = options.number("grain_size") / kSectorSize;
  plan.level = static_cast<int>(options.number("compression_level"));
  plan.zeroed_grains = options.boolean("zeroed_grain");
  require_meaning(options, plan);
  if (streaming && plan.subformat != Subformat::stream_optimized)
    throw Error(Errc::invalid_argument, "a VMDK of subformat " + std::string(subformat_name(plan.subformat)) + " can't go down a pipe")
        .hint("give subformat=streamOptimized");
  return plan;
}

}  // namespace varve::vmdk
