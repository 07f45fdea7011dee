#include "vmdk/vmdk.h"

#include "vmdk/create.h"
#include "vmdk/create_options.h"
#include "vmdk/measure.h"
#include "vmdk/open.h"
#include "vmdk/stream_reader.h"

namespace varve {
namespace {

class VmdkDriver final : public FormatDriver {
 public:
  const FormatInfo& info() const override {
    static const FormatInfo kInfo = [] {
      FormatInfo info;
      info.name = "vmdk";
      info.description = "VMware virtual disk: sparse, flat, split, streamOptimized, ESXi's sparse types";
      info.extensions = {"vmdk"};
      info.can = {.create = true,
                  .write = true,
                  .parent = true,
                  .zero = true,
                  .discard = true,
                  .resize = true,
                  .check = true,
                  .repair = true,
                  .stream_in = true,
                  .stream_out = true};
      info.create_options = vmdk::create_option_specs();
      return info;
    }();
    return kInfo;
  }
  ProbeResult probe(const ProbeInput& input) const override { return vmdk::probe_image(input); }
  std::unique_ptr<FormatImage> open(OpenContext& context) const override { return vmdk::open_image(context); }
  std::unique_ptr<FormatImage> create(CreateContext& context) const override { return vmdk::create_image(context); }
  std::unique_ptr<StreamReader> open_stream(std::shared_ptr<ByteSource> source, DriverContext& context) const override {
    return std::make_unique<vmdk::VmdkStreamReader>(std::move(source), context);
  }
  uint64_t measure(const OptionValues& options, uint64_t size, const CountUnits& count) const override {
    return vmdk::measure_image(options, size, count);
  }
};

}  // namespace

const FormatDriver& vmdk_driver() {
  static const VmdkDriver kDriver;
  return kDriver;
}

}  // namespace varve
