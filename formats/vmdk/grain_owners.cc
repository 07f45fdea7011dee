#include "vmdk/grain_owners.h"

#include <algorithm>

#include "varve/error.h"

namespace varve::vmdk {
namespace {

/// With the default limits enough for 128 TiB of grains of 4 KiB, more than any VMDK has.
constexpr unsigned kMaxWindows = 256;

}  // namespace

GrainOwners::GrainOwners(uint64_t places, uint64_t max_bytes)
    : owned_(std::min(places, std::max<uint64_t>(1, std::min(max_bytes, UINT64_MAX / 8)) * 8)) {}

bool GrainOwners::claim(uint64_t first, uint64_t count) {
  const uint64_t last = first + count;
  if (last > end()) next_ = std::min(next_, std::max(first, end()));
  const bool free = !owned(first, count);
  const uint64_t from = std::max(first, begin_);
  const uint64_t to = std::min(last, end());
  if (from < to) owned_.set_range(from - begin_, to - from);
  return free;
}

bool GrainOwners::owned(uint64_t first, uint64_t count) const {
  const uint64_t from = std::max(first, begin_);
  const uint64_t to = std::min(first + count, end());
  return from < to && owned_.any(from - begin_, to - from);
}

uint64_t GrainOwners::next_free(uint64_t place) const { return in_window(place) ? begin_ + owned_.find_next_clear(place - begin_) : place; }

bool GrainOwners::advance() {
  if (next_ == UINT64_MAX) return false;
  if (++windows_ > kMaxWindows) throw Error(Errc::limit, "the grains are scattered over too much of the file to be checked");
  begin_ = next_;
  next_ = UINT64_MAX;
  owned_.clear_all();
  return true;
}

}  // namespace varve::vmdk
