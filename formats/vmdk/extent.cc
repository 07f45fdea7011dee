#include "vmdk/extent.h"

#include <algorithm>

#include "varve/error.h"

namespace varve::vmdk {
namespace {

[[noreturn]] void throw_read_only() {
  throw Error(Errc::unsupported, "this kind of VMDK extent can only be read").hint("convert the image to another subformat");
}

}  // namespace

void ExtentDriver::prepare_write() {
  if (!writable()) throw_read_only();
}

void ExtentDriver::write_at(uint64_t /*offset*/, ConstBytes /*data*/) { throw_read_only(); }

void ExtentDriver::check_resize(uint64_t /*size*/) const {
  throw Error(Errc::unsupported, "this kind of VMDK extent cannot be resized").hint("convert the image to another subformat");
}

void ExtentDriver::read_below(uint64_t offset, MutableBytes out) {
  if (below_)
    below_(offset, out);
  else
    std::fill(out.begin(), out.end(), std::byte{0});
}

}  // namespace varve::vmdk
