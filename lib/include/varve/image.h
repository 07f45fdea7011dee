// A virtual disk: open it, create it, read and write it.
#ifndef VARVE_IMAGE_H
#define VARVE_IMAGE_H

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "varve/attachment.h"
#include "varve/check.h"
#include "varve/extent.h"
#include "varve/format.h"
#include "varve/key.h"
#include "varve/limits.h"
#include "varve/secret.h"
#include "varve/snapshot.h"
#include "varve/storage.h"

#pragma GCC visibility push(default)
namespace varve {

class FileSystem;
class Node;
class RandomSource;

/// Which files that an image names (parents, extents) may be opened.
enum class References : uint8_t {
  none,    ///< no file but the image: for services that read strangers' images
  inside,  ///< relative names that stay in the image's own directory or below, no symlink out of it, no device
  any,     ///< on the user's word
};

enum class Access : uint8_t { read_only, read_write };

/// How the bytes of an image's files, and of its parents', pass through the host.
enum class Cache : uint8_t {
  writeback,  ///< through the host's page cache
  none,       ///< past it (O_DIRECT) wherever whole blocks are moved; parts of blocks still pass through it. Unsupported where the file
              ///< system has no direct I/O. What makes it durable is flush(), as ever
};

/// Called with one line for each thing worth knowing that does not stop the work. May be called from several threads, one at a time, as
/// long as the image lives. Must not throw and must not use the image. Strings from the image stand in the line as they are: see
/// escape_text() (varve/text.h).
using WarningFn = std::function<void(const std::string&)>;

/// All but file_system and random is copied.
struct OpenOptions {
  Access access = Access::read_only;
  std::string format;         ///< empty: probe, which opening for writing refuses unless a guest could not have forged the signature
  bool ignore_locks = false;  ///< read an image that another program is writing; only with read_only
  References references = References::inside;
  /// A path that replaces the image's own reference to its parent, whatever `references` says; that parent's own references are held
  /// against `references` again. It must have the identity that the image expects.
  std::string parent;
  /// Read this layer alone: what it does not hold reads as zeros. A layer that has a parent is not written to then.
  bool ignore_parent = false;
  /// Open it for check() though damage makes it useless, as far as the format can. Until a repair mends that, whatever reads or changes the
  /// disk throws corrupt.
  bool for_check = false;
  /// Read the disk as this snapshot of the image holds it; empty: as it is now. Such an image is not written to.
  std::string snapshot;
  SecretProvider secret;             ///< for encrypted images: this one and its parents
  std::optional<unsigned> key_slot;  ///< the only one to be tried, of this image; nullopt: all that fit the kind of secret
  bool require_encryption = false;   ///< refuse an image, or a parent, that is not encrypted
  /// Refuse an older state of the image than this one (`varve info` shows the number). Only for formats that count their states.
  uint64_t min_generation = 0;
  /// The user's word that an encrypted image may be used though one of its two superblocks does not count: if it was the newer one, what is
  /// seen is an older state.
  bool accept_older_state = false;
  /// An encrypted image without a secret is opened for info() and key_slots() alone. Its disk is empty then.
  bool for_info = false;
  bool durable = true;  ///< false: flush() does not reach the medium (`--sync=none`)
  Cache cache = Cache::writeback;
  Limits limits;  ///< of each layer of the chain
  WarningFn warn;
  FileSystem* file_system = nullptr;  ///< the host's if null; must outlive the image
  RandomSource* random = nullptr;     ///< of new identifiers; the system's if null; must outlive the image
};

/// All but file_system and random is copied.
struct CreateOptions {
  OptionMap options;             ///< of the format
  bool force = false;            ///< replace existing files, on close()
  std::optional<uint32_t> mode;  ///< permission bits of the new files, 0666 by default; less the umask
  /// The parent's path, empty for none. Stored as given; a relative one counts from the new image's directory. The parent is opened for
  /// reading, with a shared lock, until the new image is destroyed: on the user's word, whatever its name. A warning says if its name
  /// is one that References::inside will refuse.
  std::string parent;
  std::string parent_format;  ///< empty: the child's own; never probed
  /// A snapshot of the parent: the child is made over what that holds, whatever becomes of the parent. It is marked as held there first;
  /// where that can't be written a warning says so. Empty: the parent's disk as it is, which must not change afterwards.
  std::string parent_snapshot;
  SecretProvider secret;                       ///< what the new image is to be opened with, if its options say that it is encrypted
  SecretProvider parent_secret;                ///< for parents that are encrypted
  bool durable = true;                         ///< false: close() does not wait until the image is on the medium
  Cache cache = Cache::writeback;              ///< also of its parents
  References references = References::inside;  ///< for the files that the parent names
  Limits limits;                               ///< of the new disk, and of each layer of its parents
  WarningFn warn;
  FileSystem* file_system = nullptr;  ///< the host's if null; must outlive the image
  RandomSource* random = nullptr;     ///< of new identifiers; the system's if null; must outlive the image
};

using InfoValue = std::variant<bool, uint64_t, std::string>;

/// A parent as its child names it.
struct ParentInfo {
  std::string name;  ///< as stored in the image, which may be a hostile string
  std::string format;
  std::string identity;  ///< what the child expects of it, such as "CID 1a2b3c4d"
};

struct ImageInfo {
  std::string format;
  std::string path;                         ///< as given, or as it was found from its child
  uint64_t virtual_size = 0;                ///< bytes of the disk
  std::optional<uint64_t> allocated_bytes;  ///< bytes that all files of the layer take on the host; nullopt if not known
  uint32_t cluster_size = 0;                ///< the unit of allocation, bytes; 0 if there is none
  std::vector<std::string> files;           ///< paths of what the layer consists of, the named file first
  std::optional<ParentInfo> parent;
  bool encrypted = false;
  bool locked = false;  ///< opened without a secret: only what is in clear is known, and virtual_size is not
  std::vector<std::pair<std::string, InfoValue>> details;  ///< the format's own, keys are stable
  std::vector<std::string> warnings;                       ///< the first 100 that the layer has given so far
};

/// An open disk: one layer and, unless told otherwise, the chain of its parents. Reads and writes may come from many
/// threads; the rest of the calls (close, abort, resize, check) must not overlap with any other. Offsets and lengths
/// are bytes and need no alignment. Every call checks its range and its right to write once, here. Of an image that was moved
/// from nothing may be called but destruction and assignment.
///
/// Whatever looks at the image's files throws corrupt, unsupported or limit for what stands in them, io for what the host does, and
/// permission for what the image itself forbids to read. Whatever changes the image throws, besides:
/// - permission if it is open for reading only, or closed;
/// - io, once a flush, a repair or a created image's close() has failed: what is on the medium is not known then, and only opening or
///   making it anew can tell;
/// - invalid_argument if it was opened with ignore_parent and has a parent (but not for discard and repair);
/// - no_space if the host is full; limit if the format cannot hold more.
/// A write that fails may have changed any part of its range and nothing else.
///
/// close() makes everything durable, publishes a created image under its name and reports errors. Destroying an image
/// that was not closed gives up: a created one leaves nothing behind, an opened one keeps what was flushed. Files and their locks
/// are let go on destruction only.
class Image {
 public:
  /// Throws not_found, permission (of the host, or a reference that is refused), locked, io; invalid_argument if the format is not known,
  /// ambiguous, or must be named before writing, and if `path` is no file or block device; corrupt, also for a wrong parent.
  static Image open(const std::string& path, const OpenOptions& options = {});
  /// Opens an image that lies in `storage`, which it shares and takes no lock on. The files that it names are refused with permission,
  /// whatever options.references says; only options.parent is opened, from options.file_system. options.ignore_locks,
  /// options.durable and options.cache do not apply to `storage`.
  static Image open(std::shared_ptr<Storage> storage, const OpenOptions& options = {});
  /// A new image of `size` bytes; with a parent, size may be nullopt for the parent's. It appears under `path` on close(), with all
  /// further files of the format beside it; until then it is used like an opened one, as far as the format allows. Throws
  /// invalid_argument for options, sizes and names that make no sense, unsupported, limit, what the host refuses, for the parent
  /// what open() does, and exists if the name is taken and may not be replaced: here or, if it was taken meanwhile, on close().
  static Image create(const std::string& path, std::string_view format, std::optional<uint64_t> size, const CreateOptions& options = {});

