// A file system in memory: for tests, fuzzers and services that hold images in memory.
#ifndef VARVE_IO_MEMORY_FILE_SYSTEM_H
#define VARVE_IO_MEMORY_FILE_SYSTEM_H

#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "io/file_system.h"
#include "io/memory_storage.h"

namespace varve {

/// Files by path; there are no directories, symlinks, devices or locks. "a//b" and "./a/b" are the same path. Thread-safe.
/// It remembers every access that it was asked for, so that a test can prove what was never touched.
class MemoryFileSystem final : public FileSystem {
 public:
  struct Call {
    std::string operation;  ///< "open", "open_beneath", "create", "publish"
    std::string path;
    bool operator==(const Call&) const = default;
  };

  /// Each file created here may hold `capacity` bytes.
  explicit MemoryFileSystem(uint64_t capacity = UINT64_MAX) : capacity_(capacity) {}
  ~MemoryFileSystem() override;

  std::shared_ptr<Storage> open(const std::string& path, const FileOpen& how) override;
  /// Refuses with permission, before it looks: absolute names, and those whose `..` leave the directory.
  std::shared_ptr<Storage> open_beneath(const std::string& directory, const std::string& name, const FileOpen& how) override;
  std::unique_ptr<PendingFile> create(const std::string& path, const FileCreate& how) override;

  /// Adds or replaces a file, without recording a call.
  std::shared_ptr<MemoryStorage> add(const std::string& path, ConstBytes contents = {});
  void add(const std::string& path, std::shared_ptr<MemoryStorage> storage);
  /// nullptr if there is none; not recorded.
  std::shared_ptr<MemoryStorage> find(const std::string& path) const;
  void remove(const std::string& path);
  std::vector<std::string> paths() const;

  std::vector<Call> calls() const;
  void forget_calls();

 private:
  class Pending;
  void record(const char* operation, const std::string& path);
  std::shared_ptr<Storage> open_file(const std::string& path, const FileOpen& how);
  void publish(const std::string& path, const std::shared_ptr<MemoryStorage>& storage, bool replace);
  void erase(const std::string& key) noexcept;

  const uint64_t capacity_;
  mutable std::mutex mutex_;  // covers all below
  std::map<std::string, std::shared_ptr<MemoryStorage>> files_;
  std::vector<Call> calls_;
};

}  // namespace varve

#endif
