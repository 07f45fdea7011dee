// An open image of the native format: the head as a disk.
//
// Writes land in memory as dirty blocks and come into the tree when there are many of them, or with a commit. A flush is a record of the
// journal where it can be, else a commit (docs/formats/varve.md, sections 8 and 9).
#ifndef VARVE_FORMATS_NATIVE_NATIVE_IMAGE_H
#define VARVE_FORMATS_NATIVE_NATIVE_IMAGE_H

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <shared_mutex>
#include <string>
#include <vector>

#include "base/in_flight.h"
#include "base/range_claims.h"
#include "exec/background_task.h"
#include "image/attachments.h"
#include "image/driver.h"
#include "image/keys.h"
#include "image/snapshots.h"
#include "native/catalog.h"
#include "native/dirty_blocks.h"
#include "native/extents.h"
#include "native/journal.h"
#include "native/key_area.h"
#include "native/space.h"
#include "native/superblock.h"
#include "native/tree.h"

namespace varve::native {

struct CheckResult;  // native/check.h

/// What was read from a file or laid out for a new one.
struct ImageParts {
  std::shared_ptr<Storage> file;
  Headers headers;
  Superblocks superblocks;
  std::shared_ptr<Cipher> cipher = {};  ///< of an encrypted image
  KeyArea key_area = {};                ///< of an encrypted image
  Unlocked opened = {};                 ///< its slot; the keys are the cipher's
  bool writable = false;
  bool created = false;          ///< unpublished: nobody reads the file before close()
  SnapshotChoice snapshot = {};  ///< what is shown instead of the head
  bool for_check = false;        ///< a catalog or journal that is damaged is no reason not to open
  Limits limits;
  RandomSource* random = nullptr;
};

/// Thread-safe as FormatImage says. Lock order: a claim, change_mutex_, tree_mutex_, then those of members.
class NativeImage final : public FormatImage {
 public:
  explicit NativeImage(ImageParts parts);
  ~NativeImage() override;

  ImageInfo info() const override;
  uint64_t size() const override;
  uint64_t granularity() const override { return cluster_size(); }
  void read_at(uint64_t offset, MutableBytes out) override;
  bool read_at_once(uint64_t offset, MutableBytes out) override;
  void write_at(uint64_t offset, ConstBytes data) override;
  bool zero(uint64_t offset, uint64_t length) override;
  void discard(uint64_t offset, uint64_t length) override;
  Extent extent_at(uint64_t offset, uint64_t limit) override;
  void flush() override;
  void close() override;
  CheckReport check(const CheckOptions& options) override;
  void resize(uint64_t size) override;
  std::optional<ParentLink> parent() const override;
  std::string identity() const override;
  bool is_known_as(const std::string& expected) const override;
  void check_new_parent(const CreateContext::Parent* /*parent*/) const override {}  ///< any will do
  void change_parent(const CreateContext::Parent* parent) override;
  void renew_parent(const std::string& identity) override;
  std::string announce_change() override;
  BulkWriter* bulk_writer() override;
  Snapshots* snapshots() override;
  Attachments* attachments() override;
  Keys* keys() override;

  /// Of a new image: it lies over this parent.
  void set_parent_reference(const ParentReference& reference);

  const ImageParts& parts() const { return parts_; }
  Extents& extents() { return extents_; }
  const Space& space() const { return space_; }
  const Catalog& catalog() const { return catalog_; }
  const Superblock& durable() const { return durable_; }
  /// Of an image that is open for a check.
  const std::optional<Error>& catalog_fault() const { return catalog_fault_; }
  const std::optional<Error>& journal_fault() const { return journal_fault_; }
  const std::optional<uint64_t>& broken_tail() const { return broken_tail_; }

 private:
  friend class NativeAttachments;
  friend class NativeBulkWriter;
  friend class NativeKeys;
  friend class Rotation;
  friend class NativeSnapshots;

  uint64_t cluster_size() const { return parts_.headers.header.cluster_size; }
  Cipher* cipher() const { return parts_.cipher.get(); }
  uint64_t building() const { return durable_.generation + 1 + skipped_; }

  // native_read.cc
  const Snapshot* shown_snapshot() const;
  void load_catalog();
  void show_snapshot();
  void narrow(Extent& run, const Pointer& pointer, uint64_t within) const;
  void require_whole() const;
  void read_base(uint64_t offset, MutableBytes out);
  bool read_base_at_once(uint64_t offset, MutableBytes out);

