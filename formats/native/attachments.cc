#include "native/attachments.h"

#include <algorithm>

#include "base/checked_math.h"
#include "base/text.h"
#include "exec/pipeline.h"
#include "native/walk.h"
#include "varve/error.h"

namespace varve::native {
namespace {

/// Nodes of a tree in the making that stay in memory, 36 KiB each.
constexpr size_t kMaxNodes = 128;

bool is_attachment(const OtherRecord& record) { return record.type == kAttachmentRecord; }

}  // namespace

// ---- finding ---------------------------------------------------------------------------------------

uint64_t NativeAttachments::snapshot_id(const std::string& name) const {
  if (name.empty()) return 0;
  if (const Snapshot* s = image_.catalog_.find(name)) return s->id;
  throw Error(Errc::not_found, "there is no snapshot '" + name + "'").hint("`varve snapshot list` names them");
}

NativeAttachments::Records::iterator NativeAttachments::find(const AttachmentKey& key) {
  const uint64_t snapshot = snapshot_id(key.snapshot);
  Records& all = image_.catalog_.others;
  return std::find_if(all.begin(), all.end(), [&](const OtherRecord& record) {
    if (!is_attachment(record)) return false;
    const Attachment a = parse_attachment(record);
    return a.snapshot == snapshot && a.name == key.name;
  });
}

NativeAttachments::Records::iterator NativeAttachments::require(const AttachmentKey& key) {
  const auto found = find(key);
  if (found != image_.catalog_.others.end()) return found;
  const std::string owner = key.snapshot.empty() ? "the image" : "snapshot '" + key.snapshot + "'";
  throw Error(Errc::not_found, owner + " has no attachment '" + key.name + "'").hint("`varve attachment list` names them");
}

void NativeAttachments::require_room(const AttachmentKey& key, bool replace) {
  if (key.name.empty() || key.name.size() > kMaxName || !valid_utf8(key.name) || key.name.find('\0') != std::string::npos)
    throw Error(Errc::invalid_argument, "an attachment's name has 1 to 1024 bytes of UTF-8");
  if (find(key) != image_.catalog_.others.end() && !replace)
    throw Error(Errc::exists, "there is an attachment '" + key.name + "' already").hint("choose another name, or replace it with --force");
}

std::vector<AttachmentInfo> NativeAttachments::list() {
  const std::lock_guard lock(image_.change_mutex_);
  std::vector<AttachmentInfo> all;
  for (const OtherRecord& record : image_.catalog_.others) {
    if (!is_attachment(record)) continue;
    const Attachment a = parse_attachment(record);
    const Snapshot* owner = a.snapshot == 0 ? nullptr : image_.catalog_.find(a.snapshot);
    if (a.snapshot != 0 && owner == nullptr) continue;  // a leftover
    AttachmentInfo info;
    info.key = {a.name, owner != nullptr ? owner->name : std::string()};
    info.of_branch_point = owner != nullptr && owner->hidden;
    info.time = a.time;
    info.size = record.objects.front().size;
    all.push_back(std::move(info));
  }
  return all;
}

// ---- reading ---------------------------------------------------------------------------------------

void NativeAttachments::read(const AttachmentKey& key, uint64_t offset, MutableBytes out) {
  const InFlight::Request request(image_.in_flight_);
  Object object;
  {
    const std::lock_guard lock(image_.change_mutex_);
    object = require(key)->objects.front();
  }
  if (!range_fits(offset, out.size(), object.size))
    throw Error(Errc::invalid_argument, "the range leaves the attachment of " + std::to_string(object.size) + " bytes").at(offset);
  const Tree tree(image_.extents_, object, [this] { return image_.space_.end(); });
  const uint64_t cluster = image_.cluster_size();
  while (!out.empty()) {
    const uint64_t within = offset % cluster;
    const MutableBytes part = out.first(std::min<uint64_t>(out.size(), cluster - within));
    const Pointer pointer = tree.run_at(offset / cluster, 1).pointer;
    if (pointer.kind == Kind::data)
      image_.extents_.read(pointer, within, part);
    else
      std::fill(part.begin(), part.end(), std::byte{0});
    out = out.subspan(part.size());
    offset += part.size();
  }
}

// ---- changing --------------------------------------------------------------------------------------

/// Its extents are born while others may commit, so it takes the lock for each: no superblock leads to them before the record does.
Pointer NativeAttachments::place(Tree& tree, uint64_t cluster, StoredCluster& stored, MutableBytes data) {
  const auto give_up = [this](const Pointer& p) { image_.space_.free(p.offset, p.length); };
  const std::lock_guard lock(image_.change_mutex_);
  image_.require_sound();
  Pointer pointer = image_.pointer_to(stored, image_.space_.take(stored.length));
  const MutableBytes bytes = stored.bytes(data);
  image_.extents_.seal(pointer, bytes, bytes);
  if (cluster >= tree.clusters()) tree.resize(std::max<uint64_t>(2 * cluster, kFanout) * image_.cluster_size(), give_up);
  tree.set(cluster, pointer, give_up);
  if (tree.nodes_in_memory() > kMaxNodes) tree.store(image_.building(), image_.node_sink());
  return pointer;
}

/// All that the source gives, encoded by all processors. Returns its length.
uint64_t NativeAttachments::fill(Tree& tree, const AttachmentSource& source) {
  struct Item {
    uint64_t index = 0;
    Bytes cluster;
    StoredCluster stored;
    Pointer pointer;
  };
  uint64_t size = 0;
  uint64_t next = 0;
  OrderedSteps<Item> steps;
  steps.next = [&](Item& item) {
    item.index = next++;
    item.cluster.resize(image_.cluster_size());
    size_t filled = 0;
    while (filled < item.cluster.size()) {
      const size_t more = source(MutableBytes(item.cluster).subspan(filled));
      if (more == 0) break;
      filled += more;
    }
    std::fill(item.cluster.begin() + static_cast<ptrdiff_t>(filled), item.cluster.end(), std::byte{0});
    size += filled;
    return filled != 0;
  };
  steps.work = [&](Item& item) { item.stored = image_.extents_.codec().encode(item.cluster); };
  steps.deliver = [&](Item& item) {
    if (!item.stored.zero) item.pointer = place(tree, item.index, item.stored, item.cluster);
  };
  steps.finish = [&](Item& item) {
    if (!item.stored.zero) image_.file_->write_at(item.pointer.offset, item.stored.bytes(item.cluster));
  };
  run_ordered(steps, {});
  return size;
}

void NativeAttachments::put(const AttachmentKey& key, uint64_t time, const AttachmentSource& source, bool replace) {
  if (image_.parts_.created) throw Error(Errc::unsupported, "an image that is being created has no attachments yet").hint("close it first");
  const std::lock_guard turn(one_at_a_time_);
  image_.begin_session();
  {
    const std::lock_guard lock(image_.change_mutex_);
    require_room(key, replace);
  }
  Tree tree(image_.extents_, Object{}, [this] { return image_.space_.end(); });
  const uint64_t size = fill(tree, source);

  const std::lock_guard lock(image_.change_mutex_);
  image_.require_sound();
  Attachment attachment;
  attachment.snapshot = snapshot_id(key.snapshot);
  attachment.time = time;
  attachment.name = key.name;
  for (const OtherRecord& record : image_.catalog_.others)
    if (is_attachment(record)) attachment.id = std::max(attachment.id, parse_attachment(record).id);
  if (attachment.id == UINT64_MAX) throw Error(Errc::limit, "the image has no number left for an attachment");
  ++attachment.id;
  image_.drop_rotation();
  tree.resize(size, [this](const Pointer& p) { image_.space_.free(p.offset, p.length); });
  const Object object = tree.store(image_.building(), image_.node_sink());
  if (const auto old = find(key); old != image_.catalog_.others.end()) erase(old);
  image_.catalog_.others.push_back(record_of(attachment, object));
  image_.catalog_changed_ = true;
  image_.commit();
}

void NativeAttachments::erase(Records::iterator record) {
  walk(image_.extents_, record->objects.front(), 0, image_.durable_.end, [this](const Pointer& p) { image_.free_once(p); });
  image_.catalog_.others.erase(record);
}

void NativeAttachments::remove(const AttachmentKey& key) {
  const std::lock_guard turn(one_at_a_time_);
  image_.begin_session();
  const std::lock_guard lock(image_.change_mutex_);
  require(key);
  image_.drop_rotation();
  erase(require(key));
  image_.catalog_changed_ = true;
  image_.commit();
}

/// Attachments of snapshots that are no more: their own, or those that a program deleted which does not know attachments.
void NativeImage::drop_leftovers() {
  std::erase_if(catalog_.others, [this](const OtherRecord& record) {
    if (!is_attachment(record)) return false;
    const uint64_t snapshot = parse_attachment(record).snapshot;
    if (snapshot == 0 || catalog_.find(snapshot) != nullptr) return false;
    walk(extents_, record.objects.front(), 0, durable_.end, [this](const Pointer& p) { free_once(p); });
    return true;
  });
}

Attachments* NativeImage::attachments() {
  const std::lock_guard lock(change_mutex_);
  if (attachments_ == nullptr) attachments_ = std::make_unique<NativeAttachments>(*this);
  return attachments_.get();
}

}  // namespace varve::native
