#include "native/object.h"

#include <algorithm>

#include "base/checked_math.h"
#include "varve/error.h"

namespace varve::native {

static_assert(clusters_under(1) == kFanout);

unsigned height_of(uint64_t size, uint64_t cluster_size) {
  const uint64_t clusters = div_ceil(size, cluster_size);
  unsigned height = 0;
  while (clusters_under(height) < clusters) ++height;
  return height;
}

Object parse_object(const ObjectRaw& raw, const PointerRules& rules, uint64_t newest_birth) {
  Object object;
  object.size = raw.size;
  object.parent = raw.parent;
  object.height = raw.height;
  object.newest_birth = newest_birth;
  if (object.size > kMaxSize) throw Error(Errc::corrupt, "an object of " + std::to_string(object.size) + " bytes, 2^62 are the most");
  if (object.height != height_of(object.size, rules.cluster_size))
    throw Error(Errc::corrupt, "a tree of another height than its size needs");
  if (std::any_of(raw.reserved.begin(), raw.reserved.end(), [](uint8_t byte) { return byte != 0; }))
    throw Error(Errc::corrupt, "an object with reserved bytes set");
  object.root = parse_pointer(raw.root, rules, object.height, newest_birth);
  if (object.size == 0 && object.root.kind != Kind::absent) throw Error(Errc::corrupt, "an empty object with contents");
  return object;
}

ObjectRaw encode(const Object& object, uint64_t unit) {
  ObjectRaw raw{};
  raw.size = object.size;
  raw.parent = object.parent;
  raw.height = object.height;
  raw.root = encode(object.root, unit);
  return raw;
}

}  // namespace varve::native
