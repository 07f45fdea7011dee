// Writing the log [MS-VHDX 2.3.1].
#ifndef VARVE_FORMATS_VHDX_LOG_WRITER_H
#define VARVE_FORMATS_VHDX_LOG_WRITER_H

#include <cstdint>
#include <span>

#include "base/uuid.h"
#include "varve/storage.h"
#include "vhdx/header.h"
#include "vhdx/page_cache.h"

namespace varve::vhdx {

/// Appends entries to the ring. Each says that replay begins with itself: the caller has brought what earlier ones hold into place, and
/// made it durable, before append() is called. So the ring never fills, and a user's flush costs two flushes of the file:
///
///     size = file.size();
///     file.flush();      // data, and the pages that the entry before this one changed
///     log.append(pages, size);
///     file.flush();      // from here on the change is promised
///     write the pages into their places, whenever
///
/// An entry takes at most half of the ring, so the last whole one is never overwritten. Not thread-safe.
class LogWriter {
 public:
  /// `header` names the ring; the GUID is not used before.
  LogWriter(Storage& file, const Header& header, const Uuid& guid);

  const Uuid& guid() const { return guid_; }
  /// How many pages an entry holds at most.
  size_t capacity() const { return capacity_of(length_); }
  static size_t capacity_of(uint64_t log_length);
  /// `durable_size`: the file's size before that flush, bytes; it covers all that the pages name.
  void append(std::span<const PageBatch::Item> pages, uint64_t durable_size);

 private:
  Storage& file_;
  const uint64_t offset_;
  const uint64_t length_;
  const Uuid guid_;
  uint64_t sequence_ = 1;
  uint64_t position_ = 0;
};

}  // namespace varve::vhdx

#endif
