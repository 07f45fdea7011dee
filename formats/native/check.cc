// Checking a whole image: both copies of everything that has two, every pointer, every node, and who owns what.
#include "native/check.h"

#include <algorithm>
#include <string>

#include "base/checked_math.h"
#include "base/unit_set.h"
#include "native/native_image.h"
#include "native/rotation_record.h"
#include "native/walk.h"
#include "varve/error.h"

namespace varve::native {

std::vector<Subject> subjects_of(const Superblock& superblock, const Catalog& catalog) {
  std::map<uint64_t, size_t> numbers;  // of snapshots, by id
  std::vector<Subject> all = {{"the catalog", superblock.catalog}};
  const auto add = [&](std::string name, const Object& object, uint64_t parent) -> Subject& {
    Subject subject{std::move(name), object};
    if (const auto above = numbers.find(parent); above != numbers.end()) {
      subject.parent = above->second;
      subject.after = catalog.snapshots[above->second - 1].generation;
    }
    return all.emplace_back(std::move(subject));
  };
  for (const Snapshot& s : catalog.snapshots) {
    add(s.hidden ? "a branch point" : "snapshot " + s.name, s.object, s.parent).branch_point = s.hidden;
    numbers[s.id] = all.size() - 1;
  }
  for (const OtherRecord& record : catalog.others) {
    const std::vector<ObjectBase> bases = bases_of(catalog, record, superblock.head_parent);
    const size_t first = all.size();
    for (size_t i = 0; i < bases.size(); ++i) {
      Subject& subject = all.emplace_back(Subject{"a record of the catalog", record.objects[i], bases[i].generation});
      if (bases[i].object) subject.parent = first + *bases[i].object;
    }
  }
  add("the disk", superblock.head, superblock.head_parent);
  return all;
}

Beside beside_object(Extents& extents, const Object& object, unsigned height, uint64_t end) {
  Beside beside;
  try {
    beside.pointer = beside_root(extents, object, height, end, beside.level);
  } catch (const Error&) {
    beside.known = false;  // told with that object
  }
  return beside;
}

BesideNode::BesideNode(Extents& extents, const Beside& beside, unsigned level, uint64_t end)
    : beside_(beside), level_(level), known_(beside.known) {
  if (!known_ || beside.level < level || beside.pointer.kind != Kind::node) return;
  try {
    node_ = extents.node(beside.pointer, end);
  } catch (const Error&) {
    known_ = false;
  }
}

Beside BesideNode::operator[](size_t index) const {
  if (!known_) return {false, {}, 0};
  if (beside_.level < level_ && index == 0) return beside_;
  return {true, node_ != nullptr ? (*node_)[index] : Pointer(), level_ - 1};
}

Beside beside_at(Extents& extents, const Object& object, unsigned height, unsigned level, uint64_t cluster, uint64_t end) {
  Beside beside = beside_object(extents, object, height, end);
  for (; height > level; --height) beside = BesideNode(extents, beside, height, end)[cluster / clusters_under(height - 1) % kFanout];
  return beside;
}

Interval disk_range(uint64_t cluster, unsigned level, uint64_t cluster_size, uint64_t size) {
  const uint64_t clusters = div_ceil(size, cluster_size);
  if (cluster >= clusters) return {size, 0};
  const uint64_t count = std::min(clusters_under(level), clusters - cluster);
  return {cluster * cluster_size, std::min(count * cluster_size, size - cluster * cluster_size)};
}

namespace {

/// Orphans take memory for each entry of a node: what is left out is looked at when the parent has got it back.
constexpr size_t kMaxOrphans = 500000;
constexpr size_t kMaxKnown = 256;
/// Extents that are compared for each branch point and each of its children.
constexpr uint64_t kMaxLooks = 10000000;

class ImageCheck {
 public:
  ImageCheck(NativeImage& image, const CheckOptions& options)
      : image_(image),
        options_(options),
        durable_(image.durable()),
        rules_(durable_.rules(image.parts().headers.header)),
        owned_(image.parts().headers.header.unit) {}

  CheckResult run() {
    check_copies();
    owned_.insert(0, kFirstExtent);
    owned_.insert(durable_.journal_offset, durable_.journal_length);
    owned_.insert(durable_.sessions.offset, durable_.sessions.length);
    check_journal();
    result_.subjects = subjects_of(durable_, image_.catalog());
    lost_.resize(result_.subjects.size());
    for (number_ = 0; number_ < result_.subjects.size(); ++number_) check_subject();
    CheckReport& totals = result_.totals;
    totals.damaged_bytes = damaged_bytes_;
    totals.branch_point_bytes = branch_point_bytes();
    totals.free_bytes = image_.catalog_fault() ? std::nullopt : std::optional(std::max(durable_.end, owned_.end()) - owned_.total());
    return std::move(result_);
  }

