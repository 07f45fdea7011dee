#include "vhdx/session.h"

#include <algorithm>
#include <array>
#include <utility>

#include "base/checked_math.h"
#include "varve/error.h"

namespace varve::vhdx {

Session::Session(std::shared_ptr<Storage> file, Headers headers, PageCache& pages, uint64_t anchor, RandomSource& random,
                 Publication publication)
    : file_(std::move(file)),
      pages_(pages),
      anchor_(anchor),
      random_(random),
      publication_(publication),
      headers_(std::move(headers)),
      active_(publication == Publication::pending) {}

Header Session::header() const {
  const std::lock_guard lock(mutex_);
  return headers_.header();
}

void Session::require_sound() const {
  if (!failed_) return;
  throw Error(Errc::io, "an earlier change of the image's metadata failed, so what is on the medium is not known")
      .in(file_->name())
      .hint("open the image anew: its log tells");
}

template <typename Change>
void Session::finish_or_fail(Change change) {
  failed_ = true;
  change();
  failed_ = false;
}

void Session::begin() {
  const std::lock_guard lock(mutex_);
  require_sound();
  if (active()) return;
  require_replaceable(headers_, kUpdatesInTwoSteps);
  Header header = headers_.header();
  if (!range_fits(header.log_offset, header.log_length, file_->size()))
    throw Error(Errc::corrupt, "the log lies outside the file").hint("convert the image into a new one");
  header.file_write_guid = random_uuid(random_);
  header.data_write_guid = random_uuid(random_);
  finish_or_fail([&] {
    const uint64_t size = file_->size();
    replace_older_header(*file_, headers_, header);  // flushes the file
    start_log(header, size);
    replace_header(*file_, headers_, header);
  });
  active_.store(true, std::memory_order_release);
}

/// A header may name a log only when an entry of it is durable: without one whole entry the file counts as corrupt.
void Session::start_log(Header& header, uint64_t durable_size) {
  log_.emplace(*file_, header, random_uuid(random_));
  header.log_guid = log_->guid();
  const PageBatch::Item anchor{anchor_, pages_.page(anchor_)};
  log_->append(std::span(&anchor, 1), durable_size);
  file_->flush();
}

void Session::set_table(const Region& table) {
  const std::lock_guard lock(mutex_);
  table_ = table;
}

void Session::flush() {
  const std::lock_guard lock(mutex_);
  flush_locked();
}

void Session::give_up() noexcept {
  const std::lock_guard lock(mutex_);
  failed_ = true;
}

/// Many threads may come here at once: the first does it for all.
void Session::flush_beyond(uint64_t most) {
  if (pages_.changed_bytes() <= most) return;
  const std::lock_guard lock(mutex_);
  if (pages_.changed_bytes() > most) flush_locked();
}

void Session::flush_locked() {
  if (!active()) return;
  require_sound();
  const PageBatch batch = pages_.take();
  const bool data_written = data_written_.exchange(false, std::memory_order_acq_rel);
  finish_or_fail([&] {
    if (publication_ == Publication::pending) {
      write_in_place(batch.pages);
    } else if (!batch.pages.empty()) {
      write_logged(batch);
    } else if (data_written) {
      file_->flush();
    }
  });
  pages_.finish(batch);
}

/// A batch that takes several entries may survive in part. Bits without the table's word mean nothing, so the table's pages come last;
/// these do not depend on each other (VhdxImage::ensure_bitmap sees to it).
void Session::write_logged(PageBatch batch) {
  std::stable_partition(batch.pages.begin(), batch.pages.end(),
                        [this](const PageBatch::Item& item) { return item.offset < table_.offset || item.offset >= table_.end(); });
  for (std::span<const PageBatch::Item> rest(batch.pages); !rest.empty();) {
    const auto group = rest.first(std::min(rest.size(), log_->capacity()));
    const uint64_t size = file_->size();
    file_->flush();
    log_->append(group, size);
    file_->flush();
    write_in_place(group);
    rest = rest.subspan(group.size());
  }
}

void Session::write_in_place(std::span<const PageBatch::Item> pages) {
  for (const PageBatch::Item& item : pages) file_->write_at(item.offset, *item.page);
}

void Session::end() {
  const std::lock_guard lock(mutex_);
  if (!active()) return;
  flush_locked();
  if (publication_ == Publication::pending) {
    write_first_headers();
  } else {
    Header header = headers_.header();
    header.log_guid = {};
    finish_or_fail([&] {
      file_->flush();  // the log is given up: all that it held must be in place
      replace_header(*file_, headers_, header);
    });
    log_.reset();
  }
  active_.store(false, std::memory_order_release);
}

void Session::write_first_headers() {
  for (size_t i = 0; i < 2; ++i) {
    Header header = headers_.header();
    header.sequence += i;
    file_->write_at(kHeaderOffsets[i], bytes_of(encode(header)));
  }
}

void Session::mend_headers() {
  const std::lock_guard lock(mutex_);
  require_sound();
  Header header = headers_.header();
  header.file_write_guid = random_uuid(random_);
  finish_or_fail([&] { replace_header(*file_, headers_, header); });
}

}  // namespace varve::vhdx
