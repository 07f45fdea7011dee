// A byte container: what an image lies in.
#ifndef VARVE_STORAGE_H
#define VARVE_STORAGE_H

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>

#pragma GCC visibility push(default)
namespace varve {

using ConstBytes = std::span<const std::byte>;
using MutableBytes = std::span<std::byte>;

/// A run of a storage, all data or all hole.
struct StorageExtent {
  uint64_t offset = 0;  ///< bytes
  uint64_t length = 0;  ///< bytes
  bool hole = false;    ///< reads as zeros and takes no space
};

/// Tells one container from another, whatever its name: (device, inode) of a file.
struct StorageId {
  uint64_t device = 0;
  uint64_t inode = 0;
  bool operator==(const StorageId&) const = default;
};

struct StorageLimits {
  uint32_t block_size = 512;  ///< the unit in which it allocates or tears; bytes, a power of two
  bool fixed_size = false;    ///< a block device: resize() is refused
  bool sparse = true;         ///< holes can be made and are reported
};

/// Positional, without a cursor. All members may be called from many threads at once; overlapping
/// concurrent writes leave either's bytes. Offsets and lengths are bytes. All but the simple questions throw Error
/// (io, no_space, permission, ...); a failed flush() poisons nothing here: the image layer above does that.
class Storage {
 public:
  virtual ~Storage() = default;

  /// For messages: the path it was opened by, or "<memory>". Never changes.
  virtual const std::string& name() const noexcept = 0;
  virtual uint64_t size() const = 0;

  /// Fills all of `out`. Errc::corrupt if the storage ends before that: a caller that got its range from a
  /// file has found a truncated file.
  virtual void read_at(uint64_t offset, MutableBytes out) = 0;
  /// Writes all of `data`, growing the storage where it must; what lies between the old end and `offset` reads as zeros. Short writes
  /// and EINTR are retried. Errc::no_space at the end of a storage of fixed size, Errc::limit for an offset that no file can have.
  virtual void write_at(uint64_t offset, ConstBytes data) = 0;
  /// On return everything written before the call survives a power cut.
  virtual void flush() = 0;
  /// Gives it this many bytes: what is beyond is gone for good, what is new reads as zeros and takes no space where that is possible.
  /// Errc::unsupported for a storage of fixed size, Errc::limit for a size that no file can have.
  virtual void resize(uint64_t size) = 0;

  /// The run of one kind that begins at `offset` (< size()). It ends at size() at the latest and need not be maximal. A storage that does
  /// not know its holes reports data.
  virtual StorageExtent extent_at(uint64_t offset) { return {offset, size() - offset, false}; }
  /// Makes the range read as zeros and frees its space where that is possible. False: not possible here, nothing
  /// has changed, write zeros instead. Never changes size(); what lies beyond it is left out.
  virtual bool punch_hole(uint64_t /*offset*/, uint64_t /*length*/) { return false; }
  /// Takes the space that writing to the range will need, so that it can't run out later; the contents stay as they are. False: not
  /// possible here, nothing has changed. Errors: no_space. Never changes size().
  virtual bool reserve(uint64_t /*offset*/, uint64_t /*length*/) { return false; }
  /// Copies up to `length` bytes by sharing blocks, or on the file system's server. Returns how many were copied from the start of
  /// the range; 0: the bytes would have to pass through this host's memory, which the caller does better: read and write.
  virtual uint64_t copy_from(Storage& /*source*/, uint64_t /*source_offset*/, uint64_t /*offset*/, uint64_t /*length*/) { return 0; }

  /// nullopt: not known, so that nothing can be said to be the same.
  virtual std::optional<StorageId> id() const { return std::nullopt; }
  /// What it takes on its medium, bytes; nullopt if that is not known.
  virtual std::optional<uint64_t> allocated_bytes() const { return std::nullopt; }
  /// Permission bits of a file.
  virtual std::optional<uint32_t> mode() const { return std::nullopt; }
  virtual StorageLimits limits() const { return {}; }
};

}  // namespace varve
#pragma GCC visibility pop

#endif
