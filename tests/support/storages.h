// Storages and file systems that watch or fail, to be put between an image and its files.
#ifndef VARVE_TESTS_SUPPORT_STORAGES_H
#define VARVE_TESTS_SUPPORT_STORAGES_H

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "base/interval_set.h"
#include "io/file_system.h"
#include "varve/error.h"
#include "varve/storage.h"

namespace varve::test {

/// Passes everything on to the storage below; the wrappers of this file override what they are about.
class PassingStorage : public Storage {
 public:
  explicit PassingStorage(std::shared_ptr<Storage> below) : below_(std::move(below)) {}

  const std::string& name() const noexcept override { return below_->name(); }
  uint64_t size() const override { return below_->size(); }
  void read_at(uint64_t offset, MutableBytes out) override { below_->read_at(offset, out); }
  void write_at(uint64_t offset, ConstBytes data) override { below_->write_at(offset, data); }
  void flush() override { below_->flush(); }
  void resize(uint64_t size) override { below_->resize(size); }
  StorageExtent extent_at(uint64_t offset) override { return below_->extent_at(offset); }
  bool punch_hole(uint64_t offset, uint64_t length) override { return below_->punch_hole(offset, length); }
  bool reserve(uint64_t offset, uint64_t length) override { return below_->reserve(offset, length); }
  std::optional<StorageId> id() const override { return below_->id(); }
  std::optional<uint64_t> allocated_bytes() const override { return below_->allocated_bytes(); }
  std::optional<uint32_t> mode() const override { return below_->mode(); }
  StorageLimits limits() const override { return below_->limits(); }

 protected:
  const std::shared_ptr<Storage> below_;
};

/// Counts the bytes that are read, in a number of the caller's.
class CountingStorage final : public PassingStorage {
 public:
  CountingStorage(std::shared_ptr<Storage> below, std::atomic<uint64_t>& bytes) : PassingStorage(std::move(below)), bytes_(bytes) {}
  void read_at(uint64_t offset, MutableBytes out) override {
    bytes_ += out.size();
    below_->read_at(offset, out);
  }

 private:
  std::atomic<uint64_t>& bytes_;
};

/// Writes down which parts of the file are read.
class TracedStorage final : public PassingStorage {
 public:
  using PassingStorage::PassingStorage;
  void read_at(uint64_t offset, MutableBytes out) override {
    reads.push_back({offset, out.size()});
    below_->read_at(offset, out);
  }
  std::vector<Interval> reads;
};

// ---- recording ---------------------------------------------------------------------------------

/// One thing that was done to a file, after it was done.
struct StorageEvent {
  enum class Kind : uint8_t { write, resize, punch, flush, publish };
  Kind kind = Kind::write;
  uint32_t file = 0;            ///< index into EventLog::files()
  uint64_t offset = 0;          ///< of write and punch; the new size of resize
  uint64_t length = 0;          ///< of write and punch
  uint64_t epoch = 0;           ///< how many flushes of this file had completed: what is older than the last flush has survived
  std::vector<std::byte> data;  ///< of write
};

/// What happened to a set of files, in one order. Thread-safe. A copy of the events is taken with events().
class EventLog {
 public:
  /// The number of a file, given by name; the same name has the same number.
  uint32_t file(const std::string& name);
  void add(StorageEvent event);  ///< fills in the epoch

  std::vector<StorageEvent> events() const;
  std::vector<std::string> files() const;
  size_t size() const;
  size_t count(StorageEvent::Kind kind) const;
  void clear();

 private:
  mutable std::mutex mutex_;
  std::vector<StorageEvent> events_;
  std::vector<std::string> files_;
  std::vector<uint64_t> epochs_;  // by file
};

/// Writes down what changes the storage. Reads are not events. punch_hole() is one only if it was possible below.
class RecordingStorage final : public PassingStorage {
 public:
  RecordingStorage(std::shared_ptr<Storage> below, std::shared_ptr<EventLog> log);
  void write_at(uint64_t offset, ConstBytes data) override;
  void flush() override;
  void resize(uint64_t size) override;
  bool punch_hole(uint64_t offset, uint64_t length) override;

