// What a conversion would need: the driver tells from where the data are, which the extents of the chain tell.
#include <algorithm>
#include <map>

#include "base/checked_math.h"
#include "image/options.h"
#include "image/registry.h"
#include "varve/ops.h"

namespace varve {

namespace {

uint64_t count_units(Image& image, uint64_t unit, const CancelToken* cancel) {
  uint64_t units = 0;
  uint64_t counted_end = 0;  // units before this one are dealt with
  const auto count = [&](const Extent& run) {
    if (run.kind != ExtentKind::data) return;
    const uint64_t first = std::max(counted_end, run.offset / unit);
    counted_end = std::max(first, div_ceil(run.offset + run.length, unit));
    units += counted_end - first;
  };
  map(image, count, cancel);
  return units;
}

MeasureReport measure(uint64_t size, std::string_view format, const OptionMap& given, const FormatDriver::CountUnits& count) {
  const FormatDriver& driver = driver_named(format);
  if (!driver.info().can.create) throw Error(Errc::unsupported, "images of format " + std::string(format) + " can't be created");
  const OptionValues options(driver.info(), given);
  MeasureReport report;
  report.virtual_size = size;
  report.required = driver.measure(options, size, count);
  report.fully_allocated = driver.measure(options, size, [size](uint64_t unit) { return div_ceil(size, unit); });
  return report;
}

}  // namespace

MeasureReport measure(Image& source, std::string_view format, const OptionMap& options, const CancelToken* cancel) {
  std::map<uint64_t, uint64_t> counted;  // a driver may ask twice
  return measure(source.size(), format, options, [&](uint64_t unit) {
    const auto known = counted.find(unit);
    return known != counted.end() ? known->second : counted[unit] = count_units(source, unit, cancel);
  });
}

MeasureReport measure(uint64_t size, std::string_view format, const OptionMap& options) {
  return measure(size, format, options, [](uint64_t) { return uint64_t{0}; });
}

}  // namespace varve
