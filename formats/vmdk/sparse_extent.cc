#include "vmdk/sparse_extent.h"

#include <algorithm>
#include <string>
#include <utility>

#include "base/checked_math.h"
#include "varve/error.h"
#include "vmdk/sparse_bulk.h"

namespace varve::vmdk {

SparseLayout lay_out_sparse(uint64_t size, uint64_t grain_sectors, uint64_t descriptor_sectors, bool zeroed_grains) {
  SparseLayout layout;
  SparseHeader& h = layout.header;
  h.version = zeroed_grains ? 2 : 1;
  h.flags = kFlagNewlineTest | kFlagRedundantTables | (zeroed_grains ? kFlagZeroedGrain : 0);
  h.capacity_sectors = div_ceil(size, kSectorSize);
  h.grain_sectors = grain_sectors;
  h.descriptor_sector = descriptor_sectors == 0 ? 0 : 1;
  h.descriptor_sectors = descriptor_sectors;
  const uint64_t directory = div_ceil(h.gd_bytes(), kSectorSize);
  const uint64_t tables = h.gd_entries() * div_ceil(h.gt_bytes(), kSectorSize);
  h.rgd_sector = 1 + descriptor_sectors;
  layout.first_redundant_table = h.rgd_sector + directory;
  h.gd_sector = layout.first_redundant_table + tables;
  layout.first_table = h.gd_sector + directory;
  h.overhead_sectors = align_up(layout.first_table + tables, grain_sectors);
  // Entries are 32-bit sector numbers, and every grain may come to be written.
  if (h.gd_entries() > kMaxDirectoryEntries || h.overhead_sectors + h.grain_count() * grain_sectors > UINT32_MAX)
    throw Error(Errc::limit, "a sparse extent of " + std::to_string(size) + " bytes is too large, it ends short of 2 TiB")
        .hint("choose the subformat twoGbMaxExtentSparse, monolithicFlat or vmfs");
  return layout;
}

SparseExtent::SparseExtent(std::shared_ptr<Storage> file, const SparseHeader& header, const SparseMode& mode)
    : file_(std::move(file)),
      header_(header),
      mode_(mode),
      fresh_(false),
      tables_(std::make_unique<GrainTables>(
          file_, header_, GrainDirectory::load(*file_, header_, mode_.limits, mode_.writable ? Copies::both : Copies::one),
          mode_.limits.metadata_bytes)) {}

SparseExtent::SparseExtent(std::shared_ptr<Storage> file, const SparseLayout& layout, const SparseMode& mode)
    : file_(std::move(file)), header_(layout.header), mode_(mode), fresh_(true) {
  file_->resize(header_.overhead_bytes());
  auto directory = GrainDirectory::lay_out(header_, layout.first_table, layout.first_redundant_table);
  tables_ = std::make_unique<GrainTables>(file_, header_, std::move(directory), mode_.limits.metadata_bytes);
  next_sector_ = header_.overhead_sectors;
  in_session_ = true;
  bulk_ = std::make_unique<SparseBulkWriter>(*this);
}

SparseExtent::~SparseExtent() = default;

GrainRun SparseExtent::run_at(uint64_t offset, uint64_t length) {
  const uint64_t first = offset / header_.grain_bytes();
  return tables_->run_at(first, (offset + length - 1) / header_.grain_bytes() - first + 1);
}

/// Bytes of the run that lie in [offset, offset + limit); `offset` is in its first grain.
uint64_t SparseExtent::run_bytes(const GrainRun& run, uint64_t offset, uint64_t limit) const {
  return std::min(limit, run.grains * header_.grain_bytes() - offset % header_.grain_bytes());
}

void SparseExtent::throw_bad_grain(uint64_t grain, uint32_t entry) const {
  const std::string which = "grain " + std::to_string(grain);
  Error error(Errc::corrupt, entry == 0 ? "the grain table of " + which + " lies outside the file"
                                        : which + " is said to lie at sector " + std::to_string(entry) + ", where no grain can be");
  error.add_path(file_->name());
  throw std::move(error).at(uint64_t{entry} * kSectorSize).hint("restore the image from a copy, or run `varve check --repair=all`");
}

void SparseExtent::read_at(uint64_t offset, MutableBytes out) {
  while (!out.empty()) {
    const GrainRun run = run_at(offset, out.size());
    const auto part = out.first(run_bytes(run, offset, out.size()));
    switch (run.kind) {
      case GrainKind::absent: read_below(offset, part); break;
      case GrainKind::zero: std::fill(part.begin(), part.end(), std::byte{0}); break;
      case GrainKind::data: file_->read_at(uint64_t{run.sector} * kSectorSize + offset % header_.grain_bytes(), part); break;
      case GrainKind::bad: throw_bad_grain(offset / header_.grain_bytes(), run.sector);
    }
    offset += part.size();
    out = out.subspan(part.size());
  }
}

Extent SparseExtent::extent_at(uint64_t offset, uint64_t limit) {
  const GrainRun run = run_at(offset, limit);
  Extent extent;
  extent.offset = offset;
  extent.length = run_bytes(run, offset, limit);
  extent.kind = run.kind == GrainKind::absent ? ExtentKind::absent : run.kind == GrainKind::zero ? ExtentKind::zero : ExtentKind::data;
  // What is damaged is data that has no place: reading it says what is wrong.
  if (run.kind == GrainKind::data) extent.host_offset = uint64_t{run.sector} * kSectorSize + offset % header_.grain_bytes();
  return extent;
}

BulkWriter* SparseExtent::bulk_writer() { return bulk_.get(); }

uint64_t SparseExtent::allocated_bytes() const { return file_->allocated_bytes().value_or(file_->size()); }

}  // namespace varve::vmdk