 private:
  const Subject& subject() const { return result_.subjects[number_]; }

  void check_subject() {
    if (number_ == 0 && image_.catalog_fault()) return check_lost_catalog();
    const size_t before = result_.damage.faults.size();
    ancestors_.clear();
    known_.clear();
    Beside beside;
    if (subject().parent)
      beside = beside_object(image_.extents(), result_.subjects[*subject().parent].object, subject().object.height, rules_.end);
    look(subject().object.root, subject().object.height, 0, beside, {0, number_});
    if (number_ == 0) result_.catalog = result_.damage.faults.size() != before;
  }

  void check_lost_catalog() {
    const Error& fault = *image_.catalog_fault();
    add("the catalog is damaged, so all snapshots are lost: " + fault.message(), fault.offset(), Repair::all);
    if (durable_.head.parent == 0) return;
    Found found;
    found.finding.message = "the disk does not know its parent any more: what it had from there is lost";
    found.finding.disk_offset = 0;
    found.finding.disk_length = durable_.head.size;
    found.by = Repair::all;
    result_.found.push_back(std::move(found));
  }

  // ---- what is told --------------------------------------------------------------------------------

  Finding& add(std::string message, std::optional<uint64_t> file_offset, Repair by) {
    Found found;
    found.finding.message = std::move(message);
    found.finding.file_offset = file_offset;
    found.by = by;
    return result_.found.emplace_back(std::move(found)).finding;
  }

  void check_copies() {
    const ImageParts& parts = image_.parts();
    for (size_t i = 0; i < 2; ++i) {
      if (parts.headers.faults[i].empty()) continue;
      add("copy " + std::to_string(i + 1) + " of the header does not count: " + parts.headers.faults[i], kRegions[i], Repair::safe);
      result_.copies = true;
    }
    for (size_t i = 0; i < 2; ++i) {
      if (parts.key_area.faults[i].empty()) continue;
      add("copy " + std::to_string(i + 1) + " of the key area does not count: " + parts.key_area.faults[i], key_area_offset(i),
          Repair::safe);
      result_.copies = true;
    }
    if (parts.superblocks.fault.empty()) return;
    add("the other superblock does not count: " + parts.superblocks.fault + "; if it was the newer one, an older state is shown",
        superblock_offset(durable_.generation + 1), Repair::safe);
    result_.copies = true;
  }

  void check_journal() {
    if (const std::optional<Error>& fault = image_.journal_fault())
      add(fault->message() + ": what was flushed behind it is lost", fault->offset(), Repair::all);
    if (!image_.broken_tail()) return;
    add("the journal ends in a record that is not whole: a flush was cut off before it was done", image_.broken_tail(), Repair::safe)
        .severity = Severity::note;
    result_.copies = true;
  }

  /// Of the current subject. `by`: a repair knows what to do with it.
  void lose(Finding finding, Repair by, Place place, uint64_t bytes) {
    damaged_bytes_ += bytes;
    if (result_.found.size() >= kMaxFaults) return result_.totals.add(std::move(finding));
    // What a later object shares with this one is lost to it, too.
    if (finding.disk_length != 0) lost_[number_].push_back({*finding.disk_offset, result_.found.size()});
    result_.found.push_back({std::move(finding), by, place});
  }

  Finding about(const std::string& message, std::optional<uint64_t> file_offset, unsigned level, uint64_t cluster) const {
    Finding finding;
    finding.message = subject().name + message;
    finding.file_offset = file_offset;
    const Interval range = disk_range(cluster, level, rules_.cluster_size, subject().object.size);
    if (range.length != 0 && number_ != 0) {
      finding.disk_offset = range.offset;
      finding.disk_length = range.length;
    }
    return finding;
  }

  void fault(Fault kind, Finding finding, Place place, const Pointer& pointer) {
    const bool recorded = result_.found.size() < kMaxFaults;
    if (recorded) {
      result_.damage.faults.emplace(place, kind);
      if (kind == Fault::unreadable || kind == Fault::misplaced) result_.damage.bad_extents.insert(pointer.offset);
    }
    lose(std::move(finding), recorded ? Repair::all : Repair::none, place, kind == Fault::unreadable ? pointer.length : 0);
  }

