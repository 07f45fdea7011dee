// Encrypted images for tests that tamper with them: what they hold, what can be read of them afterwards, and how to change clear parts so
// that their checksums are right again.
#ifndef VARVE_TESTS_NATIVE_VICTIM_H
#define VARVE_TESTS_NATIVE_VICTIM_H

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/interval_set.h"
#include "io/memory_file_system.h"
#include "native/builder.h"
#include "native/unlocked.h"

namespace varve::test {

/// All that an image shows.
struct Contents {
  Bytes disk;
  std::map<std::string, Bytes> snapshots;
  std::map<std::string, Bytes> attachments;  ///< of the image
  bool operator==(const Contents&) const = default;
};

/// What came of reading all of an image: an error, or contents.
struct Outcome {
  std::optional<Errc> error;
  std::string message;
  Contents contents;
};

/// An image of 256 KiB in memory that raw_key() opens, and a model of it.
class Victim {
 public:
  static constexpr const char* kPath = "victim.varve";
  static constexpr const char* kParentPath = "base.varve";
  static constexpr uint64_t kDisk = 256 * 1024;

  /// `child`: over an encrypted parent of 192 KiB that is full.
  explicit Victim(OptionMap options, bool child = false);

  // What is done between open() and close() or cut(), with a pattern of its own each time.
  void open();
  void close();  ///< as it should be
  void cut();    ///< as a crash does
  void write(uint64_t offset, uint64_t length);
  void zero(uint64_t offset, uint64_t length);
  void snapshot(const std::string& name);
  void attach(const std::string& name, uint64_t length);
  void flush() { image_->flush(); }
  Image& image() { return *image_; }

  const Contents& now() const { return now_; }
  /// What is read of the file as it is now.
  Outcome outcome(OpenOptions how = {}) const;
  OpenOptions with_key(OpenOptions how = {}) const;

  MemoryFileSystem& files() const { return *files_; }
  std::shared_ptr<MemoryStorage> storage() const { return files_->find(kPath); }
  Bytes file() const { return storage()->contents(); }
  void put(const Bytes& file) { files_->add(kPath, file); }
  void put(uint64_t offset, ConstBytes bytes) { storage()->write_at(offset, bytes); }
  Bytes part(uint64_t offset, uint64_t length) const;

  FileSystem* through = nullptr;  ///< a wrapper around files()

 private:
  std::unique_ptr<MemoryFileSystem> files_ = std::make_unique<MemoryFileSystem>();
  std::optional<Image> image_;
  Contents now_;
  uint64_t patterns_ = 0;
};

/// The error says that the image is not what was written: anything else is a success of the attacker.
void expect_refused(const Outcome& outcome);
void expect_all(const Outcome& outcome, const Contents& expected);

/// An image of clusters of 4 KiB, closed, with two runs of them.
std::unique_ptr<Victim> make_victim(OptionMap options = {});
/// Everything anew in a session of its own, which uses free space after its first commit.
void rewrite(Victim& v);

/// Extents of the newest state, by their place in an object: that of a snapshot, or of the disk.
std::vector<native::Pointer> extents_of(const std::shared_ptr<Storage>& file, native::Kind kind, const std::string& snapshot = {});

/// Places of whole records in the journal of one generation, as their heads say, in order.
std::vector<Interval> records_of(Storage& file, const native::Superblock& superblock);

/// Changes a header and gives it its tag; in both copies, or in one.
void change_header(Storage& file, const std::function<void(native::HeaderRaw&)>& change, std::vector<size_t> copies = {0, 1});
/// The same of a key area. Its MAC stays.
void change_key_area(Storage& file, const std::function<void(native::KeyAreaRaw&)>& change, std::vector<size_t> copies = {0, 1});
/// With its tag right.
void put_key_area(Storage& file, size_t copy, native::KeyAreaRaw area);
std::unique_ptr<native::KeyAreaRaw> key_area_at(Storage& file, size_t copy);

}  // namespace varve::test

#endif
