// Where an extent lies, what it is, when it was written, and what its bytes must be (docs/formats/varve.md, section 5).
#ifndef VARVE_FORMATS_NATIVE_POINTER_H
#define VARVE_FORMATS_NATIVE_POINTER_H

#include <algorithm>
#include <cstdint>

#include "native/structures.h"

namespace varve::native {

enum class Kind : uint8_t { absent = 0, zero = 1, data = 2, node = 3 };
enum class CodecId : uint8_t { none = 0, zlib = 1, zstd = 2 };

/// Validated: reserved bits are zero, fields agree with the kind. Whether it may stand where it stands is for PointerRules.
struct Pointer {
  Kind kind = Kind::absent;
  uint8_t level = 0;
  CodecId codec = CodecId::none;
  uint64_t birth = 0;
  uint64_t offset = 0;  ///< in the file, bytes
  uint64_t length = 0;  ///< stored, bytes
  uint8_t skip = 0;     ///< zeros of the cluster before what is stored, granules; those behind it are what is left
  TagBytes tag{};

  bool operator==(const Pointer&) const = default;
  bool has_extent() const { return kind == Kind::data || kind == Kind::node; }
  uint64_t end() const { return offset + length; }
};

/// A zero that was written in generation `birth`.
Pointer zero_pointer(uint64_t birth, unsigned level);

/// What the zeros at the ends of a cluster that are not stored are counted in, bytes.
constexpr uint64_t granule_of(uint64_t cluster_size) { return std::max(kBlock, cluster_size / kGranules); }

/// What a pointer is held against.
struct PointerRules {
  uint64_t cluster_size = 0;
  uint64_t unit = 0;
  uint64_t end = 0;  ///< of used space, bytes
  uint64_t granule = granule_of(cluster_size);
};

/// Throws corrupt unless the pointer may stand at this level under this birth.
Pointer parse_pointer(const PointerRaw& raw, const PointerRules& rules, unsigned level, uint64_t newest_birth);
PointerRaw encode(const Pointer& pointer, uint64_t unit);

}  // namespace varve::native

#endif
