#include "vmdk/grain_directory.h"

#include <algorithm>
#include <string>

#include "base/checked_math.h"
#include "base/endian.h"
#include "varve/error.h"

namespace varve::vmdk {
namespace {

std::vector<uint32_t> read_entries(Storage& file, uint64_t sector, uint64_t count) {
  const uint64_t offset = checked_mul(sector, kSectorSize, "a grain directory's place");
  if (sector == 0 || !range_fits(offset, count * kGtEntrySize, file.size()))
    throw Error(Errc::corrupt, "the grain directory lies outside the file").at(offset);
  std::vector<le32> raw(count);
  file.read_at(offset, std::as_writable_bytes(std::span(raw)));
  return {raw.begin(), raw.end()};
}

uint64_t sectors_of(uint64_t bytes) { return div_ceil(bytes, kSectorSize); }

}  // namespace

GrainDirectory::GrainDirectory(const SparseHeader& header, uint64_t file_sectors)
    : header_(header), file_sectors_(file_sectors), table_sectors_(sectors_of(header.gt_bytes())), table_bytes_(header.gt_bytes()) {}

GrainDirectory GrainDirectory::load(Storage& file, const SparseHeader& header, const Limits& limits, Copies needed) {
  GrainDirectory directory(header, sectors_of(file.size()));
  const uint64_t count = header.gd_entries();
  if (checked_mul(count, 2 * sizeof(uint32_t)) > limits.metadata_bytes)
    throw Error(Errc::limit, "a grain directory of " + std::to_string(count) + " entries exceeds the limit for metadata");
  if (!header.has_redundant()) {
    directory.primary_ = read_entries(file, header.gd_sector, count);
  } else {
    try {
      directory.primary_ = read_entries(file, header.gd_sector, count);
    } catch (const Error&) {
      if (needed == Copies::both) throw;
      // The other copy alone will do; if it is no better, its error is the one to show.
      directory.primary_.assign(count, 0);
      directory.redundant_ = read_entries(file, header.rgd_sector, count);
    }
    try {
      if (directory.redundant_.empty()) directory.redundant_ = read_entries(file, header.rgd_sector, count);
    } catch (const Error&) {
      if (needed == Copies::both) throw;
      directory.redundant_.assign(count, 0);
    }
  }
  directory.refuse_aliases(file.name());
  directory.note_metadata(limits);
  return directory;
}

/// RES-11: more tables than the file has room for lie on each other, and would make every loop over grains longer than the file.
void GrainDirectory::refuse_aliases(const std::string& path) const {
  for (const TableCopy copy : {TableCopy::primary, TableCopy::redundant}) {
    uint64_t tables = 0;
    for (uint64_t i = 0; i < list(copy).size(); ++i) tables += usable(copy, i) != 0 ? 1 : 0;
    if (tables > file_sectors_ / table_sectors_)
      throw Error(Errc::corrupt, "the grain directory names more tables than the file has room for").in(path);
  }
}

GrainDirectory GrainDirectory::lay_out(const SparseHeader& header, uint64_t first_table, uint64_t first_redundant_table) {
  return GrainDirectory(header, 0).grow(header, first_table, first_redundant_table);
}

GrainDirectory GrainDirectory::grow(const SparseHeader& header, uint64_t first_table, uint64_t first_redundant_table) const {
  GrainDirectory directory(header, UINT64_MAX / kSectorSize);
  directory.primary_ = primary_;
  directory.redundant_ = redundant_;
  const uint64_t added = header.gd_entries() - entries();
  for (uint64_t i = 0; i < added; ++i) {
    directory.primary_.push_back(checked_narrow<uint32_t>(first_table + i * table_sectors_));
    if (header.has_redundant()) directory.redundant_.push_back(checked_narrow<uint32_t>(first_redundant_table + i * table_sectors_));
  }
  directory.note_metadata(Limits{});
  return directory;
}

uint32_t GrainDirectory::usable(TableCopy copy, uint64_t index) const {
  const uint32_t sector = stored(copy, index);
  return range_fits(sector, table_sectors_, file_sectors_) ? sector : 0;
}

std::optional<uint32_t> GrainDirectory::readable(uint64_t index) const {
  if (const uint32_t sector = usable(TableCopy::primary, index); sector != 0) return sector;
  if (const uint32_t sector = usable(TableCopy::redundant, index); sector != 0) return sector;
  if (stored(TableCopy::primary, index) != 0 || stored(TableCopy::redundant, index) != 0) return std::nullopt;
  return 0;
}

void GrainDirectory::set(TableCopy copy, uint64_t index, uint32_t sector) {
  (copy == TableCopy::primary ? primary_ : redundant_)[index] = sector;
  file_sectors_ = std::max(file_sectors_, sector + table_sectors_);
  note_table(sector);
  metadata_.settle();
}

uint64_t GrainDirectory::entry_offset(TableCopy copy, uint64_t index) const {
  const uint64_t sector = copy == TableCopy::primary ? header_.gd_sector : header_.rgd_sector;
  return sector * kSectorSize + index * kGtEntrySize;
}

void GrainDirectory::write_all(Storage& file, TableCopy copy) const {
  const std::vector<le32> raw(list(copy).begin(), list(copy).end());
  file.write_at(entry_offset(copy, 0), std::as_bytes(std::span(raw)));
}

void GrainDirectory::note_metadata(const Limits& limits) {
  metadata_ = SectorRanges(limits.metadata_bytes / 4);
  metadata_.add(0, 1);
  if (header_.has_descriptor()) metadata_.add(header_.descriptor_sector, header_.descriptor_sector + header_.descriptor_sectors);
  metadata_.add(header_.gd_sector, header_.gd_sector + sectors_of(header_.gd_bytes()));
  if (has_redundant()) metadata_.add(header_.rgd_sector, header_.rgd_sector + sectors_of(header_.gd_bytes()));
  for (const TableCopy copy : {TableCopy::primary, TableCopy::redundant}) {
    for (uint64_t i = 0; i < list(copy).size(); ++i)
      if (const uint32_t sector = usable(copy, i); sector != 0) note_table(sector);
  }
  metadata_.settle();
  metadata_.lift_bound();  // tables that a writer adds
}

}  // namespace varve::vmdk
