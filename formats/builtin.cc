// The formats of this build, in the order in which `varve formats` lists them.
#include "image/driver.h"
#include "native/native.h"
#include "raw/raw.h"
#include "vhdx/vhdx.h"
#include "vmdk/vmdk.h"

namespace varve {

std::span<const FormatDriver* const> builtin_formats() {
  static const FormatDriver* const kFormats[] = {&native_driver(), &raw_driver(), &vhdx_driver(), &vmdk_driver()};
  return kFormats;
}

}  // namespace varve
