// What a check finds, and what a repair does about it.
#ifndef VARVE_FORMATS_NATIVE_CHECK_H
#define VARVE_FORMATS_NATIVE_CHECK_H

#include <compare>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <tuple>
#include <vector>

#include "base/interval_set.h"
#include "native/catalog.h"
#include "native/superblock.h"
#include "varve/check.h"

namespace varve::native {

class NativeImage;

/// One object. Its extents that are not newer than `after` are its parent's, which must hold them at the same place [R7].
struct Subject {
  std::string name;
  Object object;
  uint64_t after = 0;
  std::optional<size_t> parent = {};  ///< among the subjects, before this one
  bool branch_point = false;
};

/// The catalog, the snapshots with parents before children, the objects of other records, the head.
std::vector<Subject> subjects_of(const Superblock& superblock, const Catalog& catalog);

/// What one object holds where something of another one stands.
struct Beside {
  bool known = true;  ///< false: it is damaged there
  Pointer pointer;
  unsigned level = 0;  ///< in a lower tree the root stands for the first entry
};
Beside beside_object(Extents& extents, const Object& object, unsigned height, uint64_t end);

/// What one object holds where a node at `level` of another one stands: entry by entry.
class BesideNode {
 public:
  BesideNode(Extents& extents, const Beside& beside, unsigned level, uint64_t end);
  Beside operator[](size_t index) const;
  bool known() const { return known_; }

 private:
  const Beside beside_;
  const unsigned level_;
  bool known_;
  NodePtr node_;
};

/// What an object holds there; `height` is that of the object whose positions are meant.
Beside beside_at(Extents& extents, const Object& object, unsigned height, unsigned level, uint64_t cluster, uint64_t end);

/// Where a pointer stands: the node that holds it, by its place in the file, and the entry. Of a root: 0, and the number of the subject.
struct Place {
  uint64_t node = 0;
  uint64_t entry = 0;
  auto operator<=>(const Place&) const = default;
};

enum class Fault : uint8_t {
  unreadable,  ///< the extent is not what was written
  misplaced,   ///< it is another's, or can't be what stands there
  behind_end,  ///< nothing may stand there
  dirty_tail,  ///< of a cluster: bytes behind the object's end
};

/// What old extents can't be held against: their place in the tree and in the file.
using Orphan = std::tuple<unsigned, uint64_t, uint64_t>;  // level, first cluster, offset

/// What a repair has to do in the trees.
struct Damage {
  std::map<Place, Fault> faults;
  /// Old extents of an object whose parent can't be read there: the parent has lost them, and gets them back.
  std::set<Orphan> orphans;
  std::set<uint64_t> bad_extents;  ///< in the file: unreadable ones, and those of two owners
  bool beyond_repair = false;      ///< something can't be read or understood, and may not be damaged
};

struct Found {
  Finding finding;
  Repair by = Repair::none;    ///< what it takes to mend it
  std::optional<Place> place;  ///< that it comes from
};

struct CheckResult {
  CheckReport totals;  ///< of what is not in `found`
  std::vector<Found> found;
  std::vector<Subject> subjects;
  Damage damage;
  bool copies = false;   ///< of header, superblock or journal, one does not count
  bool catalog = false;  ///< it is to be written anew
};

/// More faults than these are counted, and mended in another round.
inline constexpr size_t kMaxFaults = 100000;

CheckResult look_at(NativeImage& image, const CheckOptions& options);

/// Part of a disk of `size` bytes.
Interval disk_range(uint64_t cluster, unsigned level, uint64_t cluster_size, uint64_t size);

}  // namespace varve::native

#endif
