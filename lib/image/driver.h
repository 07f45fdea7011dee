// What a format driver implements, and what it is given.
//
// A driver is a FormatDriver (stateless, one row of builtin_formats()) that opens or creates FormatImages. The node above it
// (lib/image/node.h) checks every request once: range, right to write, capability, alignment of zero() and discard(). So a
// driver may assert that what reaches it is within the disk, and stays short.
#ifndef VARVE_IMAGE_DRIVER_H
#define VARVE_IMAGE_DRIVER_H

#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "image/options.h"
#include "io/byte_stream.h"
#include "varve/check.h"
#include "varve/extent.h"
#include "varve/format.h"
#include "varve/image.h"
#include "varve/limits.h"
#include "varve/storage.h"

namespace varve {

class FormatImage;
class Attachments;   // image/attachments.h
class Keys;          // image/keys.h
class Snapshots;     // image/snapshots.h
class RandomSource;  // base/random.h

// ---- what a driver is given ------------------------------------------------------------------

/// Common to opening and creating. Valid during the call only, unless said otherwise.
class DriverContext {
 public:
  virtual ~DriverContext() = default;
  virtual const std::string& path() const = 0;  ///< of the named file, for messages and for names derived from it
  virtual const Limits& limits() const = 0;
  virtual void warn(const std::string& line) = 0;
  virtual RandomSource& random() = 0;  ///< outlives the image
};

/// Which snapshot is meant; at most one of the two is set.
struct SnapshotChoice {
  std::string name;
  std::string uuid;  ///< as a child knows it, whatever its name is now

  bool is_any() const { return !name.empty() || !uuid.empty(); }
};

/// As OpenOptions says.
struct Unlock {
  SecretProvider secret = {};
  std::optional<unsigned> slot = {};
  uint64_t min_generation = 0;
  bool accept_older_state = false;
  bool for_info = false;
};

class OpenContext : public DriverContext {
 public:
  virtual const std::shared_ptr<Storage>& file() const = 0;
  virtual bool writable() const = 0;
  /// The snapshot to be read instead of the disk as it is now. Only formats that have snapshots are asked for one.
  virtual const SnapshotChoice& snapshot() const = 0;
  /// Only check() must work on what is opened.
  virtual bool for_check() const = 0;
  /// How an encrypted image is opened, and what of it is refused.
  virtual const Unlock& unlock() const = 0;
  /// A file that the image names. The reference policy decides (Errc::permission), locks are taken as for the image itself.
  /// `device`: the format says that this name is a block device, which only References::any allows.
  virtual std::shared_ptr<Storage> open_reference(const std::string& name, bool device = false) = 0;
};

class CreateContext : public DriverContext {
 public:
  virtual uint64_t size() const = 0;  ///< of the new disk, bytes
  virtual const OptionValues& options() const = 0;
  virtual const SecretProvider& secret() const = 0;  ///< of an image that is to be encrypted
  /// The file that bears the image's name. It is published last.
  virtual const std::shared_ptr<Storage>& file() = 0;
  /// A further file beside it; `name` has no directory.
  virtual std::shared_ptr<Storage> add_file(const std::string& name) = 0;
  /// True if file() is a pipe: write_at() then only appends, and nothing can be read back.
  virtual bool streaming() const = 0;
  /// For a child: the reference to store and the parent's identity (FormatImage::identity). nullptr without a parent.
  struct Parent {
    std::string name;
    std::string format;
    std::string identity;
    uint64_t size = 0;
    const FormatImage* image = nullptr;  ///< for what children of the same format take over; valid during create()
  };
  virtual const Parent* parent() const = 0;
};

/// What lies below a layer: the merged contents of its parents. Thread-safe.
class Backing {
 public:
  virtual ~Backing() = default;
  virtual uint64_t size() const = 0;
  /// Reads as zeros beyond size().
  virtual void read_at(uint64_t offset, MutableBytes out) = 0;
  virtual bool read_at_once(uint64_t offset, MutableBytes out) = 0;
};

// ---- bulk copy ---------------------------------------------------------------------------------

/// One unit of a bulk copy on its way into a target; drivers derive from it.
class BulkPiece {
 public:
  virtual ~BulkPiece() = default;
};

/// The fast way to fill a freshly created image in ascending order, for targets that allocate.
/// For each run of the disk, a whole number of units but for the last: encode() on any thread and any number at once;
/// place() in ascending order of offset, one at a time, which decides where the piece lies; store() on any thread, any number at once,
/// which does what I/O is left. Ranges that are never placed read as zeros (or as the parent).
class BulkWriter {
 public:
  virtual ~BulkWriter() = default;
  virtual uint64_t unit() const = 0;                                                ///< bytes; pieces begin at a multiple of it
  virtual std::unique_ptr<BulkPiece> encode(uint64_t offset, ConstBytes data) = 0;  ///< `data` stays valid until store() returned
  virtual void place(BulkPiece& piece) = 0;
  virtual void store(BulkPiece& piece) = 0;
};

/// An image read once from front to back, from a pipe. next() is called by one thread at a time; load() by any.
class StreamReader {
 public:
  struct Piece {
    uint64_t offset = 0;  ///< in the disk, ascending
    uint64_t length = 0;  ///< bytes of the disk
    std::vector<std::byte> stored;
  };
  virtual ~StreamReader() = default;
  virtual uint64_t size() const = 0;
  virtual ImageInfo info() const = 0;
  /// The next piece that holds data, or nullopt after the last, when the stream has been seen to end as it should.
  virtual std::optional<Piece> next() = 0;
  virtual void load(const Piece& piece, MutableBytes out) const = 0;
};

// ---- an open layer -------------------------------------------------------------------------------

/// How a child names its parent and knows it again.
struct ParentLink {
  std::vector<std::string> names;  ///< tried in this order under the reference policy
  std::string format;
  std::vector<std::string> identities;  ///< any of these is the right parent; empty: nothing to compare
  std::string snapshot = {};            ///< SnapshotChoice::uuid of the parent's snapshot that is meant; empty: its disk as it is
};

/// One layer of a disk. read_at, write_at, zero, discard, extent_at and flush may be called from many threads at once.
class FormatImage {
 public:
  virtual ~FormatImage() = default;