  Image(Image&&) noexcept;
  Image& operator=(Image&&) noexcept;
  ~Image();

  uint64_t size() const;                 ///< of the disk, bytes
  bool writable() const;                 ///< created, or opened for writing; also after a failed flush and after close()
  const FormatInfo& format() const;      ///< lives as long as the program
  ImageInfo info() const;                ///< of this layer
  std::vector<ImageInfo> chain() const;  ///< this layer first

  /// Fills all of `out`. Throws invalid_argument if the range leaves the disk, as do all calls with a range.
  void read_at(uint64_t offset, MutableBytes out);
  /// Overlapping writes of several threads leave either's bytes. Throws unsupported where the format is not written in place.
  void write_at(uint64_t offset, ConstBytes data);
  /// The range reads as zeros afterwards, whatever the parent holds. Takes no space where the format can say so.
  void zero(uint64_t offset, uint64_t length);
  /// The contents of the range no longer matter. They read as before or as zeros, never as the parent's. A format may do nothing.
  void discard(uint64_t offset, uint64_t length);
  /// On return all earlier writes survive a power cut (of an opened image; a created one has no name yet). Nothing to do, and no
  /// error, where the image is open for reading only.
  void flush();
  /// Grows with zeros, or shrinks; bytes. Throws unsupported where the format can't, limit beyond Limits::virtual_size.
  void resize(uint64_t size);

