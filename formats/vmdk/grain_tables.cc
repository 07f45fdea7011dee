#include "vmdk/grain_tables.h"

#include <algorithm>
#include <mutex>
#include <string>
#include <utility>

#include "base/checked_math.h"
#include "base/zero.h"
#include "varve/error.h"

namespace varve::vmdk {
namespace {

constexpr uint64_t kPagesPerRun = 16;  // bounds the work of one run_at()
constexpr uint64_t kMinPages = 4;      // that must have room in memory

}  // namespace

GrainTables::Plan GrainTables::plan(const SparseHeader& header, uint64_t entries, uint64_t metadata_bytes) {
  // A quarter is the directory's, for the places of structures.
  const uint64_t usable = metadata_bytes - metadata_bytes / 4;
  for (uint64_t tables = kMaxTablesPerPage; tables > 0; tables /= 2) {
    const uint64_t held = entries * 2 * sizeof(uint32_t) + div_ceil(entries, tables) * sizeof(Page);
    const uint64_t page = tables * header.gt_bytes();
    if (held + kMinPages * page <= usable) return {tables, (usable - held) / page};
  }
  throw Error(Errc::limit, "a grain directory of " + std::to_string(entries) + " entries exceeds the limit for metadata");
}

GrainTables::GrainTables(std::shared_ptr<Storage> file, const SparseHeader& header, GrainDirectory directory, uint64_t metadata_bytes)
    : file_(std::move(file)),
      header_(header),
      grains_(header.grain_count()),
      plan_(plan(header, directory.entries(), metadata_bytes)),
      page_grains_(plan_.tables_per_page * header.gtes_per_gt),
      page_bytes_(page_grains_ * kGtEntrySize),
      file_end_(file_->size()),
      directory_(std::move(directory)),
      pages_(div_ceil(directory_.entries(), plan_.tables_per_page)) {}

uint64_t GrainTables::tables_in(uint64_t page) const {
  return std::min(plan_.tables_per_page, directory_.entries() - page * plan_.tables_per_page);
}

bool GrainTables::fits_file(uint32_t sector) const {
  const uint64_t offset = uint64_t{sector} * kSectorSize;
  return offset >= header_.overhead_bytes() && offset < file_end();
}

GrainKind GrainTables::classify(uint32_t entry) const {
  if (entry == kEntryAbsent) return GrainKind::absent;
  if (entry == kEntryZero && header_.has_zeroed_grains()) return GrainKind::zero;
  // MEM-18, MEM-20: a grain that lies on metadata or behind the end of the file is damage, never data and never zeros.
  return fits_file(entry) && !directory_.is_metadata(entry, header_.compressed() ? 1 : header_.grain_sectors) ? GrainKind::data
                                                                                                              : GrainKind::bad;
}

// ---- looking up ----------------------------------------------------------------------------------

GrainRun GrainTables::run_at(uint64_t grain, uint64_t limit) {
  limit = std::min(limit, grains_ - grain);
  GrainRun run;
  uint64_t pages = 0;
  while (run.grains < limit && pages < kPagesPerRun) {
    const Place place = place_of(grain + run.grains);
    const uint64_t rest = std::min(limit - run.grains, page_grains_ - place.index);
    GrainRun next;
    {
      const std::shared_lock lock(mutex_);
      const Page& page = pages_[place.page];
      if (page.state != PageState::unread) next = run_in_page(page, place.index, rest);
    }
    if (next.grains == 0) {
      const std::unique_lock lock(mutex_);
      next = run_in_page(load(place.page), place.index, rest);
    }
    if (run.grains != 0 && (next.kind != run.kind || next.kind == GrainKind::bad || next.kind == GrainKind::data)) break;
    if (run.grains == 0) run = {next.kind, 0, next.sector};
    run.grains += next.grains;
    if (next.grains < rest || next.kind == GrainKind::bad || next.kind == GrainKind::data) break;
    ++pages;
  }
  return run;
}

GrainRun GrainTables::run_in_page(const Page& page, uint64_t index, uint64_t limit) const {
  if (page.state == PageState::empty) return {GrainKind::absent, limit, 0};
  page.used.store(clock_.load(std::memory_order_relaxed), std::memory_order_relaxed);
  const uint64_t table = index / header_.gtes_per_gt;
  if (((page.bad >> table) & 1) != 0) return {GrainKind::bad, std::min(limit, header_.gtes_per_gt - index % header_.gtes_per_gt), 0};
  const std::vector<le32>& entries = *page.entries;
  const uint32_t first = entries[index];
  GrainRun run{classify(first), 1, first};
  if (run.kind == GrainKind::bad) return run;
  // Bad tables hold zeros: stop before the next one.
  uint64_t end = index + limit;
  for (uint64_t t = table + 1; t * header_.gtes_per_gt < end; ++t) {
    if (((page.bad >> t) & 1) != 0) end = t * header_.gtes_per_gt;
  }
  if (run.kind != GrainKind::data) {
    while (index + run.grains < end && entries[index + run.grains] == first) ++run.grains;
    return run;
  }
  const uint64_t step = header_.grain_sectors;
  for (uint64_t want = first + step; index + run.grains < end; want += step, ++run.grains) {
    if (entries[index + run.grains] != want || classify(static_cast<uint32_t>(want)) != GrainKind::data) break;
  }
  return run;
}

// ---- reading tables --------------------------------------------------------------------------------

GrainTables::Page& GrainTables::load(uint64_t number) {
  Page& page = pages_[number];
  clock_.fetch_add(1, std::memory_order_relaxed);
  if (page.state != PageState::unread) return page;
  if (held_pages_ >= plan_.max_pages) drop_pages();
  auto entries = std::make_shared<std::vector<le32>>(tables_in(number) * header_.gtes_per_gt);
  read_tables(number, page, *entries);
  if (page.bad == 0 && is_zero(std::as_bytes(std::span(*entries)))) {
    page.state = PageState::empty;
    return page;
  }
  page.entries = std::move(entries);
  page.state = PageState::held;
  ++held_pages_;
  return page;
}

void GrainTables::read_tables(uint64_t number, Page& page, std::vector<le32>& entries) {
  const uint64_t first = number * plan_.tables_per_page;
  const uint64_t count = tables_in(number);
  page.bad = 0;
  for (uint64_t i = 0; i < count;) {
    const std::optional<uint32_t> sector = directory_.readable(first + i);
    if (!sector) page.bad |= uint32_t{1} << i;
    if (sector.value_or(0) == 0) {
      ++i;
      continue;
    }
    // Tables that follow each other in the file are read at once.
    uint64_t run = 1;
    if (directory_.table_bytes() % kSectorSize == 0) {
      while (i + run < count && directory_.readable(first + i + run) == *sector + run * directory_.table_sectors()) ++run;
    }
    read_run(first + i, run, *sector, std::span(entries).subspan(i * header_.gtes_per_gt, run * header_.gtes_per_gt));
    i += run;
  }
}

void GrainTables::read_run(uint64_t first, uint64_t count, uint32_t sector, std::span<le32> out) {
  const uint64_t offset = uint64_t{sector} * kSectorSize;
  if (in_hole(offset, out.size_bytes())) return;
  try {
    file_->read_at(offset, std::as_writable_bytes(out));
  } catch (const Error&) {
    // A bad block on the medium costs one copy of one table at most.
    for (uint64_t i = 0; i < count; ++i) read_one(first + i, out.subspan(i * header_.gtes_per_gt, header_.gtes_per_gt));
  }
  if (is_zero(std::as_bytes(out))) return;
  for (uint64_t i = 0; i < count; ++i) heal(first + i, out.subspan(i * header_.gtes_per_gt, header_.gtes_per_gt));
}

void GrainTables::read_one(uint64_t table, std::span<le32> out) {
  const uint32_t primary = directory_.usable(TableCopy::primary, table);
  const uint32_t redundant = directory_.usable(TableCopy::redundant, table);
  if (primary != 0 && redundant != 0) {
    try {
      file_->read_at(uint64_t{primary} * kSectorSize, std::as_writable_bytes(out));
    } catch (const Error&) {
      file_->read_at(uint64_t{redundant} * kSectorSize, std::as_writable_bytes(out));
    }
    return;
  }
  file_->read_at(uint64_t{primary != 0 ? primary : redundant} * kSectorSize, std::as_writable_bytes(out));
}

/// How much sense an entry makes: none, that of a grain which the file holds in part, or all.
int GrainTables::sense_of(uint64_t grain, uint32_t entry) const {
  const GrainKind kind = classify(entry);
  if (kind == GrainKind::bad) return 0;
  if (kind != GrainKind::data || header_.compressed()) return 2;
  const uint64_t length = std::min(header_.grain_bytes(), header_.capacity_bytes() - grain * header_.grain_bytes());
  return range_fits(uint64_t{entry} * kSectorSize, length, file_end()) ? 2 : 1;
}

/// Takes single entries from the redundant copy where those make more sense than the primary's.
void GrainTables::heal(uint64_t table, std::span<le32> entries) {
  const uint32_t other = directory_.usable(TableCopy::redundant, table);
  if (other == 0 || directory_.usable(TableCopy::primary, table) == 0) return;
  const uint64_t first = table * header_.gtes_per_gt;
  const uint64_t count = std::min<uint64_t>(entries.size(), grains_ - first);
  uint64_t sound = 0;
  while (sound < count && sense_of(first + sound, entries[sound]) == 2) ++sound;
  if (sound == count) return;
  std::vector<le32> copy(entries.size());
  try {
    file_->read_at(uint64_t{other} * kSectorSize, std::as_writable_bytes(std::span(copy)));
  } catch (const Error&) {
    return;  // the entries stay bad, and reading what they stand for says so
  }
  for (uint64_t i = sound; i < count; ++i) {
    // An absent entry is no evidence: it would turn damage into zeros.
    if (copy[i] == kEntryAbsent || sense_of(first + i, copy[i]) <= sense_of(first + i, entries[i])) continue;
    entries[i] = copy[i];
    pages_[table / plan_.tables_per_page].healed |= uint32_t{1} << table % plan_.tables_per_page;
  }
}

bool GrainTables::in_hole(uint64_t offset, uint64_t length) {
  if (!(hole_.hole && hole_.offset <= offset && offset < hole_.offset + hole_.length)) {
    if (offset >= file_->size()) return false;
    hole_ = file_->extent_at(offset);
  }
  return hole_.hole && range_fits(offset - hole_.offset, length, hole_.length);
}

/// Drops clean pages, a quarter of the bound at once so that the search pays.
void GrainTables::drop_pages() {
  std::vector<std::pair<uint64_t, uint64_t>> clean;  // last use, number
  for (uint64_t i = 0; i < pages_.size(); ++i) {
    const Page& page = pages_[i];
    if (page.state == PageState::held && page.changed == 0 && page.writing == 0)
      clean.emplace_back(page.used.load(std::memory_order_relaxed), i);
  }
  std::sort(clean.begin(), clean.end());
  clean.resize(std::min<size_t>(clean.size(), plan_.max_pages / 4 + 1));
  for (const auto& [used, number] : clean) {
    pages_[number].entries.reset();
    pages_[number].state = PageState::unread;
    --held_pages_;
  }
}

// ---- changing ----------------------------------------------------------------------------------------

std::vector<le32>& GrainTables::change(uint64_t number, uint64_t first_index, uint64_t count) {
  Page& page = load(number);
  if (page.state == PageState::empty) {
    page.entries = std::make_shared<std::vector<le32>>(tables_in(number) * header_.gtes_per_gt);
    page.state = PageState::held;
    ++held_pages_;
  } else if (page.writing != 0 && page.entries.use_count() > 1) {
    page.entries = std::make_shared<std::vector<le32>>(*page.entries);
  }
  if (page.changed == 0) changed_pages_.fetch_add(1, std::memory_order_relaxed);
  for (uint64_t t = first_index / header_.gtes_per_gt; t <= (first_index + count - 1) / header_.gtes_per_gt; ++t)
    page.changed |= uint32_t{1} << t;
  return *page.entries;
}

void GrainTables::set_data(uint64_t grain, uint64_t count, uint32_t first_sector) {
  const std::unique_lock lock(mutex_);
  uint64_t sector = first_sector;
  while (count > 0) {
    const Place place = place_of(grain);
    const uint64_t here = std::min(count, page_grains_ - place.index);
    std::vector<le32>& entries = change(place.page, place.index, here);
    for (uint64_t i = 0; i < here; ++i, sector += header_.grain_sectors) entries[place.index + i] = static_cast<uint32_t>(sector);
    grain += here;
    count -= here;
  }
}

void GrainTables::set_special(uint64_t grain, uint64_t count, uint32_t entry) {
  const std::unique_lock lock(mutex_);
  while (count > 0) {
    const Place place = place_of(grain);
    const uint64_t here = std::min(count, page_grains_ - place.index);
    std::vector<le32>& entries = change(place.page, place.index, here);
    std::fill_n(entries.begin() + static_cast<std::ptrdiff_t>(place.index), here, le32(entry));
    grain += here;
    count -= here;
  }
}

}  // namespace varve::vmdk
