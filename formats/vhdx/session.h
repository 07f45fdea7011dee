// The time between the first change of an image and its clean close: new GUIDs, the log, the order of writes.
//
// Begin: one header says that the file and its data are new; a first entry in the log, flush; then both headers say that the log counts,
// too. Flush: data and what earlier flushes brought into place, flush; log entries, flush; then the pages go into place. End: flush, and
// both headers say that the log is empty. [MS-VHDX 2.2.2, 2.3]
#ifndef VARVE_FORMATS_VHDX_SESSION_H
#define VARVE_FORMATS_VHDX_SESSION_H

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <span>

#include "base/random.h"
#include "varve/storage.h"
#include "vhdx/header.h"
#include "vhdx/log_writer.h"
#include "vhdx/page_cache.h"
#include "vhdx/regions.h"

namespace varve::vhdx {

enum class Publication : uint8_t {
  published,  ///< a file that has a name: changes are logged
  pending,    ///< a new file that nobody reads before end(): changes need no order, and the headers are written by end()
};

/// Thread-safe, but end() and the use of headers() must not overlap with anything. After a failure half way every further call that writes
/// throws io [WRT-11].
class Session {
 public:
  /// `anchor`: the place of a page of metadata that is never given up; the log's first entry repeats it.
  Session(std::shared_ptr<Storage> file, Headers headers, PageCache& pages, uint64_t anchor, RandomSource& random, Publication publication);

  Header header() const;
  const Headers& headers() const { return headers_; }
  bool active() const { return active_.load(std::memory_order_acquire); }

  /// Before the first change of what the guest can see.
  void begin();
  void data_written() { data_written_.store(true, std::memory_order_release); }
  void flush();
  /// Pages hold what must not reach the file. Every further call that writes fails.
  void give_up() noexcept;
  /// If more than `most` bytes of pages have changed.
  void flush_beyond(uint64_t most);
  /// Pages there are written last where a batch takes more than one entry.
  void set_table(const Region& table);
  void end();
  /// Makes both copies of the header whole, with what the current one says.
  void mend_headers();

 private:
  void require_sound() const;
  template <typename Change>
  void finish_or_fail(Change change);
  void start_log(Header& header, uint64_t durable_size);
  void write_first_headers();
  void flush_locked();
  void write_logged(PageBatch batch);
  void write_in_place(std::span<const PageBatch::Item> pages);

  const std::shared_ptr<Storage> file_;
  PageCache& pages_;
  const uint64_t anchor_;
  RandomSource& random_;
  const Publication publication_;

  mutable std::mutex mutex_;  ///< one flush at a time; covers what follows
  Headers headers_;
  Region table_;
  std::optional<LogWriter> log_;
  bool failed_ = false;
  std::atomic<bool> active_{false};  ///< changes under mutex_
  std::atomic<bool> data_written_{false};
};

}  // namespace varve::vhdx

#endif