  /// The run that begins at `offset` (< size()), over the chain and merged as far as is cheap: the next run may be of the same kind.
  Extent extent_at(uint64_t offset);

  /// Looks at the whole structure of this layer. What is wrong with it is a finding and not an error. Throws unsupported where the format
  /// has nothing to check, cancelled, permission for a repair of an image that is not open for writing.
  CheckReport check(const CheckOptions& options = {});

  /// Parents before children. Throws unsupported where the format has none; so do the following, which are durable when they return.
  std::vector<SnapshotInfo> snapshots();
  /// Of the disk as it is, `time` nanoseconds after 1970-01-01 00:00 UTC. Throws exists if the name is taken, invalid_argument for one that
  /// is empty, longer than 1024 bytes or not UTF-8.
  void create_snapshot(const std::string& name, uint64_t time);
  /// Throws not_found if there is no such snapshot, invalid_argument if it is held and `held_too` is not given. What others are based on
  /// stays as a branch point.
  void delete_snapshot(const std::string& name, bool held_too = false);
  /// The disk becomes what the snapshot holds, its size too. What was written since the last snapshot is lost. Nothing else may use the
  /// image meanwhile.
  void revert_to_snapshot(const std::string& name);
  void rename_snapshot(const std::string& name, const std::string& new_name);
  /// Marks it as one that a file was made over.
  void hold_snapshot(const std::string& name);
  /// Calls `visit` in order for each run of the disk in snapshot `to` (empty: as this image shows it) whose contents are not those of
  /// snapshot `from`. The cost is what changed. Runs consist of whole clusters, and what was written anew differs even if it is the same
  /// bytes; kind is that in `to`, depth is 0, and there is no host_offset. What `from` has behind the end of `to` is not told. Throws
  /// not_found for a snapshot, and what `visit` throws, which must not use the image.
  void diff_snapshots(const std::string& from, const std::string& to, const std::function<void(const Extent&)>& visit);

  /// Those of the image and of all its snapshots. Throws unsupported where the format has none; so do the following.
  std::vector<AttachmentInfo> attachments();
  /// A part of one. Throws not_found, and invalid_argument for a range that leaves it.
  void read_attachment(const AttachmentKey& key, uint64_t offset, MutableBytes out);
  /// Attaches what `source` gives, of any length, in little memory; durable when it returns. Throws exists unless `replace`, not_found for
  /// the snapshot, invalid_argument for a name that is empty, longer than 1024 bytes or not UTF-8, and what `source` throws, which must
  /// not use the image. After another failure than of key or name nothing may be written any more.
  void put_attachment(const AttachmentKey& key, uint64_t time, const AttachmentSource& source, bool replace = false);
  void delete_attachment(const AttachmentKey& key);

  /// Those of an encrypted image, without any secret. Throws unsupported where there are none; so do the following, which are durable when
  /// they return and take no part in the disk's state. What they throw leaves the slots as they were, or as they were to be.
  std::vector<KeySlotInfo> key_slots();
  /// Returns the slot that it takes. Throws limit if all are taken, invalid_argument for a secret that can't be or a derivation that is
  /// too weak.
  unsigned add_key(const KeySecret& secret, const KeyDerivation& how = {});
  /// The slot takes another secret. Throws not_found if it is empty.
  void change_key(unsigned slot, const KeySecret& secret, const KeyDerivation& how = {});
  /// Throws not_found, and invalid_argument for the last one. Copies of the file, and perhaps the medium, still know the slot: who had its
  /// secret before can read what such a copy holds, and only rotate_key() keeps later states from him.
  void remove_key(unsigned slot);
  /// Encrypts everything anew under another master key. Takes up to as much space as the image has meanwhile. Nothing else may use the
  /// image. Throws cancelled. After that, as after a crash, the image is to be opened anew: it holds what it did, and another call goes on.
  void rotate_key(const RotateOptions& options = {});

  /// If it throws, nothing of a created image has got its name (what CreateOptions::force has replaced by then may be gone); the
  /// image can only be destroyed then. Afterwards the disk still reads, but whatever would change it throws permission. A second
  /// close(), or one after abort(), does nothing.
  void close();
  /// Gives up as destruction does. Only destruction, close() and abort() may follow.
  void abort() noexcept;

  /// For the operations of the library.
  explicit Image(std::shared_ptr<Node> node);
  Node& node() const { return *node_; }

 private:
  std::shared_ptr<Node> node_;
};

/// The format that Image::open() would find for this file if none is named, with the same errors: for writing only one whose signature a
/// guest could not have forged. Nothing but the file's head and tail is looked at, no lock is taken, and nothing stays open.
const FormatInfo& recognized_format(const std::string& path, Access access, FileSystem* file_system = nullptr);

}  // namespace varve
#pragma GCC visibility pop

#endif
