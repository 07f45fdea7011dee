// Reading an image, and what it says of itself.
#include <algorithm>
#include <string>

#include "base/checked_math.h"
#include "base/hex.h"
#include "native/locked.h"
#include "native/native_image.h"
#include "varve/error.h"

namespace varve::native {
namespace {

constexpr size_t kBatchBuffers = 8;  // as many are kept, of 2 MiB at most

}  // namespace

NativeImage::NativeImage(ImageParts parts)
    : parts_(std::move(parts)),
      file_(parts_.file),
      extents_(file_, parts_.headers.header, parts_.limits.metadata_bytes / 4, parts_.limits.cluster_cache, parts_.cipher),
      dirty_(parts_.headers.header.cluster_size),
      batch_buffers_([] { return std::make_unique<AlignedBuffer>(); }, kBatchBuffers),
      space_(parts_.superblocks.current.end, parts_.headers.header.unit),
      durable_(parts_.superblocks.current),
      head_(extents_, durable_.head, [this] { return space_.end(); }),
      size_(durable_.head.size),
      write_behind_([this] { return make_room(); }),
      find_free_space_([this] {
        look_for_free_space([this] { return !closing_; });
        return false;
      }) {
  if (parts_.created) begin_cipher_session();
  if (parts_.created) return;
  head_parent_ = durable_.head_parent;
  last_snapshot_id_ = durable_.last_snapshot_id;
  const auto as_it_is = [this](auto load, std::optional<Error>& fault) {
    try {
      load();
    } catch (const Error& error) {
      if (!parts_.for_check || error.code() != Errc::corrupt) throw;
      fault = error;
    }
  };
  as_it_is([this] { load_catalog(); }, catalog_fault_);
  if (parts_.snapshot.is_any())
    show_snapshot();
  else
    as_it_is([this] { replay(); }, journal_fault_);
}

const Snapshot* NativeImage::shown_snapshot() const {
  if (parts_.snapshot.uuid.empty()) return catalog_.find(parts_.snapshot.name);
  for (const Snapshot& s : catalog_.snapshots)
    if (format_uuid(s.uuid) == parts_.snapshot.uuid) return &s;
  return nullptr;
}

void NativeImage::load_catalog() {
  Catalog catalog = parse_catalog(read_object(extents_, durable_.catalog, durable_.end), durable_.rules(parts_.headers.header),
                                  durable_.generation, durable_.head_parent);
  for (const Snapshot& s : catalog.snapshots)
    if (s.id > durable_.last_snapshot_id) throw Error(Errc::corrupt, "a snapshot has an id that was never given");
  if (durable_.head.parent != 0 && catalog.parent(durable_.head.parent) == nullptr)
    throw Error(Errc::corrupt, "the head lies over a parent that is not named");
  catalog_ = std::move(catalog);
  catalog_at_open_ = catalog_;
}

/// What reads or changes the disk does not go on from a part of it.
void NativeImage::require_whole() const {
  if (catalog_fault_) throw Error(*catalog_fault_);
  if (journal_fault_) throw Error(*journal_fault_);
}

NativeImage::~NativeImage() { closing_ = true; }

void NativeImage::show_snapshot() {
  const Snapshot* shown = shown_snapshot();
  if (shown == nullptr && !parts_.snapshot.uuid.empty())
    throw Error(Errc::not_found, "the snapshot " + parts_.snapshot.uuid + ", which a child was made over, is not there any more")
        .hint("read the child alone with --ignore-parent, or with a copy of this file as --parent");
  if (shown == nullptr)
    throw Error(Errc::not_found, "there is no snapshot '" + parts_.snapshot.name + "'").hint("`varve snapshot list` names them");
  head_ = Tree(extents_, shown->object, [this] { return space_.end(); });
  size_ = shown->object.size;
}

uint64_t NativeImage::size() const { return size_.load(std::memory_order_acquire); }

void NativeImage::read_at(uint64_t offset, MutableBytes out) {
  require_whole();
  if (cipher() != nullptr) cipher()->require_own_process();
  const InFlight::Request request(in_flight_);
  while (!out.empty()) {
    const size_t length = std::min<uint64_t>(out.size(), cluster_size() - offset % cluster_size());
    const MutableBytes part = out.first(length);
    try {
      for (const DirtyBlocks::Gap& gap : dirty_.read(offset, part)) read_base(gap.offset, part.subspan(gap.offset - offset, gap.length));
    } catch (Error& error) {
      error.add_disk_offset(offset);
      throw;
    }
    out = out.subspan(length);
    offset += length;
  }
}

/// What the tree holds of a range within one cluster; behind the disk's end there are zeros.
void NativeImage::read_base(uint64_t offset, MutableBytes out) {
  const uint64_t end = size();
  const uint64_t held = offset >= end ? 0 : std::min<uint64_t>(out.size(), end - offset);
  std::fill(out.begin() + static_cast<ptrdiff_t>(held), out.end(), std::byte{0});
  if (held == 0) return;
  const MutableBytes part = out.first(held);
  Pointer pointer;
  {
    const std::shared_lock lock(tree_mutex_);
    pointer = head_.run_at(offset / cluster_size(), 1).pointer;
  }
  if (pointer.kind == Kind::data) return extents_.read(pointer, offset % cluster_size(), part);
  if (pointer.kind == Kind::absent && has_backing()) return read_backing(offset, part);
  std::fill(part.begin(), part.end(), std::byte{0});
}

bool NativeImage::read_at_once(uint64_t offset, MutableBytes out) {
  require_whole();
  if (cipher() != nullptr) cipher()->require_own_process();
  const InFlight::Request request(in_flight_);
  while (!out.empty()) {
    const size_t length = std::min<uint64_t>(out.size(), cluster_size() - offset % cluster_size());
    const MutableBytes part = out.first(length);
    for (const DirtyBlocks::Gap& gap : dirty_.read(offset, part))
      if (!read_base_at_once(gap.offset, part.subspan(gap.offset - offset, gap.length))) return false;
    out = out.subspan(length);
    offset += length;
  }
  return true;
}

bool NativeImage::read_base_at_once(uint64_t offset, MutableBytes out) {
  if (!range_fits(offset, out.size(), size())) return false;
  std::optional<Pointer> pointer;
  {
    // Who changes the tree may hold it while nodes are written.
    const std::shared_lock lock(tree_mutex_, std::try_to_lock);
    if (lock.owns_lock()) pointer = head_.known(offset / cluster_size());
  }
  if (!pointer) return false;
  if (pointer->kind == Kind::data) return extents_.read_known(*pointer, offset % cluster_size(), out);
  if (pointer->kind == Kind::absent && has_backing()) return read_backing_at_once(offset, out);
  std::fill(out.begin(), out.end(), std::byte{0});
  return true;
}

/// Of a cluster that is stored as it is: what is stored from `within` on, or zeros that are not.
void NativeImage::narrow(Extent& run, const Pointer& pointer, uint64_t within) const {
  const uint64_t begin = pointer.skip * granule_of(cluster_size());
  const uint64_t end = begin + pointer.length;
  if (within >= begin && within < end) {
    if (parts_.cipher == nullptr) run.host_offset = pointer.offset + (within - begin);
    run.length = std::min(run.length, end - within);
    return;
  }
  run.kind = ExtentKind::zero;
  if (within < begin) run.length = std::min(run.length, begin - within);
}

Extent NativeImage::extent_at(uint64_t offset, uint64_t limit) {
  require_whole();
  Extent run;
  run.offset = offset;
  const uint64_t cluster = offset / cluster_size();
  const uint64_t within = offset % cluster_size();
  // One look: between two a writer could come.
  const std::optional<uint64_t> dirty = dirty_.next(cluster);
  if (dirty == cluster) {
    run.kind = ExtentKind::data;
    run.length = std::min(limit, cluster_size() - within);
    return run;
  }
  uint64_t most = div_ceil(within + limit, cluster_size());
  if (dirty) most = std::min(most, *dirty - cluster);
  ClusterRun found;
  try {
    const std::shared_lock lock(tree_mutex_);
    found = head_.run_at(cluster, most);
  } catch (Error& error) {
    error.add_disk_offset(offset);
    throw;
  }
  const Pointer& pointer = found.pointer;
  run.length = std::min(limit, found.clusters * cluster_size() - within);
  if (pointer.kind == Kind::absent) return run;
  run.kind = pointer.kind == Kind::zero ? ExtentKind::zero : ExtentKind::data;
  if (pointer.kind != Kind::data) return run;
  run.compressed = pointer.codec != CodecId::none;
  if (!run.compressed) narrow(run, pointer, within);
  return run;
}

ImageInfo NativeImage::info() const {
  const std::lock_guard lock(change_mutex_);
  const Header& header = parts_.headers.header;
  ImageInfo info;
  info.virtual_size = size();
  info.files = {file_->name()};
  info.allocated_bytes = file_->allocated_bytes();
  info.cluster_size = static_cast<uint32_t>(header.cluster_size);
  info.encrypted = header.encrypted;
  if (const ParentReference* reference = catalog_.parent(head_.parent()))
    info.parent = {reference->path, reference->format, reference->identity};
  auto& details = info.details;
  describe(header, durable_.generation, details);
  if (header.encrypted) details.emplace_back("root_tag", to_hex(std::as_bytes(std::span(durable_.tag))));
  if (header.encrypted) details.emplace_back("key_rotation_unfinished", parts_.cipher->master_keys().size() > 1);
  details.emplace_back("clean", durable_.clean);
  details.emplace_back("snapshots", uint64_t{catalog_.snapshots.size()});
  return info;
}

}  // namespace varve::native