 private:
  const std::shared_ptr<EventLog> log_;
  const uint32_t file_;
};

/// Does the event to a storage, as it was done to the recorded one; flush and publish do nothing.
void replay(const StorageEvent& event, Storage& onto);

// ---- failing -----------------------------------------------------------------------------------

/// The calls that a fault may hit; `space` stands for those that take some: write, resize and create.
enum class Hit : uint8_t { any, read, write, flush, resize, punch, size, open, create, publish, space };

enum class FaultKind : uint8_t {
  io,           ///< the call fails with Errc::io and does nothing
  no_space,     ///< a write or resize fails with Errc::no_space and does nothing; other calls fail with io
  torn_write,   ///< a write of whose sectors the first half happens, then Errc::io; other calls fail with io
  flipped_bit,  ///< a read succeeds with one wrong bit; other calls are not hit
  lost_write,   ///< a write succeeds and does nothing; other calls are not hit
};

/// Counts the calls of all storages and file systems that share it, and says which of them fails. Thread-safe.
class FaultPlan {
 public:
  /// Only counts.
  FaultPlan() = default;
  /// The call number `at` (from 0) among those that `hit` matches fails; with `sticky` all later ones as well.
  FaultPlan(uint64_t at, FaultKind kind, bool sticky = false, Hit hit = Hit::any) : at_(at), kind_(kind), sticky_(sticky), hit_(hit) {}

  /// Counts a call, of `bytes` bytes if it moves any. True if it is to fail.
  bool strikes(Hit call, uint64_t bytes = 0);
  FaultKind kind() const { return kind_; }
  uint64_t calls() const { return calls_; }  ///< that matched
  bool struck() const { return struck_; }    ///< a fault has happened
  bool flush_failed() const { return flush_failed_; }
  uint64_t struck_bytes() const { return struck_bytes_; }  ///< of the call that was hit last

 private:
  const uint64_t at_ = UINT64_MAX;
  const FaultKind kind_ = FaultKind::io;
  const bool sticky_ = false;
  const Hit hit_ = Hit::any;
  std::atomic<uint64_t> calls_ = 0;
  std::atomic<bool> struck_ = false;
  std::atomic<bool> flush_failed_ = false;
  std::atomic<uint64_t> struck_bytes_ = 0;
};

/// Fails as the plan says. extent_at() is never hit: asking for extents costs nothing that could fail.
class FaultyStorage final : public PassingStorage {
 public:
  FaultyStorage(std::shared_ptr<Storage> below, std::shared_ptr<FaultPlan> plan)
      : PassingStorage(std::move(below)), plan_(std::move(plan)) {}
  uint64_t size() const override;
  void read_at(uint64_t offset, MutableBytes out) override;
  void write_at(uint64_t offset, ConstBytes data) override;
  void flush() override;
  void resize(uint64_t size) override;
  bool punch_hole(uint64_t offset, uint64_t length) override;

 private:
  const std::shared_ptr<FaultPlan> plan_;
};

// ---- the same for whole file systems ----------------------------------------------------------

/// Passes on to `below` and wraps every storage that comes back: opened, opened beneath or created.
class WrappingFileSystem : public FileSystem {
 public:
  using Wrap = std::function<std::shared_ptr<Storage>(std::shared_ptr<Storage>)>;
  WrappingFileSystem(FileSystem& below, Wrap wrap) : below_(below), wrap_(std::move(wrap)) {}

  std::shared_ptr<Storage> open(const std::string& path, const FileOpen& how) override;
  std::shared_ptr<Storage> open_beneath(const std::string& directory, const std::string& name, const FileOpen& how) override;
  std::unique_ptr<PendingFile> create(const std::string& path, const FileCreate& how) override;

 protected:
  /// Before the call reaches the file system below.
  virtual void before(Hit /*call*/, const std::string& /*path*/) {}
  virtual void published(const std::string& /*path*/) {}

 private:
  class Pending;
  FileSystem& below_;
  const Wrap wrap_;
};

/// Every file that is opened or created writes into one log, publishing too.
class RecordingFileSystem final : public WrappingFileSystem {
 public:
  RecordingFileSystem(FileSystem& below, std::shared_ptr<EventLog> log);

 private:
  void published(const std::string& path) override;
  const std::shared_ptr<EventLog> log_;
};

/// Every call on any of its files, and on itself, is counted and fails by one plan.
class FaultyFileSystem final : public WrappingFileSystem {
 public:
  FaultyFileSystem(FileSystem& below, std::shared_ptr<FaultPlan> plan);

 private:
  void before(Hit call, const std::string& path) override;
  const std::shared_ptr<FaultPlan> plan_;
};

}  // namespace varve::test

#endif
