// The log: changes of metadata that were promised but may not have reached their places [MS-VHDX 2.3].
//
// A ring of 4 KiB sectors. An entry names ranges of the file and what they are to hold; entries follow each other with ascending
// sequence numbers, and the last one whole says with which of them replay begins. This part reads and replays; log_writer.h writes.
#ifndef VARVE_FORMATS_VHDX_LOG_H
#define VARVE_FORMATS_VHDX_LOG_H

#include <cstdint>
#include <functional>
#include <vector>

#include "base/uuid.h"
#include "varve/limits.h"
#include "varve/storage.h"
#include "vhdx/header.h"

namespace varve::vhdx {

/// One entry that is whole: checksum, GUID, all sequence numbers.
struct LogEntry {
  uint64_t position = 0;  ///< in the ring, bytes
  uint64_t length = 0;    ///< bytes
  uint64_t tail = 0;      ///< position of the oldest entry that replay needs
  uint64_t sequence = 0;
  uint64_t flushed_file_size = 0;
  uint64_t last_file_size = 0;
  std::vector<std::byte> bytes;
};

/// What replay has to do, oldest entry first.
struct PendingLog {
  std::vector<LogEntry> entries;

  bool empty() const { return entries.empty(); }
  /// What the file has at least afterwards, bytes.
  uint64_t file_size() const;
};

/// The active sequence of the log that `header` names; none if its GUID is nil, or if not even the start of an entry bears it: then
/// nothing was logged yet. All ranges have been checked against the file [RES-5, RES-6]. Throws corrupt if no entry is whole, if the
/// file is shorter than it was or if an entry names a place that is not to be changed; limit for a log beyond `limits`.
PendingLog read_log(Storage& file, const Header& header, const Limits& limits);

/// Calls, in the order in which they are to be applied, `data` with each sector of kLogSector bytes and `zero` with each range.
struct LogVisitor {
  std::function<void(uint64_t offset, ConstBytes sector)> data;
  std::function<void(uint64_t offset, uint64_t length)> zero;
};
void visit(const PendingLog& log, const LogVisitor& visitor);

}  // namespace varve::vhdx

#endif
