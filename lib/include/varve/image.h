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

#include "varve/check.h"
#include "varve/extent.h"
#include "varve/format.h"
#include "varve/limits.h"
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

/// Called with one line for each thing worth knowing that does not stop the work. May be called from several threads, one at a time.
using WarningFn = std::function<void(const std::string&)>;

struct OpenOptions {
  Access access = Access::read_only;
  std::string format;         ///< empty: probe, which opening for writing refuses unless a guest could not have forged the signature
  bool ignore_locks = false;  ///< read an image that another program is writing; only with read_only
  References references = References::inside;
  std::string parent;  ///< a path that replaces the image's own reference to its parent
  bool ignore_parent =
      false;            ///< read this layer alone: what it does not hold reads as zeros; a layer that has a parent isn't written to then
  bool durable = true;  ///< false: flush() does not reach the medium (`--sync=none`)
  Limits limits;
  WarningFn warn;
  FileSystem* file_system = nullptr;  ///< the host's if null; must outlive the image
  RandomSource* random = nullptr;     ///< of new identifiers; the system's if null; must outlive the image
};

struct CreateOptions {
  OptionMap options;             ///< of the format
  bool force = false;            ///< replace an existing file
  std::optional<uint32_t> mode;  ///< permission bits of the new file; default 0666 less the umask
  std::string parent;            ///< path of the parent, empty for none; stored as given
  std::string parent_format;     ///< empty: the child's own
  bool durable = true;
  References references = References::inside;
  Limits limits;
  WarningFn warn;
  FileSystem* file_system = nullptr;
  RandomSource* random = nullptr;
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
  std::string path;
  uint64_t virtual_size = 0;
  std::optional<uint64_t> allocated_bytes;  ///< what the files take on the host
  uint32_t cluster_size = 0;                ///< the unit of allocation, 0 if there is none
  std::vector<std::string> files;           ///< what the layer consists of, the named file first
  std::optional<ParentInfo> parent;
  bool encrypted = false;
  std::vector<std::pair<std::string, InfoValue>> details;  ///< the format's own, keys are stable
  std::vector<std::string> warnings;
};

/// An open disk: one layer and, unless told otherwise, the chain of its parents. Reads and writes may come from many
/// threads; the rest of the calls (close, resize, check) must not overlap with any other. Offsets and lengths
/// are bytes and need no alignment. Every call checks its range and its right to write once, here.
///
/// After a flush that failed the image can no longer be written: only closing and opening it anew tells what is on the medium.
///
/// close() makes everything durable, publishes a created image under its name and reports errors. Destroying an image
/// that was not closed gives up: a created one leaves nothing behind, an opened one keeps what was flushed.
class Image {
 public:
  static Image open(const std::string& path, const OpenOptions& options = {});
  /// Opens an image that lies in `storage`; references to other files are refused.
  static Image open(std::shared_ptr<Storage> storage, const OpenOptions& options = {});
  /// A new image of `size` bytes; with a parent, size may be nullopt for the parent's. It appears under `path` on close().
  static Image create(const std::string& path, std::string_view format, std::optional<uint64_t> size, const CreateOptions& options = {});

  Image(Image&&) noexcept;
  Image& operator=(Image&&) noexcept;
  ~Image();

  uint64_t size() const;
  bool writable() const;
  const FormatInfo& format() const;
  ImageInfo info() const;                ///< of this layer
  std::vector<ImageInfo> chain() const;  ///< this layer first

  void read_at(uint64_t offset, MutableBytes out);
  void write_at(uint64_t offset, ConstBytes data);
  /// The range reads as zeros afterwards, whatever the parent holds. Takes no space where the format can say so.
  void zero(uint64_t offset, uint64_t length);
  /// The contents of the range no longer matter. They read as before or as zeros, never as the parent's.
  void discard(uint64_t offset, uint64_t length);
  void flush();
  /// Grows with zeros, or shrinks. Errc::unsupported where the format can't.
  void resize(uint64_t size);

  /// The run that begins at `offset` (< size()), over the chain and merged as far as is cheap: the next run may be of the same kind.
  Extent extent_at(uint64_t offset);

  /// Looks at the whole structure of this layer; repairs need an image that was opened for writing.
  CheckReport check(const CheckOptions& options = {});

  void close();
  void abort() noexcept;

  /// For the operations of the library.
  explicit Image(std::shared_ptr<Node> node);
  Node& node() const { return *node_; }

 private:
  std::shared_ptr<Node> node_;
};

}  // namespace varve
#pragma GCC visibility pop

#endif