  // parent.cc
  std::string any_state() const;
  void lie_over(std::optional<ParentReference> reference);

  // snapshots.cc and attachments.cc
  void free_once(const Pointer& pointer);
  void drop_leftovers();

  // rotate.cc
  void drop_rotation();
  Tree::GiveUp give_up_after(uint64_t generation);

  // native_write.cc
  void begin_session();
  void begin_cipher_session();
  void bound_dirty();
  bool make_room();
  bool assemble(uint64_t start, MutableBytes cluster);
  void write_back(const std::vector<DirtyBlocks::Ticket>& tickets);
  void bound_nodes();
  void replay();
  void replay_change(const JournalChange& change);
  void clear(uint64_t first, uint64_t count);
  void set_pointer(uint64_t cluster, const StoredCluster& stored, uint64_t offset);
  Pointer pointer_to(const StoredCluster& stored, uint64_t offset) const { return pointer_to(stored, offset, building()); }
  Pointer pointer_to(const StoredCluster& stored, uint64_t offset, uint64_t birth) const;
  void give_up(const Pointer& pointer);

  // repair.cc
  struct Mended;
  CheckReport repair(const CheckOptions& options, std::unique_lock<std::mutex>& lock);
  Mended mend(const CheckResult& found, Repair how, std::unique_lock<std::mutex>& lock);
  void lose_catalog();
  void mend_objects(const CheckResult& found, Mended& mended);
  bool can_commit(const CheckResult& found);

  // commit.cc
  void require_sound() const;
  void last_if_it_fails(const std::function<void()>& call);
  bool try_journal();
  void commit();
  void write_generation();
  Tree::Sink node_sink();
  Object store_catalog();
  Pointer store_sessions(const Pointer& old);
  void write_front();
  void give_up_object(const Object& object);
  void allocate_journal(Superblock& next);
  void write_superblock(Superblock next);
  void find_free_space();
  bool look_for_free_space(const std::function<bool()>& go_on);
  void finish();

  ImageParts parts_;
  const std::shared_ptr<Storage> file_;
  Extents extents_;
  RangeClaims claims_;  ///< of clusters that are written in part
  InFlight in_flight_;  ///< requests that read places which they found in the tree
  DirtyBlocks dirty_;
  Pool<AlignedBuffer> batch_buffers_;  ///< for write_back(), which would get new pages each time
  Space space_;
  std::unique_ptr<BulkWriter> bulk_;
  std::unique_ptr<Snapshots> snapshots_;
  std::unique_ptr<Attachments> attachments_;
  std::unique_ptr<Keys> keys_;

  std::atomic<unsigned> flushes_waiting_{0};  ///< for change_mutex_, to which writing behind gives way
  mutable std::mutex change_mutex_;           ///< held by whoever changes the tree; covers what follows
  Superblock durable_;
  Catalog catalog_;
  // As they will be in the next superblock.
  uint64_t head_parent_ = 0;
  uint64_t last_snapshot_id_ = 0;
  Catalog catalog_at_open_;  ///< what find_free_space() goes over
  bool catalog_changed_ = false;
  bool sessions_changed_ = false;  ///< so the next commit stores the table of them
  bool looked_for_space_ = false;
  bool sessions_placed_ = false;         ///< it was stored when free space was known
  bool head_changed_ = false;            ///< in a way that the journal does not hold
  uint64_t skipped_ = 0;                 ///< generations that failed commits have used up
  bool began_ = false;                   ///< this program has made a commit
  std::optional<Error> catalog_fault_;   ///< it is not known what it holds
  std::optional<Error> journal_fault_;   ///< it is not known what was flushed last
  bool catalog_lost_ = false;            ///< a repair has given it up
  std::optional<uint64_t> broken_tail_;  ///< a record in the journal that a cut left
  bool no_room_for_journal_ = false;
  std::atomic<bool> broken_{false};   ///< what is on the medium is not known
  std::atomic<bool> touched_{false};  ///< something was to be changed
  bool wants_journal_ = false;        ///< a flush could have used one
  std::optional<JournalWriter> journal_;

  mutable std::shared_mutex tree_mutex_;  ///< shared for looking; exclusive for changes in memory
  Tree head_;
  std::atomic<uint64_t> size_;

  // Last: they end before what they work on.
  std::atomic<bool> closing_{false};
  BackgroundTask write_behind_;
  BackgroundTask find_free_space_;
};

}  // namespace varve::native

#endif