  virtual ImageInfo info() const = 0;  ///< the driver's part: sizes, files, details; the node adds format and path
  virtual uint64_t size() const = 0;
  /// zero() and discard() reach the driver in whole multiples of this (the last one may end at size()).
  virtual uint64_t granularity() const { return 1; }

  /// What this layer does not hold comes from read_backing().
  virtual void read_at(uint64_t offset, MutableBytes out) = 0;
  /// The same if all of it lies in memory. False, with anything in `out`: it would have to wait, for the host or for another request.
  virtual bool read_at_once(uint64_t /*offset*/, MutableBytes /*out*/) { return false; }
  virtual void write_at(uint64_t offset, ConstBytes data);
  /// Throws what a write to the range is refused with, before anything changes. The node asks before it makes one request out of several.
  virtual void require_writable(uint64_t /*offset*/, uint64_t /*length*/) {}
  /// False: this range can't be said to be zero cheaply; the node writes zeros.
  virtual bool zero(uint64_t offset, uint64_t length);
  /// Advice. Must never uncover the parent's data or an older state.
  virtual void discard(uint64_t offset, uint64_t length);
  /// The run of this layer that begins at `offset`, not longer than `limit` (> 0) and as long as is cheap to know.
  /// depth is 0. Cost is bounded: it looks at no more than one table or so.
  virtual Extent extent_at(uint64_t offset, uint64_t limit) = 0;
  virtual void flush();
  /// Writes what is pending and makes the image consistent and clean; of a created one, complete. The context publishes it afterwards.
  virtual void close() {}
  virtual void abort() noexcept {}
  virtual CheckReport check(const CheckOptions& options);
  virtual void resize(uint64_t size);

