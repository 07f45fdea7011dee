#include "served_image.h"

#include <cerrno>

#include "failure.h"
#include "nbdkit.h"

namespace varve_nbdkit {
namespace {

std::unique_ptr<varve_image, FreeImage> open_image(const Parameters& parameters, const Options& options) {
  varve_image* image = nullptr;
  Outcome outcome;
  outcome.require(varve_open(parameters.file().c_str(), options.get(), &image, outcome.error()));
  return std::unique_ptr<varve_image, FreeImage>(image);
}

unsigned flags_of(bool fua) { return fua ? unsigned{VARVE_FUA} : 0U; }

uint32_t extent_type(uint32_t kind) {
  switch (kind) {
    case VARVE_EXTENT_ZERO: return NBDKIT_EXTENT_ZERO;
    case VARVE_EXTENT_ABSENT: return NBDKIT_EXTENT_HOLE | NBDKIT_EXTENT_ZERO;
    default: return 0;
  }
}

}  // namespace

void ServedImage::rehearse(const Parameters& parameters) {
  const Options options = parameters.options(true);
  varve_options_on_warning(options.get(), nullptr, nullptr);  // they come again
  open_image(parameters, options);
}

void ServedImage::open(Parameters& parameters, bool read_only) {
  const std::lock_guard lock(opening_);
  if (image_ != nullptr) return;
  image_ = open_image(parameters, parameters.options(read_only));
  parameters.forget_secrets();
}

void ServedImage::close() {
  const std::lock_guard lock(opening_);
  if (image_ == nullptr) return;
  Outcome outcome;
  outcome.require(varve_close(image_.get(), outcome.error()));
}

varve_limits ServedImage::limits() const {
  varve_limits limits{};
  Outcome outcome;
  outcome.require(varve_get_limits(image_.get(), &limits, outcome.error()));
  return limits;
}

void ServedImage::read(void* buffer, uint32_t count, uint64_t offset) {
  Outcome outcome;
  outcome.require(varve_read(image_.get(), offset, buffer, count, outcome.error()));
}

void ServedImage::write(const void* data, uint32_t count, uint64_t offset, bool fua) {
  Outcome outcome;
  outcome.require(varve_write(image_.get(), offset, data, count, flags_of(fua), outcome.error()));
}

void ServedImage::zero(uint32_t count, uint64_t offset, bool fua) {
  Outcome outcome;
  outcome.require(varve_zero(image_.get(), offset, count, flags_of(fua), outcome.error()));
}

void ServedImage::discard(uint32_t count, uint64_t offset, bool fua) {
  Outcome outcome;
  outcome.require(varve_discard(image_.get(), offset, count, flags_of(fua), outcome.error()));
}

void ServedImage::flush() {
  Outcome outcome;
  outcome.require(varve_flush(image_.get(), outcome.error()));
}

void ServedImage::extents(uint32_t count, uint64_t offset, bool one, nbdkit_extents* found) {
  const uint64_t end = offset + count;
  for (uint64_t at = offset; at < end;) {
    varve_extent extent{};
    Outcome outcome;
    outcome.require(varve_extent_at(image_.get(), at, &extent, outcome.error()));
    if (nbdkit_add_extent(found, at, extent.length, extent_type(extent.kind)) != 0) throw Failure("no room for the list of extents", errno);
    at += extent.length;
    if (one) return;
  }
}

}  // namespace varve_nbdkit
