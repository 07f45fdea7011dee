// Writing: dirty blocks, and how they come into the tree.
#include <algorithm>
#include <optional>
#include <thread>
#include <vector>

#include "base/aligned_buffer.h"
#include "base/checked_math.h"
#include "base/zero.h"
#include "exec/pipeline.h"
#include "native/native_image.h"
#include "native/run_writer.h"
#include "varve/error.h"

namespace varve::native {
namespace {

/// How many clusters leave memory at once when there are too many.
constexpr size_t kBatch = 256;
/// A smaller buffer is emptied by who fills it.
constexpr uint64_t kWorthAThread = uint64_t{1} << 20;
/// Bytes of clusters that one thread encodes and writes at once.
constexpr size_t kGroup = size_t{1} << 20;
/// Fewer clusters are encoded sooner than threads have started.
constexpr size_t kWorthThreads = 8;
/// Nodes in memory, 36 KiB each: beyond that they go into the file, though no superblock leads there yet.
constexpr size_t kMaxNodes = 2048;

}  // namespace

void NativeImage::write_at(uint64_t offset, ConstBytes data) {
  begin_session();
  while (!data.empty()) {
    const size_t length = std::min<uint64_t>(data.size(), cluster_size() - offset % cluster_size());
    {
      const InFlight::Request request(in_flight_);
      const RangeClaims::Claim claim(claims_, offset / cluster_size(), 1);
      dirty_.write(offset, data.first(length), [this](uint64_t at, MutableBytes out) { read_base(at, out); });
    }
    bound_dirty();
    data = data.subspan(length);
    offset += length;
  }
}

void NativeImage::begin_session() {
  if (cipher() != nullptr) cipher()->require_own_process();
  if (touched_) return;
  require_whole();
  const std::lock_guard lock(change_mutex_);
  require_sound();
  if (!parts_.headers.header.may_be_written || !catalog_.may_be_written())
    throw Error(Errc::unsupported, "the image has features that this program does not know, so it can't be written to")
        .hint("use a newer version");
  if (durable_.generation >= kLastWritable)
    throw Error(Errc::limit, "the image's generation has no successor").hint("convert the image into a new one");
  if (touched_) return;
  if (!parts_.created) begin_cipher_session();
  touched_ = true;
  // After a clean end both superblocks refer to the same, so what is free is free at once.
  const auto& [current, older, fault] = parts_.superblocks;
  const bool same =
      older && older->head.root == current.head.root && older->catalog.root == current.catalog.root && older->sessions == current.sessions;
  if (durable_.clean && same && older->journal_offset == current.journal_offset) find_free_space();
}

/// What is written from now on is encrypted under a salt that no other program, and no other copy of the file, has.
void NativeImage::begin_cipher_session() {
  if (cipher() == nullptr) return;
  cipher()->begin_session(building(), *parts_.random);
  sessions_changed_ = true;
}

/// From half full on a thread of our own makes room, so that a writer waits only if it is faster than that.
void NativeImage::bound_dirty() {
  const uint64_t most = parts_.limits.write_buffer;
  if (dirty_.bytes() <= most / 2) return;
  if (most >= kWorthAThread) write_behind_.wake();
  if (dirty_.bytes() <= most) return;
  const std::lock_guard lock(change_mutex_);
  require_sound();
  while (dirty_.bytes() > most) write_back(dirty_.oldest(kBatch));
}

/// True: there is more to do.
bool NativeImage::make_room() {
  while (flushes_waiting_ != 0) std::this_thread::yield();  // a mutex is not fair
  const std::lock_guard lock(change_mutex_);
  if (broken_ || dirty_.bytes() <= parts_.limits.write_buffer / 2) return false;
  write_back(dirty_.oldest(kBatch));
  return true;
}

/// Of a disk that is written here and there every cluster has a node of its own.
void NativeImage::bound_nodes() {
  if (head_.nodes_in_memory() <= kMaxNodes) return;
  const std::unique_lock lock(tree_mutex_);
  head_.store(building(), node_sink());
  head_changed_ = true;
}

// ---- into the tree -----------------------------------------------------------------------------------

Pointer NativeImage::pointer_to(const StoredCluster& stored, uint64_t offset, uint64_t birth) const {
  if (stored.zero) return zero_pointer(birth, 0);
  Pointer pointer;
  pointer.kind = Kind::data;
  pointer.codec = stored.codec;
  pointer.birth = birth;
  pointer.offset = offset;
  pointer.length = stored.length;
  if (pointer.codec == CodecId::none) pointer.skip = static_cast<uint8_t>(stored.begin / granule_of(cluster_size()));
  pointer.tag = stored.tag;
  return pointer;
}

/// R7: what a snapshot may hold is not the head's to give up.
void NativeImage::give_up(const Pointer& pointer) {
  if (pointer.birth <= catalog_.generation_of(head_parent_)) return;
  const bool mine = pointer.birth == building();
  if (!(mine ? space_.take_back(pointer.offset, pointer.length) : space_.free(pointer.offset, pointer.length)))
    throw Error(Errc::corrupt, "two pointers lead to one place").in(file_->name()).at(pointer.offset);
}

/// A cluster as it is now. Nobody changes the tree meanwhile. True: only parts of it are new.
bool NativeImage::assemble(uint64_t start, MutableBytes cluster) {
  if (dirty_.read(start, cluster).empty()) return false;
  read_base(start, cluster);
  dirty_.read(start, cluster);
  return true;
}

/// Encoded by all processors, placed in order, and in the tree when all of it is written. What fails on the way leaves tree and dirty
/// blocks as they were.
void NativeImage::write_back(const std::vector<DirtyBlocks::Ticket>& tickets) {
  struct Item {
    size_t first = 0;  ///< of the tickets
    std::optional<Pool<AlignedBuffer>::Lease> buffer;
    std::vector<StoredCluster> stored;
  };
  const size_t group = std::clamp<size_t>(kGroup / cluster_size(), 1, kWorthThreads * 2);
  const bool pressed = dirty_.bytes() > parts_.limits.write_buffer / 4 * 3;
  std::vector<Pointer> pointers(tickets.size());
  size_t next = 0;
  OrderedSteps<Item> steps;
  steps.next = [&](Item& item) {
    item.first = next;
    item.stored.resize(std::min(group, tickets.size() - next));
    next += item.stored.size();
    return !item.stored.empty();
  };
  steps.work = [&](Item& item) {
    if (!item.buffer) item.buffer = batch_buffers_.borrow();
    AlignedBuffer& clusters = **item.buffer;
    clusters.reset(item.stored.size() * cluster_size());
    for (size_t i = 0; i < item.stored.size(); ++i) {
      const MutableBytes cluster = clusters.bytes().subspan(i * cluster_size(), cluster_size());
      // Many small writes do not wait for compression: what they touch is compressed when there is time.
      const bool small = assemble(tickets[item.first + i].cluster * cluster_size(), cluster);
      item.stored[i] = extents_.codec().encode(cluster, small && pressed);
    }
  };
  steps.deliver = [&](Item& item) {
    for (size_t i = 0; i < item.stored.size(); ++i) {
      Pointer& pointer = pointers[item.first + i] = pointer_to(item.stored[i], 0);
      if (pointer.kind == Kind::data) pointer.offset = space_.take(pointer.length);
    }
  };
  steps.finish = [&](Item& item) {
    RunWriter run(*file_);
    for (size_t i = 0; i < item.stored.size(); ++i) {
      Pointer& pointer = pointers[item.first + i];
      if (pointer.kind != Kind::data) continue;
      const MutableBytes bytes = item.stored[i].bytes((*item.buffer)->bytes().subspan(i * cluster_size(), cluster_size()));
      run.add(pointer.offset, extents_.seal(pointer, bytes, bytes));
    }
    run.finish();
  };
  try {
    run_ordered(steps, {.threads = tickets.size() < kWorthThreads ? 1U : 0U});
  } catch (...) {
    for (const Pointer& pointer : pointers)
      if (pointer.offset != 0) space_.free(pointer.offset, pointer.length);
    throw;
  }
  for (size_t i = 0; i < tickets.size(); ++i) {
    if (!tickets[i].journaled) head_changed_ = true;
    const std::unique_lock lock(tree_mutex_);
    head_.set(tickets[i].cluster, pointers[i], [this](const Pointer& p) { give_up(p); });
  }
  for (const DirtyBlocks::Ticket& ticket : tickets) dirty_.written_back(ticket);
  if (cipher() == nullptr) space_.recycle(in_flight_.advance());  // encrypted, a place is used once in a generation [R9]
  bound_nodes();
}

// ---- zeros and sizes ---------------------------------------------------------------------------------

/// Whole clusters. First in the tree and then out of memory, so that a reader sees what was written last, or zeros.
void NativeImage::clear(uint64_t first, uint64_t count) {
  const bool hides = has_backing() || head_.parent() != 0;
  head_changed_ = true;
  {
    const std::unique_lock lock(tree_mutex_);
    head_.clear(first, count, hides ? building() : 0, [this](const Pointer& p) { give_up(p); });
    dirty_.drop(first, count);
  }
}

bool NativeImage::zero(uint64_t offset, uint64_t length) {
  begin_session();
  const uint64_t first = offset / cluster_size();
  const uint64_t count = div_ceil(length, cluster_size());
  // A writer of a part of a block has read the rest of it already, or begins when all of this is done.
  const RangeClaims::Claim claim(claims_, first, count);
  const std::lock_guard lock(change_mutex_);
  require_sound();
  clear(first, count);
  bound_nodes();
  return true;
}

void NativeImage::discard(uint64_t offset, uint64_t length) { zero(offset, length); }

void NativeImage::resize(uint64_t size) {
  begin_session();
  if (size > kMaxSize) throw Error(Errc::limit, "a disk of this format has at most 2^62 bytes");
  const uint64_t old_size = this->size();
  // What is cut off of the last cluster must not come back when the disk grows again.
  const uint64_t kept_end = std::min(align_up(size, cluster_size()), old_size);
  if (size < kept_end) write_at(size, std::vector<std::byte>(kept_end - size));
  {
    const std::lock_guard lock(change_mutex_);
    require_sound();
    head_changed_ = true;
    const std::unique_lock tree_lock(tree_mutex_);
    head_.resize(size, [this](const Pointer& p) { give_up(p); });
    const uint64_t clusters = div_ceil(size, cluster_size());
    dirty_.drop(clusters, UINT64_MAX - clusters);
    size_.store(size, std::memory_order_release);
  }
  // Nor may what another program left in the last cluster come to light.
  std::vector<std::byte> added(std::max(std::min(align_up(old_size, cluster_size()), size), old_size) - old_size);
  read_at(old_size, added);
  if (is_zero(added)) return;
  std::fill(added.begin(), added.end(), std::byte{0});
  write_at(old_size, added);
}

// ---- the journal -------------------------------------------------------------------------------------

/// What was flushed after the last commit, in memory. The journal holds it until the next one.
void NativeImage::replay() {
  if (durable_.clean) return;
  const uint64_t most = std::max(parts_.limits.metadata_bytes, durable_.journal_length / 2);
  broken_tail_ = replay_journal(
      *file_, durable_,
      [&](const JournalChange& change) {
        replay_change(change);
        // A record of many small changes far from each other could take a hundred times its size.
        if (dirty_.bytes() > most || head_.nodes_in_memory() > kMaxNodes)
          throw Error(Errc::limit, "what the journal holds takes more memory than allowed");
      },
      cipher());
}

void NativeImage::replay_change(const JournalChange& change) {
  // Changes are of whole blocks: what is left of one lies behind the disk's end.
  const auto base = [](uint64_t, MutableBytes out) { std::fill(out.begin(), out.end(), std::byte{0}); };
  const auto write = [&](uint64_t offset, ConstBytes data) {
    while (!data.empty()) {
      const size_t part = std::min<uint64_t>(data.size(), cluster_size() - offset % cluster_size());
      dirty_.write(offset, data.first(part), base, true);
      offset += part;
      data = data.subspan(part);
    }
  };
  if (change.type == kChangeWrite) return write(change.offset, change.data);
  const uint64_t end = change.offset + change.length;
  const uint64_t first = std::min(end, align_up(change.offset, cluster_size()));
  const uint64_t last = end == size() ? end : std::max(first, align_down(end, cluster_size()));
  const std::vector<std::byte> zeros(cluster_size());
  write(change.offset, ConstBytes(zeros).first(first - change.offset));
  write(last, ConstBytes(zeros).first(end - last));
  if (last > first) clear(first / cluster_size(), div_ceil(last - first, cluster_size()));
}

}  // namespace varve::native
