// How far a change of the master key has come (docs/formats/varve.md, section 13.6).
#ifndef VARVE_FORMATS_NATIVE_ROTATION_RECORD_H
#define VARVE_FORMATS_NATIVE_ROTATION_RECORD_H

#include <cstdint>
#include <optional>
#include <vector>

#include "native/catalog.h"

namespace varve::native {

/// The second lineage as far as it is there. Its objects are numbered: those of the snapshots, in the catalog's order, those of the other
/// records, the head.
struct RotationProgress {
  uint32_t epoch = 0;                 ///< of the master key that it is under
  uint64_t done = 0;                  ///< objects that are complete; one more may have been begun
  uint64_t next_cluster = 0;          ///< of that one
  TagBytes head_tag{};                ///< in the head's root pointer, and
  uint64_t head_size = 0;             ///< the head's size, when it was begun: another head has to be begun anew
  std::vector<uint64_t> generations;  ///< of the snapshots that are complete
  std::vector<Object> objects;
};

/// Throws corrupt for what is none.
RotationProgress parse_rotation(const OtherRecord& record);
OtherRecord record_of(const RotationProgress& progress);

/// What an object of a record shares extents with: another one of the record, of which it has all that was born up to a generation.
struct ObjectBase {
  std::optional<size_t> object;
  uint64_t generation = 0;
};
/// One for each of the record's objects; only those of a rotation have any. Throws corrupt if the record does not fit the catalog.
std::vector<ObjectBase> bases_of(const Catalog& catalog, const OtherRecord& record, uint64_t head_parent);

}  // namespace varve::native

#endif
