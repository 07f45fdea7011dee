#include "vhdx/vhdx.h"

#include "vhdx/create.h"
#include "vhdx/create_options.h"
#include "vhdx/open.h"

namespace varve {
namespace {

class VhdxDriver final : public FormatDriver {
 public:
  const FormatInfo& info() const override {
    static const FormatInfo kInfo = [] {
      FormatInfo info;
      info.name = "vhdx";
      info.description = "Hyper-V virtual disk: dynamic, fixed, differencing, with a log";
      info.extensions = {"vhdx", "avhdx"};
      info.can = {.create = true,
                  .write = true,
                  .parent = true,
                  .zero = true,
                  .discard = true,
                  .resize = true,
                  .check = true,
                  .repair = true,
                  .stream_in = false,
                  .stream_out = false};
      info.create_options = vhdx::create_option_specs();
      return info;
    }();
    return kInfo;
  }
  ProbeResult probe(const ProbeInput& input) const override { return vhdx::probe_image(input); }
  std::unique_ptr<FormatImage> open(OpenContext& context) const override { return vhdx::open_image(context); }
  std::unique_ptr<FormatImage> create(CreateContext& context) const override { return vhdx::create_image(context); }
  uint64_t measure(const OptionValues& options, uint64_t size, const CountUnits& count) const override {
    return vhdx::measure_image(options, size, count);
  }
};

}  // namespace

const FormatDriver& vhdx_driver() {
  static const VhdxDriver kDriver;
  return kDriver;
}

}  // namespace varve
