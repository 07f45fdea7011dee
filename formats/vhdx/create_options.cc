#include "vhdx/create_options.h"

#include <string>

#include "base/random.h"
#include "varve/error.h"

namespace varve::vhdx {

std::vector<OptionSpec> create_option_specs() {
  return {
      {"subformat", OptionType::choice, "dynamic", "how the disk is stored", {"dynamic", "fixed"}},
      {"preset", OptionType::choice, "", "a target's needs: hyperv has sectors and blocks as Windows makes them", {"hyperv"}},
      {"block_size", OptionType::size, "32M", "unit of allocation", {}, kMinBlockSize, kMaxBlockSize, true},
      {"logical_sector_size", OptionType::choice, "512", "sector that the guest sees, bytes; a child has its parent's", {"512", "4096"}},
      {"physical_sector_size", OptionType::choice, "4096", "sector that the guest aligns to, bytes", {"512", "4096"}},
      {"disk_id", OptionType::text, "", "the disk's identifier (SCSI page 83), a UUID; default: a new one, or the parent's"},
  };
}

Metadata make_plan(const OptionValues& options, RandomSource& random) {
  // What Windows makes by default is what the table has as defaults, so the preset only keeps them from being changed.
  if (options.is_set("preset")) {
    for (const char* name : {"block_size", "logical_sector_size", "physical_sector_size"}) {
      if (options.is_given(name))
        throw Error(Errc::invalid_argument, std::string("preset hyperv sets ") + name).hint("leave one of the two out");
    }
  }
  Metadata plan;
  plan.fixed = options.text("subformat") == "fixed";
  plan.block_size = options.number("block_size");
  plan.logical_sector = std::stoull(options.text("logical_sector_size"));
  plan.physical_sector = std::stoull(options.text("physical_sector_size"));
  plan.disk_id = options.is_given("disk_id") ? parse_uuid(options.text("disk_id")) : random_uuid(random);
  return plan;
}

}  // namespace varve::vhdx
