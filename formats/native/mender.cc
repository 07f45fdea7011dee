#include "native/mender.h"

#include <algorithm>
#include <memory>

#include "base/checked_math.h"
#include "varve/error.h"

namespace varve::native {
namespace {

constexpr Place kNowhere = {UINT64_MAX, 0};
/// Entries that are looked at to find what was lost, for each block of the file: a hostile image could ask for each node of each snapshot.
constexpr uint64_t kLooksPerBlock = 1024;
constexpr uint64_t kLeastLooks = 100000000;
/// What it costs to go down a tree.
constexpr uint64_t kLooksAway = 64;

void add_run(std::vector<Interval>& runs, const Interval& run) {
  if (run.length == 0) return;
  if (!runs.empty() && runs.back().end() == run.offset)
    runs.back().length += run.length;
  else
    runs.push_back(run);
}

bool is_empty(const Node& node) {
  return std::all_of(node.begin(), node.end(), [](const Pointer& p) { return p.kind == Kind::absent; });
}

}  // namespace

Mender::Mender(Extents& extents, Space& space, const CheckResult& found, uint64_t generation)
    : extents_(extents),
      space_(space),
      found_(found),
      generation_(generation),
      children_(found.subjects.size()),
      looks_left_(std::max(kLeastLooks, space.end() / kBlock * kLooksPerBlock)) {
  for (size_t i = 0; i < found.subjects.size(); ++i)
    if (found.subjects[i].parent) children_[*found.subjects[i].parent].push_back(i);
}

std::vector<Object> Mender::run() {
  mended_ = {found_.subjects.front().object};
  for (number_ = 1; number_ < found_.subjects.size(); ++number_) {
    Object object = subject().object;
    Above above;
    if (subject().parent) {
      above.was = beside_object(extents_, found_.subjects[*subject().parent].object, object.height, end());
      above.is = beside_object(extents_, mended_[*subject().parent], object.height, end());
    }
    object.root = mend(object.root, object.height, 0, above, {0, number_});
    mended_.push_back(object);
  }
  return mended_;
}

Pointer Mender::mend(const Pointer& pointer, unsigned level, uint64_t cluster, const Above& above, Place place) {
  if (const auto fault = found_.damage.faults.find(place); fault != found_.damage.faults.end())
    return replaced(fault->second, pointer, level, cluster, above, place);
  if (!pointer.has_extent()) return pointer;
  if (pointer.birth <= subject().after) return inherited(pointer, level, above).value_or(pointer);
  if (pointer.kind == Kind::data) return pointer;
  if (const auto done = done_.find(pointer.offset); done != done_.end()) return done->second;
  done_[pointer.offset] = pointer;
  const NodePtr node = extents_.node(pointer, end());
  const AboveNode entries(*this, above, level);
  Node changed = *node;
  for (size_t i = 0; i < kFanout; ++i)
    changed[i] = mend((*node)[i], level - 1, cluster + i * clusters_under(level - 1), entries[i], {pointer.offset, i});
  if (changed == *node) return pointer;
  return done_[pointer.offset] = write(changed, level, pointer.birth);
}

/// What stands now where the parent had this one. nullopt: the parent may have had something else there.
std::optional<Pointer> Mender::inherited(const Pointer& pointer, unsigned level, const Above& above) const {
  if (!above.is.known || above.is.level != level) return std::nullopt;
  if (above.was.known && above.was.level == level && above.was.pointer == pointer) return above.is.pointer;
  if (above.is.pointer == pointer) return pointer;
  const auto done = done_.find(pointer.offset);
  if (done == done_.end() || done->second != above.is.pointer) return std::nullopt;
  return done->second;
}

Pointer Mender::replaced(Fault fault, const Pointer& pointer, unsigned level, uint64_t cluster, const Above& above, Place place) {
  if (fault == Fault::behind_end) return {};
  if (fault == Fault::dirty_tail) return without_tail(pointer, cluster);
  if (fault == Fault::unreadable && pointer.kind == Kind::node) return lost_node(pointer, level, cluster, above, place);
  if (losing_ != nullptr) add_run(*losing_, disk_range(cluster, level, extents_.header().cluster_size, subject().object.size));
  return zero_pointer(pointer.birth, level);
}

Pointer Mender::lost_node(const Pointer& pointer, unsigned level, uint64_t cluster, const Above& above, Place place) {
  std::vector<Interval> lost;
  std::vector<Interval>* const outer = std::exchange(losing_, &lost);
  Candidates all;
  collect(number_, pointer, level, cluster, all);
  const Pointer back = salvage(std::move(all), level, cluster, pointer.birth, above);
  losing_ = outer;
  if (outer != nullptr)
    for (const Interval& run : lost) add_run(*outer, run);
  lost_[place] = std::move(lost);
  return back;
}

/// The birth stays that of what was lost, so it does not say when this was encrypted.
void Mender::note_rewrite(const Pointer& pointer) {
  if (Cipher* const cipher = extents_.cipher()) cipher->note_rewrite(pointer.offset, pointer.length, generation_);
}

Pointer Mender::without_tail(const Pointer& pointer, uint64_t cluster) {
  const uint64_t cluster_size = extents_.header().cluster_size;
  const ClusterPtr old = extents_.cluster(pointer);
  Bytes bytes((*old)->bytes().begin(), (*old)->bytes().end());
  std::fill(bytes.begin() + static_cast<ptrdiff_t>(subject().object.size - cluster * cluster_size), bytes.end(), std::byte{0});
  StoredCluster stored = extents_.codec().encode(bytes);
  if (stored.zero) return zero_pointer(pointer.birth, 0);
  Pointer next = pointer;
  next.codec = stored.codec;
  next.skip = stored.codec == CodecId::none ? static_cast<uint8_t>(stored.begin / granule_of(cluster_size)) : uint8_t{0};
  next.length = stored.length;
  next.tag = stored.tag;
  next.offset = space_.take(next.length);
  note_rewrite(next);
  const MutableBytes packed = stored.bytes(MutableBytes(bytes));
  extents_.file().write_at(next.offset, extents_.seal(next, packed, packed));
  return next;
}

Pointer Mender::write(const Node& node, unsigned level, uint64_t birth) {
  if (is_empty(node)) return {};
  Pointer pointer;
  pointer.kind = Kind::node;
  pointer.level = static_cast<uint8_t>(level);
  pointer.birth = birth;
  pointer.length = kNodeSize;
  pointer.offset = space_.take_node(kNodeSize);
  note_rewrite(pointer);
  extents_.write_node(pointer, std::make_shared<Node>(node));
  return pointer;
}

// ---- what was lost -------------------------------------------------------------------------------------

Mender::AboveNode::AboveNode(const Mender& mender, const Above& above, unsigned level)
    : was_(mender.extents_, above.was, level, mender.end()), is_(mender.extents_, above.is, level, mender.end()) {}

/// What is left out would be lost though it is there, so nothing is.
void Mender::spend(uint64_t looks) {
  if (looks > looks_left_)
    throw Error(Errc::limit, "too many snapshots have lost too much for a repair")
        .hint("convert the disk and each snapshot into new images");
  looks_left_ -= looks;
}

/// What those that are based on this one have there. Where one can be read, what is based on it has nothing more of what is older.
void Mender::collect(size_t number, const Pointer& lost, unsigned level, uint64_t cluster, Candidates& all) {
  std::vector<size_t> next = children_[number];
  while (!next.empty()) {
    spend(kLooksAway);
    const size_t child = next.back();
    next.pop_back();
    const Beside there = beside_at(extents_, found_.subjects[child].object, subject().object.height, level, cluster, end());
    if (!there.known || there.pointer == lost)
      next.insert(next.end(), children_[child].begin(), children_[child].end());
    else if (there.pointer.kind != Kind::absent)
      all.push_back({child, there});
  }
}

/// Something that is as old as what was lost, so it was in it.
std::optional<Pointer> Mender::taken_back(const Candidates& all, unsigned level, uint64_t cluster, uint64_t birth, const Above& above) {
  for (const auto& [number, there] : all) {
    const Pointer& pointer = there.pointer;
    if (!there.known || there.level != level || pointer.kind == Kind::absent || pointer.birth > birth) continue;
    if (pointer.kind == Kind::zero) return pointer;
    if (pointer.birth > subject().after) {
      if (!found_.damage.bad_extents.contains(pointer.offset)) return mend(pointer, level, cluster, above, kNowhere);
    } else if (const auto old = inherited(pointer, level, above); old && old->has_extent()) {
      return old;
    }
  }
  return std::nullopt;
}

Pointer Mender::salvage(Candidates all, unsigned level, uint64_t cluster, uint64_t birth, const Above& above) {
  if (const auto back = taken_back(all, level, cluster, birth, above)) return *back;
  const Interval range = disk_range(cluster, level, extents_.header().cluster_size, subject().object.size);
  if (range.length == 0) return {};
  std::vector<std::pair<size_t, BesideNode>> nodes;
  for (size_t i = 0; level > 0 && i < all.size(); ++i) {
    const auto [number, there] = all[i];
    const bool holds = there.known && there.pointer.kind != Kind::absent && (there.level < level || there.pointer.kind == Kind::node);
    if (!holds) continue;
    const BesideNode node(extents_, there, level, end());
    if (node.known())
      nodes.emplace_back(number, node);
    else
      collect(number, there.pointer, level, cluster, all);
  }
  if (nodes.empty()) {
    add_run(*losing_, range);
    return zero_pointer(birth, level);
  }
  spend(nodes.size() * kFanout);
  const AboveNode entries(*this, above, level);
  Node node;
  for (size_t i = 0; i < kFanout; ++i) {
    Candidates below;
    for (const auto& [number, there] : nodes) below.push_back({number, there[i]});
    node[i] = salvage(std::move(below), level - 1, cluster + i * clusters_under(level - 1), birth, entries[i]);
  }
  const bool any = std::any_of(node.begin(), node.end(), [](const Pointer& p) { return p.has_extent(); });
  return any ? write(node, level, birth) : zero_pointer(birth, level);
}

}  // namespace varve::native
