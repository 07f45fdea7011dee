// What an image holds beside the head (docs/formats/varve.md, section 7).
#ifndef VARVE_FORMATS_NATIVE_CATALOG_H
#define VARVE_FORMATS_NATIVE_CATALOG_H

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/uuid.h"
#include "native/extents.h"
#include "native/object.h"

namespace varve::native {

struct Snapshot {
  Uuid uuid;
  uint64_t id = 0;
  uint64_t parent = 0;  ///< id; 0: none
  uint64_t generation = 0;
  uint64_t time = 0;  ///< nanoseconds since 1970
  bool hidden = false;
  bool held = false;
  std::string name;  ///< UTF-8; empty if hidden
  Object object;
};

struct ParentReference {
  uint32_t id = 0;
  std::string format;
  std::string path;
  std::string identity;
};

/// A record that is kept as it is.
struct OtherRecord {
  uint32_t type = 0;
  uint16_t flags = 0;
  std::vector<Object> objects;
  std::vector<std::byte> payload;
};

/// What the record of an attachment says beside its object.
struct Attachment {
  uint64_t id = 0;
  uint64_t snapshot = 0;  ///< id; 0: of the image. The snapshot may be gone: then the record is a leftover
  uint64_t time = 0;      ///< nanoseconds since 1970
  std::string name;       ///< UTF-8
};

struct Catalog {
  std::vector<Snapshot> snapshots;  ///< parents before children
  std::vector<ParentReference> parents;
  std::vector<OtherRecord> others;  ///< attachments, and types that are not known

  bool may_be_written() const;  ///< no record that is unknown forbids it
  const Snapshot* find(uint64_t id) const;
  const Snapshot* find(std::string_view name) const;
  const ParentReference* parent(uint32_t id) const;
  /// 0 for id 0.
  uint64_t generation_of(uint64_t id) const;
  /// Snapshots whose parent is this one.
  size_t children_of(uint64_t id) const;
};

/// Throws corrupt for what contradicts the format or itself; unsupported for records that must be understood and are not.
Catalog parse_catalog(ConstBytes bytes, const PointerRules& rules, uint64_t generation, uint64_t head_parent);
/// Throws corrupt for what is none.
Attachment parse_attachment(const OtherRecord& record);
OtherRecord record_of(const Attachment& attachment, const Object& object);
std::vector<std::byte> encode(const Catalog& catalog, uint64_t unit);

/// All bytes of a small object without a parent.
std::vector<std::byte> read_object(Extents& extents, const Object& object, uint64_t end);

}  // namespace varve::native

#endif
