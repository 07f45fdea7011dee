// Checking a whole image: both copies of everything that has two, every pointer, every node, and who owns what.
#include <algorithm>
#include <map>
#include <string>

#include "base/checked_math.h"
#include "native/native_image.h"
#include "native/walk.h"
#include "varve/error.h"

namespace varve::native {
namespace {

/// One object. Its extents that are not newer than `after` have been looked at with `parent`, which must hold them at the same place [R7].
struct Subject {
  std::string name;
  const Object* object = nullptr;
  uint64_t after = 0;
  const Object* parent = nullptr;
};

/// What the parent holds where something of its child stands.
struct Beside {
  bool known = true;  ///< false: the parent is damaged there
  Pointer pointer;
  unsigned level = 0;  ///< in a lower tree the root stands for the first entry
};

class ImageCheck {
 public:
  ImageCheck(NativeImage& image, const CheckOptions& options)
      : image_(image), options_(options), durable_(image.durable()), rules_(durable_.rules(image.parts().headers.header)) {}

  CheckReport run() {
    check_copies();
    owned_.insert(0, kFirstExtent);
    if (durable_.journal_length != 0) own(durable_.journal_offset, durable_.journal_length, "the journal");
    for (const Subject& subject : subjects()) {
      name_ = subject.name;
      size_ = subject.object->size;
      after_ = subject.after;
      look(subject.object->root, subject.object->height, 0, root_beside(subject));
    }
    return std::move(report_);
  }

 private:
  std::vector<Subject> subjects() const {
    const Catalog& catalog = image_.catalog();
    const auto based = [&](std::string name, const Object& object, uint64_t parent) {
      const Snapshot* above = parent == 0 ? nullptr : catalog.find(parent);
      return Subject{std::move(name), &object, catalog.generation_of(parent), above != nullptr ? &above->object : nullptr};
    };
    std::vector<Subject> all = {{"the catalog", &durable_.catalog}};
    for (const Snapshot& s : catalog.snapshots)
      all.push_back(based(s.hidden ? "a branch point" : "snapshot " + s.name, s.object, s.parent));
    for (const OtherRecord& record : catalog.others)
      for (const Object& object : record.objects) all.push_back({"a record of the catalog", &object});
    all.push_back(based("the disk", durable_.head, durable_.head_parent));
    return all;
  }

  Beside root_beside(const Subject& subject) {
    Beside beside;
    if (subject.parent == nullptr) return beside;
    try {
      beside.pointer = beside_root(image_.extents(), *subject.parent, subject.object->height, rules_.end, beside.level);
    } catch (const Error&) {
      beside.known = false;  // told with the parent
    }
    return beside;
  }
  Beside child_beside(const Beside& beside, unsigned level, size_t index) {
    if (!beside.known) return beside;
    if (beside.level < level) return index == 0 ? beside : Beside{true, {}, level - 1};
    if (beside.pointer.kind != Kind::node) return {true, {}, level - 1};
    try {
      return {true, (*image_.extents().node(beside.pointer, rules_.end))[index], level - 1};
    } catch (const Error&) {
      return {false, {}, 0};
    }
  }

  void add(Severity severity, std::string message, uint64_t file_offset, std::optional<uint64_t> disk_offset = std::nullopt,
           uint64_t disk_length = 0) {
    Finding found;
    found.severity = severity;
    found.message = std::move(message);
    found.file_offset = file_offset;
    found.disk_offset = disk_offset;
    found.disk_length = disk_length;
    report_.add(std::move(found));
  }

  void check_copies() {
    const ImageParts& parts = image_.parts();
    for (size_t i = 0; i < 2; ++i) {
      if (!parts.headers.faults[i].empty())
        add(Severity::damage, "copy " + std::to_string(i + 1) + " of the header does not count: " + parts.headers.faults[i], kRegions[i]);
    }
    if (!parts.superblocks.fault.empty()) {
      add(Severity::damage,
          "the other superblock does not count: " + parts.superblocks.fault + "; if it was the newer one, an older state is shown",
          superblock_offset(parts.superblocks.current.generation + 1));
    }
  }

  bool own(uint64_t offset, uint64_t length, const std::string& what) {
    if (!owned_.insert(offset, length)) return true;
    add(Severity::damage, what + " shares its place with something else", offset);
    return false;
  }

  void look(const Pointer& pointer, unsigned level, uint64_t cluster, const Beside& beside) {
    if (pointer.kind != Kind::absent && cluster >= div_ceil(size_, rules_.cluster_size))
      return add(Severity::damage, name_ + " has something behind its end", pointer.offset);
    if (!pointer.has_extent()) return;
    if (pointer.birth <= after_) {
      if (beside.known && pointer != beside.pointer)
        add(Severity::damage, name_ + " has something old that is not what its parent holds there", pointer.offset,
            cluster * rules_.cluster_size, clusters_under(level) * rules_.cluster_size);
      return;
    }
    if (options_.cancel != nullptr) options_.cancel->check();
    const uint64_t start = cluster * rules_.cluster_size;
    // What stands below was looked at with its first owner; nodes could lead there again and again.
    if (!own(pointer.offset, pointer.length, "an extent of " + name_)) return;
    try {
      if (pointer.kind == Kind::data) {
        report_.allocated_bytes += pointer.length;
        if (options_.data) image_.extents().verify(pointer, std::min(size_ - start, rules_.cluster_size));
        return;
      }
      const NodePtr node = image_.extents().node(pointer, rules_.end);
      for (size_t i = 0; i < kFanout; ++i) {
        if ((*node)[i].kind != Kind::absent)
          look((*node)[i], level - 1, cluster + i * clusters_under(level - 1), child_beside(beside, level, i));
      }
    } catch (const Error& error) {
      if (error.code() == Errc::cancelled) throw;
      add(Severity::damage, name_ + ": " + error.message(), error.offset().value_or(pointer.offset), start,
          clusters_under(level) * rules_.cluster_size);
    }
  }

  NativeImage& image_;
  const CheckOptions& options_;
  const Superblock& durable_;
  const PointerRules rules_;
  IntervalSet owned_;
  std::string name_;
  uint64_t size_ = 0;   ///< of the object
  uint64_t after_ = 0;  ///< what is not newer is its parent's
  CheckReport report_;
};

}  // namespace

CheckReport NativeImage::check(const CheckOptions& options) {
  if (parts_.writable) flush();
  const std::lock_guard lock(change_mutex_);
  return ImageCheck(*this, options).run();
}

}  // namespace varve::native
