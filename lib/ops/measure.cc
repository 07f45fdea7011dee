// What a conversion would need: the driver tells from where the data are, which the extents of the chain tell.
#include <algorithm>
#include <functional>
#include <map>

#include "base/checked_math.h"
#include "image/options.h"
#include "image/registry.h"
#include "varve/ops.h"

namespace varve {

namespace {

using Visit = std::function<void(uint64_t offset, uint64_t end)>;

/// Calls `visit` for each run of data, in order.
void visit_data(Image& image, const CancelToken* cancel, const Visit& visit) {
  const uint64_t size = image.size();
  for (uint64_t offset = 0; offset < size;) {
    if (cancel != nullptr) cancel->check();
    const Extent run = image.extent_at(offset);
    offset = run.offset + run.length;
    if (run.kind == ExtentKind::data) visit(run.offset, offset);
  }
}

uint64_t count_units(Image& image, uint64_t unit, const CancelToken* cancel) {
  uint64_t units = 0;
  uint64_t counted_end = 0;  // units before this one are dealt with
  visit_data(image, cancel, [&](uint64_t offset, uint64_t end) {
    const uint64_t first = std::max(counted_end, offset / unit);
    counted_end = std::max(first, div_ceil(end, unit));
    units += counted_end - first;
  });
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
