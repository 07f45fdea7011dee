// Where storages come from: the host's files, or a file system in memory for tests and fuzzers.
//
// No code outside lib/io opens a path. Formats ask their OpenContext, which asks here.
#ifndef VARVE_IO_FILE_SYSTEM_H
#define VARVE_IO_FILE_SYSTEM_H

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "varve/image.h"
#include "varve/storage.h"

namespace varve {

/// When publish() returns.
enum class Naming : uint8_t {
  durable,  ///< once the name is on the medium, and with it all that were given in the same directory before
  pending,  ///< at once: the next durable publish() in the same directory waits for it, too
};

/// A file that has no name yet. Destroying it without publish() leaves nothing.
class PendingFile {
 public:
  virtual ~PendingFile() = default;
  virtual const std::shared_ptr<Storage>& storage() const = 0;
  /// Gives the file its final name. The contents must have been flushed before. Never replaces an existing file unless it was
  /// created with `replace`: then Errc::exists and the file is gone.
  virtual void publish(Naming naming) = 0;
  void publish() { publish(Naming::durable); }
  /// Takes the name back that publish() gave: for an image of several files of which a later one can't be published. What it
  /// replaced does not come back. Does nothing before publish().
  virtual void withdraw() noexcept = 0;
};

struct FileOpen {
  Access access = Access::read_only;
  bool lock = true;  ///< take QEMU-compatible locks: shared for reading, exclusive against other writers for writing
  bool durable = true;
  bool allow_device = true;  ///< a block device is fine
  Cache cache = Cache::writeback;
};

struct FileCreate {
  bool replace = false;
  std::optional<uint32_t> mode;
  bool durable = true;
  Cache cache = Cache::writeback;
};

class FileSystem {
 public:
  virtual ~FileSystem() = default;

  /// Errors: not_found, permission, locked, io, invalid_argument (a directory, a socket, ...), unsupported (no direct I/O there).
  virtual std::shared_ptr<Storage> open(const std::string& path, const FileOpen& how) = 0;
  /// Opens `name` relative to `directory` such that neither `..` nor a symlink leads out of it. Whatever lies outside is
  /// refused with permission, the same whether it exists or not.
  virtual std::shared_ptr<Storage> open_beneath(const std::string& directory, const std::string& name, const FileOpen& how) = 0;
  /// A new file that will be called `path`. Errc::exists at once if something has that name and `replace` is off.
  virtual std::unique_ptr<PendingFile> create(const std::string& path, const FileCreate& how) = 0;
};

/// The host's. Stateless, lives for ever.
FileSystem& host_file_system();

}  // namespace varve

#endif
