// The format table of the unit tests: the core links without any driver of formats/.
#include "image/driver.h"
#include "unit/toy_format.h"

namespace varve {

std::span<const FormatDriver* const> builtin_formats() {
  static const FormatDriver* const kFormats[] = {&test::toy_driver(), &test::twin_driver(), &test::any_driver()};
  return kFormats;
}

}  // namespace varve