  /// The losses of the owner are this one's, as far as it has the same extent there.
  void inherit(size_t owner, unsigned level, uint64_t cluster) {
    const Interval range = disk_range(cluster, level, rules_.cluster_size, subject().object.size);
    const std::vector<Lost>& above = lost_[owner];
    auto next = std::partition_point(above.begin(), above.end(), [&](const Lost& l) { return l.disk_offset < range.offset; });
    for (; next != above.end() && next->disk_offset < range.end() && result_.found.size() < kMaxFaults; ++next) {
      const Found& origin = result_.found[next->number];
      Finding finding = origin.finding;
      finding.message = subject().name + ": the same is damaged there as in " + result_.subjects[owner].name;
      finding.disk_length = std::min(finding.disk_length, subject().object.size - *finding.disk_offset);
      lose(std::move(finding), origin.by, *origin.place, 0);
    }
  }

  // ---- the trees -----------------------------------------------------------------------------------

  /// False: another owner has a part of it.
  bool own(const Pointer& pointer) { return !owned_.insert(pointer.offset, pointer.length); }

  void look(const Pointer& pointer, unsigned level, uint64_t cluster, const Beside& beside, Place place) {
    if (pointer.kind != Kind::absent && cluster >= div_ceil(subject().object.size, rules_.cluster_size))
      return fault(Fault::behind_end, about(" has something behind its end", pointer.offset, level, cluster), place, pointer);
    if (!pointer.has_extent()) return;
    if (pointer.birth <= subject().after && !look_at_old(pointer, level, cluster, beside, place)) return;
    if (options_.cancel != nullptr) options_.cancel->check();
    // What stands below was looked at with its first owner; nodes could lead there again and again.
    if (!own(pointer))
      return fault(Fault::misplaced, about(": an extent shares its place with something else", pointer.offset, level, cluster), place,
                   pointer);
    try {
      pointer.kind == Kind::data ? look_at_data(pointer, cluster, place) : look_at_node(pointer, level, cluster, beside);
    } catch (const Error& error) {
      if (error.code() == Errc::cancelled) throw;
      Finding finding = about(": " + error.message(), error.offset().value_or(pointer.offset), level, cluster);
      if (error.code() == Errc::corrupt) return fault(Fault::unreadable, std::move(finding), place, pointer);
      result_.damage.beyond_repair = true;
      lose(std::move(finding), Repair::none, place, pointer.length);
    }
  }

  /// Something that an earlier object owns. True: that one can't be read there, so it is looked at here.
  bool look_at_old(const Pointer& pointer, unsigned level, uint64_t cluster, const Beside& beside, Place place) {
    const size_t owner = beside.known ? *subject().parent : owner_of(pointer);
    const Beside there = beside.known ? beside : beside_in(owner, level, cluster);
    if (there.known && pointer == there.pointer) return inherit(owner, level, cluster), false;
    if (there.known) {
      fault(Fault::misplaced, about(" has something old that is not what its parent holds there", pointer.offset, level, cluster), place,
            pointer);
      return false;
    }
    auto& orphans = result_.damage.orphans;
    return orphans.size() < kMaxOrphans && orphans.emplace(level, cluster, pointer.offset).second;
  }

  /// The object above this one whose own the pointer is by its birth [R7].
  size_t owner_of(const Pointer& pointer) {
    if (ancestors_.empty())
      for (auto above = subject().parent; above; above = result_.subjects[*above].parent) ancestors_.push_back(*above);
    const auto owner = std::partition_point(ancestors_.begin(), ancestors_.end(),
                                            [&](size_t above) { return pointer.birth <= result_.subjects[above].after; });
    return owner == ancestors_.end() ? ancestors_.back() : *owner;
  }

  /// What that object holds there. A node's entries mostly have the same few owners.
  Beside beside_in(size_t owner, unsigned level, uint64_t cluster) {
    const Object& object = result_.subjects[owner].object;
    const unsigned height = subject().object.height;
    if (level == height) return beside_object(image_.extents(), object, height, rules_.end);
    const uint64_t index = cluster / clusters_under(level) % kFanout;
    const auto key = std::tuple(owner, level, cluster - index * clusters_under(level));
    auto known = known_.find(key);
    if (known == known_.end()) {
      if (known_.size() >= kMaxKnown) known_.clear();
      const Beside node = beside_at(image_.extents(), object, height, level + 1, std::get<2>(key), rules_.end);
      known = known_.emplace(key, BesideNode(image_.extents(), node, level + 1, rules_.end)).first;
    }
    return known->second[index];
  }

