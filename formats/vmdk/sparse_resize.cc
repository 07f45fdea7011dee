// Growing a sparse extent.
//
// The tables are preallocated for the old size. More of them need a longer directory, which seldom fits where the old one lies: both
// directories and the added tables go to the file's end, and the header, one sector, switches to them. Whatever a crash leaves is
// the old disk or the new one. The old directories' sectors stay unused.
#include <algorithm>
#include <array>
#include <string>
#include <utility>
#include <vector>

#include "base/checked_math.h"
#include "varve/error.h"
#include "vmdk/sparse_extent.h"

namespace varve::vmdk {

void SparseExtent::check_resize(uint64_t size) const {
  if (size < this->size())
    throw Error(Errc::unsupported, "a sparse VMDK can't be made smaller").hint("convert it after the guest's file system was shrunk");
  if (fresh_) throw Error(Errc::unsupported, "an image that is being created can't be resized");
  if (size % kSectorSize != 0) throw Error(Errc::invalid_argument, "the size of a VMDK is a multiple of 512 bytes");
  const SparseHeader grown = grown_header(size);
  const uint64_t end = std::max(next_sector_, div_ceil(file_->size(), kSectorSize));
  // Every grain may come to be written, and the directories and tables need a place before that.
  const bool fits = grown.gd_entries() <= kMaxDirectoryEntries &&
                    grown.grain_count() * grown.grain_sectors + header_.overhead_sectors <= UINT32_MAX &&
                    end + growth_sectors(grown) + 2 * grown.grain_sectors <= UINT32_MAX;
  if (!fits) throw Error(Errc::limit, "a sparse extent ends short of 2 TiB");
  GrainTables::require_memory(grown, mode_.limits.metadata_bytes);
}

/// The header of the larger disk, the directories still where they are.
SparseHeader SparseExtent::grown_header(uint64_t size) const {
  SparseHeader grown = header_;
  grown.capacity_sectors = size / kSectorSize;
  if (mode_.over_parent && !grown.has_zeroed_grains()) {
    // What is added must read as zeros even if the parent is longer, and only a zeroed grain says so.
    grown.flags |= kFlagZeroedGrain;
    grown.version = std::max(grown.version, uint32_t{2});
  }
  return grown;
}

/// What a longer directory and the tables that it names take, both copies.
uint64_t SparseExtent::growth_sectors(const SparseHeader& grown) const {
  const GrainDirectory& old = tables_->directory();
  const uint64_t added = grown.gd_entries() - old.entries();
  const uint64_t part = div_ceil(grown.gd_bytes(), kSectorSize) + added * old.table_sectors();
  return added == 0 ? 0 : (old.has_redundant() ? 2 : 1) * part;
}

void SparseExtent::resize(uint64_t size) {
  check_resize(size);
  require_sound();
  if (size == this->size()) return;
  begin_session();
  flush();
  clear_last_grain();
  finish_or_fail([&] { grow(grown_header(size)); });
}

void SparseExtent::grow(SparseHeader grown) {
  auto tables = lay_out_growth(grown);
  // What is added reads as zeros, also where the last table of the old disk holds entries behind its end.
  const uint64_t first = header_.grain_count();
  const uint64_t end = std::min(tables->grain_count(), tables_->directory().entries() * header_.gtes_per_gt);
  tables->set_special(first, end - first, mode_.over_parent ? kEntryZero : kEntryAbsent);
  const TableBatch batch = tables->take([this](uint64_t sectors) { return allocate(sectors); });
  write_batch(*tables, batch);
  tables->finish(batch);
  header_ = grown;
  tables_ = std::move(tables);
  write_header(true);
  file_->flush();
}

/// The directory and tables of the larger disk, not yet referred to by the header.
std::unique_ptr<GrainTables> SparseExtent::lay_out_growth(SparseHeader& grown) {
  const GrainDirectory& old = tables_->directory();
  const uint64_t added = grown.gd_entries() - old.entries();
  uint64_t first_table = 0;
  uint64_t first_redundant = 0;
  if (added != 0) {
    // Behind the end of the file there are only zeros; before it a write that failed may have left something, which stays unused.
    if (const uint64_t end = div_ceil(file_->size(), kSectorSize); end > next_sector_) allocate(end - next_sector_);
    const uint64_t both = growth_sectors(grown);
    const uint64_t base = allocate(both);
    if (old.has_redundant()) grown.rgd_sector = base;
    grown.gd_sector = old.has_redundant() ? base + both / 2 : base;
    const uint64_t directory = div_ceil(grown.gd_bytes(), kSectorSize);
    first_redundant = base + directory;
    first_table = grown.gd_sector + directory;
    // So the added tables need not be written.
    file_->resize(std::max(file_->size(), tables_->file_end()));
  }
  GrainDirectory larger = old.grow(grown, first_table, first_redundant);
  if (added != 0) {
    for (const TableCopy copy : {TableCopy::redundant, TableCopy::primary}) {
      if (copy == TableCopy::redundant && !larger.has_redundant()) continue;
      larger.write_all(*file_, copy);
      if (mode_.over_parent) write_zero_tables(copy == TableCopy::primary ? first_table : first_redundant, added);
    }
  }
  auto tables = std::make_unique<GrainTables>(file_, grown, std::move(larger), mode_.limits.metadata_bytes);
  tables->set_file_end(tables_->file_end());
  return tables;
}

/// Tables, from `sector` on, that say zero of every grain: they may be many, so they go through a small buffer. Nothing refers to them yet.
void SparseExtent::write_zero_tables(uint64_t sector, uint64_t count) {
  constexpr uint64_t kPiece = 512;  // tables: 1 MiB
  const uint64_t table_sectors = tables_->directory().table_sectors();
  const std::vector<le32> zeros(std::min(count, kPiece) * table_sectors * (kSectorSize / kGtEntrySize), le32(kEntryZero));
  for (uint64_t done = 0; done < count; done += kPiece) {
    const uint64_t entries = std::min(count - done, kPiece) * table_sectors * (kSectorSize / kGtEntrySize);
    file_->write_at((sector + done * table_sectors) * kSectorSize, std::as_bytes(std::span(zeros).first(entries)));
  }
}

/// What lies in the last grain behind the disk's old end becomes visible: zeros, whoever wrote the file.
void SparseExtent::clear_last_grain() {
  const uint64_t used = size() % header_.grain_bytes();
  if (used == 0) return;
  const GrainRun run = tables_->run_at(header_.grain_count() - 1, 1);
  if (run.kind == GrainKind::bad) throw_bad_grain(header_.grain_count() - 1, run.sector);
  if (run.kind == GrainKind::data) {
    const std::vector<std::byte> zeros(header_.grain_bytes() - used);
    file_->write_at(uint64_t{run.sector} * kSectorSize + used, zeros);
  } else if (run.kind == GrainKind::absent && mode_.over_parent) {
    // Filled from the parent up to the old end, with zeros behind it.
    const std::array<std::byte, 1> last = read_last_byte();
    write_at(size() - 1, last);
    flush();
  }
}

std::array<std::byte, 1> SparseExtent::read_last_byte() {
  std::array<std::byte, 1> last{};
  read_at(size() - 1, last);
  return last;
}

}  // namespace varve::vmdk
