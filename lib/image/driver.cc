// What a driver does that says nothing of its own.
#include "image/driver.h"

#include <algorithm>
#include <cstring>

namespace varve {

namespace {

Error no_support(std::string_view what) { return Error(Errc::unsupported, "this kind of image can't be " + std::string(what)); }

}  // namespace

void FormatImage::write_at(uint64_t, ConstBytes) { throw no_support("written in place").hint("convert it to another format or subformat"); }

bool FormatImage::zero(uint64_t, uint64_t) { return false; }

void FormatImage::discard(uint64_t, uint64_t) {}

void FormatImage::flush() {}

CheckReport FormatImage::check(const CheckOptions&) {
  throw Error(Errc::unsupported, "this format has no structure that could be checked");
}

void FormatImage::resize(uint64_t) { throw no_support("resized").hint("convert it into a new image of the wanted size"); }

void FormatImage::check_new_parent(const CreateContext::Parent*) const { throw no_support("given another parent"); }

void FormatImage::change_parent(const CreateContext::Parent* parent) { check_new_parent(parent); }

void FormatImage::renew_parent(const std::string&) { throw no_support("told of a change of its parent"); }

void FormatImage::read_backing(uint64_t offset, MutableBytes out) {
  if (backing_ == nullptr) {
    std::memset(out.data(), 0, out.size());
  } else {
    backing_->read_at(offset, out);
  }
}

bool FormatImage::read_backing_at_once(uint64_t offset, MutableBytes out) {
  if (backing_ != nullptr) return backing_->read_at_once(offset, out);
  std::memset(out.data(), 0, out.size());
  return true;
}

std::unique_ptr<FormatImage> FormatDriver::create(CreateContext&) const {
  throw Error(Errc::unsupported, "images of format " + std::string(info().name) + " can't be created");
}

// NOLINTNEXTLINE(performance-unnecessary-value-param): a driver that reads streams keeps the source
std::unique_ptr<StreamReader> FormatDriver::open_stream(std::shared_ptr<ByteSource>, DriverContext&) const {
  throw Error(Errc::unsupported, "format " + std::string(info().name) + " can't be read from a pipe").hint("save it to a file first");
}

uint64_t FormatDriver::measure(const OptionValues&, uint64_t, const CountUnits&) const {
  throw Error(Errc::unsupported, "how large images of format " + std::string(info().name) + " become can't be told beforehand");
}

}  // namespace varve