  void look_at_data(const Pointer& pointer, uint64_t cluster, Place place) {
    result_.totals.allocated_bytes += pointer.length;
    if (!options_.data) return;
    const uint64_t used = std::min(subject().object.size - cluster * rules_.cluster_size, rules_.cluster_size);
    image_.extents().verify(pointer, rules_.cluster_size);
    if (options_.progress) options_.progress(result_.totals.allocated_bytes, std::max(durable_.end, result_.totals.allocated_bytes));
    if (used == rules_.cluster_size) return;
    try {
      image_.extents().verify(pointer, used);
    } catch (const Error& error) {
      if (error.code() != Errc::corrupt) throw;
      Finding finding = about(": " + error.message(), pointer.offset, 0, cluster);
      finding.disk_offset.reset();  // none of the disk is lost
      finding.disk_length = 0;
      fault(Fault::dirty_tail, std::move(finding), place, pointer);
    }
  }

  void look_at_node(const Pointer& pointer, unsigned level, uint64_t cluster, const Beside& beside) {
    const NodePtr node = image_.extents().node(pointer, rules_.end);
    const BesideNode besides(image_.extents(), beside, level, rules_.end);
    for (size_t i = 0; i < kFanout; ++i) {
      if ((*node)[i].kind != Kind::absent)
        look((*node)[i], level - 1, cluster + i * clusters_under(level - 1), besides[i], {pointer.offset, i});
    }
  }

  // ---- branch points -------------------------------------------------------------------------------

  /// What none of its children holds at the same place.
  uint64_t held_by(const Subject& held, const std::vector<size_t>& children) {
    std::map<uint64_t, std::pair<uint64_t, size_t>> extents;  // offset -> length, how many children lack it
    for (const size_t child : children) {
      const auto lacked = [&](const Pointer& pointer) {
        if (--looks_left_ == 0) throw Error(Errc::limit, "too many branches to compare");
        if (const auto known = extents.find(pointer.offset); known != extents.end())
          ++known->second.second;
        else if (child == children.front())
          extents.emplace(pointer.offset, std::pair(pointer.length, size_t{1}));
      };
      walk_unshared(image_.extents(), held.object, result_.subjects[child].object, held.after, rules_.end, lacked);
    }
    uint64_t bytes = 0;
    for (const auto& [offset, extent] : extents)
      if (extent.second == children.size()) bytes += extent.first;
    return bytes;
  }

  std::optional<uint64_t> branch_point_bytes() {
    // Damaged trees may lead anywhere, and again and again.
    if (!result_.damage.faults.empty() || result_.damage.beyond_repair || image_.catalog_fault()) return std::nullopt;
    std::vector<std::vector<size_t>> children(result_.subjects.size());
    for (size_t number = 0; number < children.size(); ++number)
      if (const auto parent = result_.subjects[number].parent) children[*parent].push_back(number);
    looks_left_ = kMaxLooks + durable_.end / kBlock;
    uint64_t bytes = 0;
    try {
      for (size_t number = 0; number < children.size(); ++number)
        if (result_.subjects[number].branch_point) bytes += held_by(result_.subjects[number], children[number]);
    } catch (const Error& error) {
      if (error.code() == Errc::cancelled) throw;
      return std::nullopt;
    }
    return bytes;
  }

  struct Lost {
    uint64_t disk_offset;
    size_t number;  ///< in result_.found
  };

  NativeImage& image_;
  const CheckOptions& options_;
  const Superblock& durable_;
  const PointerRules rules_;
  CheckResult result_;
  UnitSet owned_;
  size_t number_ = 0;                                                   ///< of the subject that is looked at
  std::vector<size_t> ancestors_;                                       ///< of the subject, from its parent up; empty: not asked for yet
  std::map<std::tuple<size_t, unsigned, uint64_t>, BesideNode> known_;  ///< by owner, level and first cluster
  std::vector<std::vector<Lost>> lost_;                                 ///< by subject, ascending
  uint64_t damaged_bytes_ = 0;
  uint64_t looks_left_ = 0;
};

}  // namespace

CheckResult look_at(NativeImage& image, const CheckOptions& options) { return ImageCheck(image, options).run(); }

}  // namespace varve::native
