#include "native/reachable.h"

#include <map>

#include "base/checked_math.h"
#include "native/catalog.h"
#include "native/extents.h"
#include "native/unlocked.h"
#include "native/walk.h"
#include "varve/error.h"

namespace varve::test {

using native::Object;
using native::Pointer;

namespace {

constexpr uint64_t kCache = uint64_t{8} << 20;

class Walker {
 public:
  Walker(const std::shared_ptr<Storage>& file, const Unlocked& image)
      : extents_(file, image.headers.header, kCache / 2, kCache / 2, image.cipher) {}

  void all_of(const native::Superblock& superblock) {
    end_ = superblock.end;
    if (superblock.journal_length != 0) journals_[superblock.journal_offset] = superblock.journal_length;
    const native::Catalog catalog = catalog_of(superblock);
    visit(superblock.sessions);
    visit(superblock.catalog.root);
    visit(superblock.head.root);
    for (const native::Snapshot& snapshot : catalog.snapshots) visit(snapshot.object.root);
    for (const native::OtherRecord& record : catalog.others)
      for (const Object& object : record.objects) visit(object.root);
  }
  native::Catalog catalog_of(const native::Superblock& superblock) {
    return native::parse_catalog(native::read_object(extents_, superblock.catalog, superblock.end), superblock.rules(extents_.header()),
                                 superblock.generation, superblock.head_parent);
  }
  IntervalSet bytes() const {
    IntervalSet all;
    const auto take = [&](uint64_t offset, uint64_t length) {
      if (all.insert(offset, length)) throw Error(Errc::corrupt, "two extents share a place").at(offset);
    };
    for (const auto& [offset, pointer] : seen_) take(offset, pointer.length);
    for (const auto& [offset, length] : journals_) take(offset, length);
    return all;
  }
  native::Extents& extents() { return extents_; }

 private:
  void visit(const Pointer& pointer) {
    if (!pointer.has_extent()) return;
    const auto [known, fresh] = seen_.emplace(pointer.offset, pointer);
    if (!fresh && known->second != pointer) throw Error(Errc::corrupt, "two extents begin at one place").at(pointer.offset);
    if (!fresh || pointer.kind != native::Kind::node) return;
    const native::NodePtr node = extents_.node(pointer, end_);
    for (const Pointer& entry : *node) visit(entry);
  }

  native::Extents extents_;
  uint64_t end_ = 0;
  std::map<uint64_t, Pointer> seen_;
  std::map<uint64_t, uint64_t> journals_;
};

bool same_roots(const native::Superblock& a, const native::Superblock& b) {
  return a.head.root == b.head.root && a.head.size == b.head.size && a.catalog.root == b.catalog.root && a.head_parent == b.head_parent;
}

}  // namespace

Reachable reachable(const std::shared_ptr<Storage>& file) {
  const Unlocked image = unlocked(*file);
  Reachable found;
  found.superblocks = image.superblocks;
  Walker walker(file, image);
  walker.all_of(found.superblocks.current);
  found.current = walker.bytes();
  if (found.superblocks.older) walker.all_of(*found.superblocks.older);
  found.either = walker.bytes();
  return found;
}

IntervalSet intervals_of(const UnitSet& set) {
  IntervalSet all;
  set.for_each([&](const Interval& run) { all.insert(run.offset, run.length); });
  return all;
}

std::string difference(const IntervalSet& is, const IntervalSet& should_be) {
  const auto beyond = [](const IntervalSet& set, const IntervalSet& other, const char* what) -> std::string {
    for (auto run = set.find_overlap(0, set.end()); run; run = set.find_overlap(run->end(), set.end() - run->end())) {
      const auto gaps = other.gaps(run->offset, run->length);
      if (!gaps.empty()) return std::to_string(gaps.front().length) + " bytes at " + std::to_string(gaps.front().offset) + " are " + what;
    }
    return {};
  };
  std::string text = beyond(is, should_be, "taken, and nothing leads to them");
  return text.empty() ? beyond(should_be, is, "in use, and taken for free") : text;
}

std::string leaks_of_closed(const std::shared_ptr<Storage>& file) {
  const Reachable found = reachable(file);
  const native::Superblock& current = found.superblocks.current;
  if (!current.clean) return "the superblock is not clean";
  if (!found.superblocks.older || !same_roots(current, *found.superblocks.older)) return "the older superblock leads elsewhere";
  if (std::string text = difference(found.either, found.current); !text.empty()) return "the older superblock: " + text;
  if (file->size() != current.end)
    return "the file has " + std::to_string(file->size()) + " bytes, and its space ends at " + std::to_string(current.end);
  const uint64_t end = std::max(native::kFirstExtent, align_up(found.current.end(), native::kBlock));
  if (current.end != end) return "the space ends at " + std::to_string(current.end) + ", and the last extent at " + std::to_string(end);
  Walker walker(file, unlocked(*file));
  return difference(intervals_of(native::used_space(walker.extents(), current, walker.catalog_of(current))), found.current);
}

}  // namespace varve::test