  virtual std::optional<ParentLink> parent() const { return std::nullopt; }
  /// What children compare, such as "CID 1a2b3c4d"; empty if the format has none.
  virtual std::string identity() const { return {}; }
  /// Is this the image that a child expects which knows its parent by `expected`?
  virtual bool is_known_as(const std::string& expected) const { return expected == identity(); }
  virtual BulkWriter* bulk_writer() { return nullptr; }

  // What lies below is another image, or has changed. What this layer holds stays, and what it does not hold comes from there. All that was
  // flushed before is durable before the reference changes, and that is durable on return. Afterwards nothing of the disk is read or
  // written until it is opened anew, but the second may be called again.
  /// nullptr: nothing lies below any more.
  virtual void check_new_parent(const CreateContext::Parent* parent) const;  ///< throws what can be refused beforehand
  virtual void change_parent(const CreateContext::Parent* parent);
  /// The parent is the same and has this identity now.
  virtual void renew_parent(const std::string& identity);
  /// A child is about to write to this image. Returns the identity by which it can know it from now on, whatever is written until close(),
  /// and that is durable; children which expect anything else notice the change.
  virtual std::string announce_change() { return identity(); }
  /// nullptr: the format has none.
  virtual Snapshots* snapshots() { return nullptr; }
  /// nullptr: the format has none.
  virtual Attachments* attachments() { return nullptr; }
  /// nullptr: the format has none, or the image is not encrypted.
  virtual Keys* keys() { return nullptr; }
  /// The storage in which every byte of the disk lies at its own offset; nullptr if there is none such.
  virtual Storage* flat_storage() { return nullptr; }

  /// Set once by the chain, before any I/O.
  void set_backing(std::shared_ptr<Backing> backing) { backing_ = std::move(backing); }

 protected:
  bool has_backing() const { return backing_ != nullptr; }
  /// Of the parents' disk, bytes; behind it they read as zeros.
  uint64_t backing_size() const { return backing_ ? backing_->size() : 0; }
  /// From the parents, or zeros.
  void read_backing(uint64_t offset, MutableBytes out);
  bool read_backing_at_once(uint64_t offset, MutableBytes out);

 private:
  std::shared_ptr<Backing> backing_;
};

// ---- a format --------------------------------------------------------------------------------------

/// What detection looks at: read once for all drivers.
struct ProbeInput {
  ConstBytes head;  ///< the first 64 KiB, or all of a smaller file
  ConstBytes tail;  ///< the last 4 KiB, or all
  uint64_t size = 0;
};

struct ProbeResult {
  bool matches = false;
  /// A guest that writes a raw disk could produce this. Such a match never opens an image for writing.
  bool forgeable = true;
  /// Any bytes are a valid image of this format: chosen for reading only, when nothing else matches.
  bool fallback = false;
};

class FormatDriver {
 public:
  virtual ~FormatDriver() = default;
  virtual const FormatInfo& info() const = 0;
  virtual ProbeResult probe(const ProbeInput& input) const = 0;
  virtual std::unique_ptr<FormatImage> open(OpenContext& context) const = 0;
  virtual std::unique_ptr<FormatImage> create(CreateContext& context) const;
  virtual std::unique_ptr<StreamReader> open_stream(std::shared_ptr<ByteSource> source, DriverContext& context) const;

  /// How many units of so many bytes, counted from the disk's start, hold data.
  using CountUnits = std::function<uint64_t(uint64_t unit)>;
  /// What a new image of `size` bytes takes on the host, all files together, when it holds these units and nothing else: never less than it
  /// really takes, and of data that do not compress not much more. Throws what create() throws for options and sizes.
  virtual uint64_t measure(const OptionValues& options, uint64_t size, const CountUnits& count) const;
};

/// The formats of this build. Defined once by whoever links the library together: formats/builtin.cc, or a test.
std::span<const FormatDriver* const> builtin_formats();

}  // namespace varve

#endif
