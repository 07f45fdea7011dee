// Making it last: records of the journal, commits, the clean end.
#include <algorithm>
#include <utility>

#include "base/checked_math.h"
#include "base/random.h"
#include "native/native_image.h"
#include "native/walk.h"
#include "varve/error.h"

namespace varve::native {
namespace {

/// More than this at once is cheaper as a commit.
constexpr uint64_t kMaxRecord = uint64_t{1} << 20;
/// As many nodes are read sooner than a thread is worth it.
constexpr size_t kNodesAtOnce = 64;
/// Shorter runs of free space are not worth a hole.
constexpr uint64_t kMinHole = uint64_t{1} << 20;

}  // namespace

void NativeImage::require_sound() const {
  if (!broken_) return;
  throw Error(Errc::io, "an earlier flush failed, so what is on the medium is not known").in(file_->name()).hint("open the image anew");
}

/// After a failed flush a second one can succeed though the data are gone.
void NativeImage::last_if_it_fails(const std::function<void()>& call) {
  try {
    call();
  } catch (...) {
    broken_ = true;
    throw;
  }
}

void NativeImage::flush() {
  ++flushes_waiting_;
  const std::lock_guard lock(change_mutex_);
  --flushes_waiting_;
  require_sound();
  if (cipher() != nullptr) cipher()->require_own_process();
  if (dirty_.unjournaled() == 0 && !head_changed_ && !catalog_changed_) return;
  if (!try_journal()) commit();
}

/// R5, R6. False: it takes a commit.
bool NativeImage::try_journal() {
  if (parts_.created || !began_ || head_changed_ || catalog_changed_ || dirty_.unjournaled() > kMaxRecord) return false;
  if (!journal_) {
    wants_journal_ = true;
    return false;
  }
  std::vector<std::byte> storage;
  std::vector<DirtyBlocks::Ticket> tickets;
  const std::vector<JournalChange> changes = dirty_.changes(size(), storage, tickets);
  try {
    if (!journal_->append(changes)) return false;
  } catch (const Error&) {
    // What stands there is not known, and a record behind it would say that it was durable once.
    journal_.reset();
    return false;
  }
  last_if_it_fails([&] { file_->flush(); });
  dirty_.journaled(tickets);
  return true;
}

// ---- a commit ----------------------------------------------------------------------------------------

void NativeImage::commit() {
  require_sound();
  touched_ = true;
  if (building() > kMaxGeneration) throw Error(Errc::limit, "the image's generation has no successor");
  // A session's first commit could only append: its table would be the end of the file, and the next one's behind it.
  if (cipher() != nullptr && space_.knows_used() && !std::exchange(sessions_placed_, true)) sessions_changed_ = true;
  // Until one succeeds no record can stand for a flush: what the tree's memory has is not in the journal.
  head_changed_ = true;
  try {
    write_generation();
  } catch (...) {
    skipped_ += 2;
    throw;
  }
  skipped_ = 0;
  head_changed_ = false;
  catalog_changed_ = false;
  sessions_changed_ = false;
  if (!std::exchange(began_, true)) find_free_space();
}

void NativeImage::write_generation() {
  write_back(dirty_.all());
  Superblock next = durable_;
  next.generation = building();
  next.clean = false;
  next.head_parent = head_parent_;
  next.last_snapshot_id = last_snapshot_id_;
  {
    const std::unique_lock lock(tree_mutex_);
    next.head = head_.store(next.generation, node_sink());
  }
  if (catalog_changed_) next.catalog = store_catalog();
  if (sessions_changed_) next.sessions = store_sessions(durable_.sessions);
  allocate_journal(next);
  next.end = space_.end();
  if (file_->size() < next.end) file_->resize(next.end);
  write_superblock(std::move(next));
}

Tree::Sink NativeImage::node_sink() {
  return [this] { return space_.take_node(kNodeSize); };
}

/// When a flush could have used one. Written once, so that no record lacks space later. Without room for it there is none: every flush is a
/// commit then.
void NativeImage::allocate_journal(Superblock& next) {
  const uint64_t length = parts_.headers.header.journal_bytes;
  if (!std::exchange(wants_journal_, false) || next.journal_length != 0 || length == 0 || no_room_for_journal_) return;
  const uint64_t offset = space_.take_large(length);
  const std::vector<std::byte> zeros(std::min(length, uint64_t{1} << 20));
  try {
    for (uint64_t done = 0; done < length; done += zeros.size())
      file_->write_at(offset + done, ConstBytes(zeros).first(std::min<uint64_t>(zeros.size(), length - done)));
  } catch (const Error& error) {
    space_.free(offset, length);
    if (error.code() != Errc::no_space) throw;
    no_room_for_journal_ = true;
    if (offset < file_->size()) file_->punch_hole(offset, length);
    return;
  }
  next.journal_offset = offset;
  next.journal_length = length;
}

/// The other copy of the header, or of the key area, may be older, or torn.
void NativeImage::write_front() {
  const HeaderRaw header = encode(parts_.headers.header);
  for (size_t i = 0; i < kRegions.size(); ++i) {
    if (!parts_.headers.faults[i].empty() || parts_.created) file_->write_at(kRegions[i], bytes_of(header));
    const bool key_area = cipher() != nullptr && (!parts_.key_area.faults[i].empty() || parts_.created);
    if (key_area) file_->write_at(key_area_offset(i), bytes_of(*parts_.key_area.raw));
  }
  parts_.headers.faults = {};
  parts_.key_area.faults = {};
}

/// What it refers to is made durable first.
void NativeImage::write_superblock(Superblock next) {
  parts_.random->fill(std::as_writable_bytes(std::span(next.chain)));
  if (!began_) write_front();
  if (cipher() != nullptr) next.session = cipher()->session();
  SuperblockRaw raw = encode(next, parts_.headers.header);
  if (cipher() != nullptr) cipher()->seal(raw, *parts_.random);
  next.tag = raw.tag;
  last_if_it_fails([&] {
    file_->flush();
    file_->write_at(superblock_offset(next.generation), bytes_of(raw));
    file_->flush();
  });
  durable_ = std::move(next);
  parts_.superblocks.fault.clear();  // it has been written over
  journal_.reset();
  if (durable_.journal_length != 0) journal_.emplace(*file_, durable_, cipher());
  space_.advance(in_flight_.advance());
  for (const Interval& hole : space_.take_fresh(kMinHole)) {
    try {
      file_->punch_hole(hole.offset, hole.length);
    } catch (const Error&) {
      // Its space stays taken until it is used again.
    }
  }
}

Object NativeImage::store_catalog() {
  const std::vector<std::byte> bytes = encode(catalog_, parts_.headers.header.unit);
  if (bytes.size() > kMaxCatalog) throw Error(Errc::limit, "the catalog has no room").hint("delete snapshots");
  give_up_object(durable_.catalog);
  Tree tree(extents_, Object{}, [this] { return space_.end(); });
  const auto nothing = [](const Pointer&) {};
  tree.resize(bytes.size(), nothing);
  std::vector<std::byte> cluster(cluster_size());
  for (uint64_t i = 0; i < tree.clusters(); ++i) {
    const auto part = ConstBytes(bytes).subspan(i * cluster_size(), std::min<uint64_t>(cluster_size(), bytes.size() - i * cluster_size()));
    std::copy(part.begin(), part.end(), cluster.begin());
    std::fill(cluster.begin() + static_cast<ptrdiff_t>(part.size()), cluster.end(), std::byte{0});
    StoredCluster stored = extents_.codec().encode(cluster);
    Pointer pointer = pointer_to(stored, 0);
    if (pointer.kind == Kind::data) {
      pointer.offset = space_.take(pointer.length);
      const MutableBytes packed = stored.bytes(MutableBytes(cluster));
      file_->write_at(pointer.offset, extents_.seal(pointer, packed, packed));
    }
    tree.set(i, pointer, nothing);
  }
  return tree.store(building(), node_sink());
}

/// The table of sessions, this one included.
Pointer NativeImage::store_sessions(const Pointer& old) {
  std::vector<std::byte> table = cipher()->session_table();
  if (old.length != 0) space_.free(old.offset, old.length);
  Pointer pointer;
  pointer.kind = Kind::data;
  pointer.birth = building();
  pointer.length = table.size();
  pointer.offset = space_.take(pointer.length);
  pointer.tag = cipher()->seal_table(pointer, cipher()->session(), table);
  file_->write_at(pointer.offset, table);
  return pointer;
}

/// All of an object that nothing else refers to.
void NativeImage::give_up_object(const Object& object) {
  walk(extents_, object, 0, durable_.end, [this](const Pointer& pointer) { space_.free(pointer.offset, pointer.length); });
}

/// What the state that was opened refers to, none of which is used for something else until it is found. Of a large image it is looked for
/// beside everything else; who closes the image before that leaves the free space to the next one. Damage there, or a place that can't be
/// read, is no reason to stop: then only the end is appended to.
void NativeImage::find_free_space() {
  if (std::exchange(looked_for_space_, true)) return;
  // Without its catalog nobody knows what that state refers to.
  if (parts_.created || catalog_lost_) return;
  size_t nodes = 0;
  if (!look_for_free_space([&] { return ++nodes <= kNodesAtOnce; })) find_free_space_.wake();
}

/// False: `go_on` said no at one of the nodes.
bool NativeImage::look_for_free_space(const std::function<bool()>& go_on) {
  try {
    space_.found(used_space(extents_, parts_.superblocks.current, catalog_at_open_, [&] {
      if (!go_on()) throw Error(Errc::cancelled, "stopped");
    }));
  } catch (const Error& error) {
    return error.code() != Errc::cancelled;  // of others a check says what they are
  }
  return true;
}

// ---- the end -----------------------------------------------------------------------------------------

void NativeImage::close() {
  write_behind_.stop();
  closing_ = true;
  find_free_space_.stop();
  const std::lock_guard lock(change_mutex_);
  require_sound();
  if (!touched_ && !parts_.created) return;
  // Blocks that the journal holds may have come into the tree: that is in memory only.
  if (!dirty_.empty() || head_.changed() || head_changed_ || catalog_changed_ || sessions_changed_ || parts_.created) commit();
  last_if_it_fails([this] { finish(); });
}

/// R4: what the predecessor refers to lies below the lower end, for it refers to the same.
void NativeImage::finish() {
  const uint64_t before = space_.end();
  Superblock next = durable_;
  next.generation = building();
  next.clean = true;
  next.end = space_.settle();
  write_superblock(next);
  if (next.end < before || file_->size() > next.end) file_->resize(next.end);
}

}  // namespace varve::native
