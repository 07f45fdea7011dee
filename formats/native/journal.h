// What was flushed since the last commit (docs/formats/varve.md, section 9).
#ifndef VARVE_FORMATS_NATIVE_JOURNAL_H
#define VARVE_FORMATS_NATIVE_JOURNAL_H

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "native/cipher.h"
#include "native/superblock.h"
#include "varve/storage.h"

namespace varve::native {

struct JournalChange {
  uint32_t type = kChangeWrite;
  uint64_t offset = 0;  ///< in the disk, bytes
  uint64_t length = 0;
  ConstBytes data;  ///< of a write
};

/// Writes the records of one generation. Not thread-safe.
class JournalWriter {
 public:
  /// Of the generation of `superblock`, none of whose records are there yet.
  JournalWriter(Storage& file, const Superblock& superblock, const Cipher* cipher);

  /// Appends a record; false if there is no room for it. The caller flushes the file.
  bool append(const std::vector<JournalChange>& changes);

 private:
  Storage& file_;
  const uint64_t generation_;
  const TagBytes chain_;
  uint64_t next_;  ///< in the file, bytes
  const uint64_t end_;
  const Cipher* const cipher_;
  std::shared_ptr<const GcmKey> key_;  ///< of an encrypted image
  uint64_t sequence_ = 1;
  TagBytes previous_;
};

/// Calls `apply` with the changes of the generation of `superblock`, in order, each within a disk of its size. Throws corrupt if a record
/// is damaged that was durable once, when all before it have been applied. Returns the place of a record that is not whole behind the last
/// one, if there is one: a flush that was cut off.
std::optional<uint64_t> replay_journal(Storage& file, const Superblock& superblock, const std::function<void(const JournalChange&)>& apply,
                                       const Cipher* cipher = nullptr);

}  // namespace varve::native

#endif
