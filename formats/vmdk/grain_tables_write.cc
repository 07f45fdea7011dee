// Writing grain tables back.
#include <algorithm>
#include <bit>
#include <mutex>
#include <utility>

#include "base/checked_math.h"
#include "base/zero.h"
#include "vmdk/grain_tables.h"

namespace varve::vmdk {

TableBatch GrainTables::take(const std::function<uint32_t(uint64_t)>& allocate) {
  const std::unique_lock lock(mutex_);
  TableBatch batch;
  for (uint64_t number = 0; number < pages_.size(); ++number) {
    if (pages_[number].changed != 0) batch.items.push_back({number, pages_[number].changed, pages_[number].entries});
  }
  create_missing(batch, allocate);
  // Nothing below throws, so a page is either taken or still changed.
  for (const TableBatch::Item& item : batch.items) {
    pages_[item.page].changed = 0;
    ++pages_[item.page].writing;
  }
  changed_pages_.store(0, std::memory_order_relaxed);
  return batch;
}

/// Gives a place to each table that one of the copies lacks. The directories in memory refer to it at once, those in the file only
/// after its contents are durable.
void GrainTables::create_missing(TableBatch& batch, const std::function<uint32_t(uint64_t)>& allocate) {
  for (const TableBatch::Item& item : batch.items) {
    for (uint64_t i = 0; i < tables_in(item.page); ++i) {
      if (((item.tables >> i) & 1) == 0) continue;
      const uint64_t table = item.page * plan_.tables_per_page + i;
      for (const TableCopy copy : {TableCopy::redundant, TableCopy::primary}) {
        if (copy == TableCopy::redundant && !directory_.has_redundant()) continue;
        if (directory_.usable(copy, table) != 0) continue;
        const uint32_t sector = allocate(directory_.table_sectors());
        directory_.set(copy, table, sector);
        batch.created.push_back({table, copy, sector});
      }
    }
  }
}

void GrainTables::write_created(const TableBatch& batch) {
  for (const TableBatch::Created& created : batch.created) {
    const auto item = std::find_if(batch.items.begin(), batch.items.end(),
                                   [&](const TableBatch::Item& i) { return i.page == created.table / plan_.tables_per_page; });
    const uint64_t first = created.table % plan_.tables_per_page * header_.gtes_per_gt;
    const auto table = std::span(*item->entries).subspan(first, header_.gtes_per_gt);
    file_->write_at(uint64_t{created.sector} * kSectorSize, std::as_bytes(table));
  }
}

void GrainTables::write(const TableBatch& batch, TableCopy copy) {
  if (copy == TableCopy::redundant && !directory_.has_redundant()) return;
  for (const TableBatch::Item& item : batch.items) write_tables(item, copy);
  for (const TableBatch::Created& created : batch.created) {
    if (created.copy != copy) continue;
    const le32 entry = created.sector;
    file_->write_at(directory_.entry_offset(copy, created.table), bytes_of(entry));
  }
}

/// Changed tables that follow each other, on disk and in the file, go out in one write.
void GrainTables::write_tables(const TableBatch::Item& item, TableCopy copy) {
  const uint64_t first = item.page * plan_.tables_per_page;
  const uint64_t count = tables_in(item.page);
  const bool joinable = directory_.table_bytes() % kSectorSize == 0;
  for (uint64_t i = 0; i < count;) {
    if (((item.tables >> i) & 1) == 0) {
      ++i;
      continue;
    }
    const uint64_t sector = directory_.usable(copy, first + i);
    uint64_t run = 1;
    while (joinable && i + run < count && ((item.tables >> (i + run)) & 1) != 0 &&
           directory_.usable(copy, first + i + run) == sector + run * directory_.table_sectors())
      ++run;
    const auto tables = std::span(*item.entries).subspan(i * header_.gtes_per_gt, run * header_.gtes_per_gt);
    file_->write_at(sector * kSectorSize, std::as_bytes(tables));
    i += run;
  }
}

void GrainTables::finish(const TableBatch& batch) noexcept {
  const std::unique_lock lock(mutex_);
  hole_ = {};  // it may have been written into
  for (const TableBatch::Item& item : batch.items) --pages_[item.page].writing;
}

void GrainTables::reconcile(bool compare) {
  const std::unique_lock lock(mutex_);
  for (uint64_t table = 0; table < directory_.entries(); ++table) {
    const bool healed = ((pages_[table / plan_.tables_per_page].healed >> table % plan_.tables_per_page) & 1) != 0;
    if (healed || (compare && copies_differ(table)))
      change(table / plan_.tables_per_page, table % plan_.tables_per_page * header_.gtes_per_gt, 1);
  }
}

/// True also if only one copy has a place for the table.
bool GrainTables::copies_differ(uint64_t table) {
  if (!directory_.has_redundant()) return false;
  const uint32_t primary = directory_.usable(TableCopy::primary, table);
  const uint32_t redundant = directory_.usable(TableCopy::redundant, table);
  if (primary == 0 || redundant == 0) return primary != redundant;
  const Page& page = load(table / plan_.tables_per_page);
  std::vector<le32> copy(header_.gtes_per_gt);
  const uint64_t offset = uint64_t{redundant} * kSectorSize;
  if (!in_hole(offset, directory_.table_bytes())) file_->read_at(offset, std::as_writable_bytes(std::span(copy)));
  if (page.state == PageState::empty) return !is_zero(std::as_bytes(std::span(copy)));
  const auto entries = std::span(*page.entries).subspan(table % plan_.tables_per_page * header_.gtes_per_gt, copy.size());
  return !std::equal(copy.begin(), copy.end(), entries.begin());
}

}  // namespace varve::vmdk
