// Disks for the tests of the operations: a source that is a script of runs, and targets of each kind that a copy knows, which keep a
// journal of what they were asked.
#ifndef VARVE_TESTS_UNIT_OPS_KIT_H
#define VARVE_TESTS_UNIT_OPS_KIT_H

#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "image/driver.h"
#include "support/bytes.h"
#include "varve/image.h"

namespace varve::test {

/// What a disk was asked, in the order in which it was asked. Thread-safe.
class Journal {
 public:
  enum class What : uint8_t { read, write, zero, encode, place, store };
  struct Event {
    What what;
    uint64_t offset;
    uint64_t length;
    bool operator==(const Event&) const = default;
  };

  void add(What what, uint64_t offset, uint64_t length);
  std::vector<Event> of(What what) const;
  std::vector<Event> all() const;
  /// Does any event of this kind touch the range?
  bool touched(What what, uint64_t offset, uint64_t length) const;

 private:
  mutable std::mutex mutex_;  // covers events_
  std::vector<Event> events_;
};

struct ScriptRun {
  uint64_t length;
  ExtentKind kind;
};

/// A read-only disk of the runs, whose data is pattern_byte() of the offset. `fail_at`: reading that byte is Errc::io.
Image script_disk(const std::vector<ScriptRun>& runs, std::shared_ptr<Journal> journal = nullptr, uint64_t fail_at = UINT64_MAX);

/// Never zero, and different at neighbouring offsets.
std::byte pattern_byte(uint64_t offset);

/// What a script_disk() of the runs holds.
std::vector<std::byte> script_bytes(const std::vector<ScriptRun>& runs);

/// How a recording target takes its data.
enum class Way : uint8_t {
  plain,  ///< write_at() and zero()
  flat,   ///< the same, and tells its flat storage
  bulk,   ///< a BulkWriter with units of 4 KiB, which stores one piece behind the other
};

/// A new image of the way, "a.rec" in `files`, that writes into the journal. It may go down a `pipe` instead.
Image recording_target(Way way, FileSystem& files, uint64_t size, std::shared_ptr<Journal> journal,
                       std::shared_ptr<Storage> pipe = nullptr);

/// An existing image; plain or flat.
Image recording_disk(Way way, std::shared_ptr<Storage> file, std::shared_ptr<Journal> journal);
Image recording_disk(Way way, const std::vector<std::byte>& contents, std::shared_ptr<Journal> journal);

}  // namespace varve::test

#endif
