// A sequence of bytes held by a tree (docs/formats/varve.md, section 6).
#ifndef VARVE_FORMATS_NATIVE_OBJECT_H
#define VARVE_FORMATS_NATIVE_OBJECT_H

#include <cstdint>

#include "native/pointer.h"

namespace varve::native {

struct Object {
  uint64_t size = 0;    ///< bytes
  uint32_t parent = 0;  ///< id of the reference that absent parts come from; 0: zeros
  uint8_t height = 0;   ///< level of the root
  Pointer root;
  uint64_t newest_birth = 0;  ///< nothing in the tree was born later; not stored

  bool operator==(const Object&) const = default;
};

/// The least height at which a tree holds `size` bytes.
unsigned height_of(uint64_t size, uint64_t cluster_size);
/// How many clusters a pointer at `level` covers.
constexpr uint64_t clusters_under(unsigned level) { return uint64_t{1} << (9 * level); }

/// Throws corrupt for sizes, heights and roots that contradict each other.
Object parse_object(const ObjectRaw& raw, const PointerRules& rules, uint64_t newest_birth);
ObjectRaw encode(const Object& object, uint64_t unit);

}  // namespace varve::native

#endif
