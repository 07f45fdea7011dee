// What surrounds writing into a sparse extent: the checks before the first write, the crash-safe flush, the end.
#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "base/checked_math.h"
#include "base/endian.h"
#include "varve/error.h"
#include "vmdk/sparse_extent.h"

namespace varve::vmdk {
namespace {

Error damaged(std::string what) {
  return Error(Errc::corrupt, std::move(what))
      .during("preparing to write")
      .hint("run `varve check`, then `--repair`; reading is still possible");
}

}  // namespace

/// Once, before the first change: an extent that contradicts itself is never written to.
void SparseExtent::prepare_write() {
  if (fresh_ || examined_.load(std::memory_order_acquire)) return;
  const std::lock_guard lock(session_mutex_);
  if (examined_.load(std::memory_order_relaxed)) return;
  if (header_.version >= 3) {
    throw Error(Errc::unsupported, "the extent is under changed block tracking, whose map a write here would make wrong")
        .hint("convert the image, or switch tracking off where it was switched on");
  }
  if (header_.lost_directory) throw damaged("one of the two grain directories lies outside the file");
  check_structures();
  claim_existing_grains();
  examined_.store(true, std::memory_order_release);
}

void SparseExtent::begin_session() {
  require_sound();
  if (in_session_.load(std::memory_order_acquire)) return;
  prepare_write();
  const std::lock_guard lock(session_mutex_);
  if (in_session_.load(std::memory_order_relaxed)) return;
  // After a crash one copy of a table may be newer than the other: make them equal with the first flush. And what only the redundant
  // copy knows goes back into the other one, before the file grows over a place that a bad entry there names.
  tables_->reconcile(header_.unclean);
  write_header(true);
  file_->flush();
  in_session_.store(true, std::memory_order_release);
}

/// WRT-11: once a change of the tables has stopped half way, what is on the medium is not known.
void SparseExtent::require_sound() const {
  if (!failed_.load(std::memory_order_acquire)) return;
  throw Error(Errc::io, "an earlier change of the extent's tables failed, so what is on the medium is not known")
      .in(file_->name())
      .hint("open the image anew and check it");
}

void SparseExtent::finish_or_fail(const std::function<void()>& change) {
  try {
    change();
  } catch (...) {
    failed_.store(true, std::memory_order_release);
    throw;
  }
}

/// No structure of the extent may lie on another: two tables in one place would change together. Nor outside the file: when that
/// grows, the place would look right.
void SparseExtent::check_structures() const {
  const GrainDirectory& directory = tables_->directory();
  for (const TableCopy copy : {TableCopy::primary, TableCopy::redundant}) {
    for (uint64_t i = 0; i < directory.entries(); ++i) {
      if (directory.stored(copy, i) != directory.usable(copy, i))
        throw damaged("the place of grain table " + std::to_string(i) + " lies outside the file").at(directory.entry_offset(copy, i));
    }
  }
  if (const auto sector = directory.metadata().overlap())
    throw damaged("two structures of the extent share a sector").at(*sector * kSectorSize);
}

/// MEM-19: every grain has one owner. Also finds where new grains go: behind everything that is used.
void SparseExtent::claim_existing_grains() {
  const uint64_t step = header_.grain_sectors;
  const uint64_t slots = div_ceil(file_->size(), header_.grain_bytes()) + 1;
  if (slots / 8 > mode_.passing_bytes) throw Error(Errc::limit, "too many grains to check for writing");
  std::vector<bool> owned(slots);
  uint64_t phase = header_.overhead_sectors % step;
  bool phase_known = false;
  for (uint64_t grain = 0; grain < tables_->grain_count();) {
    const GrainRun run = tables_->run_at(grain, tables_->grain_count() - grain);
    if (run.kind == GrainKind::bad) throw damaged("grain " + std::to_string(grain) + " lies where no grain can be");
    if (run.kind == GrainKind::data) {
      if (!phase_known) phase = run.sector % step;
      phase_known = true;
      // In a file that was cut short. What the next grain behind it would make of the rest is zeros.
      const uint64_t cut = grain + run.grains == tables_->grain_count() ? header_.grain_count() * header_.grain_bytes() - size() : 0;
      if (!range_fits(run.sector * kSectorSize, run.grains * header_.grain_bytes() - cut, file_->size()))
        throw damaged("grain " + std::to_string(grain + run.grains - 1) + " does not fit into the file");
      // Unaligned grains could overlap in part; no known program makes them in an uncompressed extent.
      if (run.sector % step != phase) throw damaged("grain " + std::to_string(grain) + " is not aligned like the others");
      for (uint64_t i = 0; i < run.grains; ++i) {
        const uint64_t slot = run.sector / step + i;
        if (owned[slot])
          throw damaged("grain " + std::to_string(grain + i) + " shares its place with another").at(slot * step * kSectorSize);
        owned[slot] = true;
      }
    }
    grain += run.grains;
  }
  const uint64_t end = std::max(div_ceil(file_->size(), kSectorSize), header_.overhead_sectors);
  next_sector_ = align_up(end > phase ? end - phase : 0, step) + phase;
}

void SparseExtent::write_header(bool unclean) {
  std::array<std::byte, kSectorSize> sector{};
  file_->read_at(0, sector);
  auto raw = load<SparseHeaderRaw>(sector);
  raw.flags = header_.flags;
  raw.version = header_.version;
  raw.capacity = header_.capacity_sectors;
  raw.rgd_offset = header_.rgd_sector;
  raw.gd_offset = header_.gd_sector;
  raw.unclean_shutdown = unclean ? 1 : 0;
  // One sector: a crash leaves the old header or the new one.
  file_->write_at(0, bytes_of(raw));
}

void SparseExtent::flush() {
  if (fresh_) {
    write_new_tables();
    file_->flush();
    return;
  }
  const std::lock_guard lock(flush_mutex_);
  if (!in_session_.load(std::memory_order_acquire)) return;
  require_sound();
  std::vector<SectorRange> given_up;
  {
    // Before the tables are taken: what is given up later is freed by a later flush.
    const std::lock_guard space(space_mutex_);
    given_up.swap(given_up_);
  }
  finish_or_fail([this] { write_changes(); });
  free_given_up(given_up);
}

void SparseExtent::write_changes() {
  const bool data_written = data_written_.exchange(false, std::memory_order_acq_rel);
  if (tables_->changed_bytes() == 0) {
    if (data_written) file_->flush();
    return;
  }
  const TableBatch batch = tables_->take([this](uint64_t sectors) { return allocate(sectors); });
  write_batch(*tables_, batch);
  tables_->finish(batch);
}

void SparseExtent::write_batch(GrainTables& tables, const TableBatch& batch) {
  tables.write_created(batch);
  file_->flush();  // no table may name a grain that is not on the medium
  tables.write(batch, TableCopy::redundant);
  if (tables.directory().has_redundant()) file_->flush();  // one copy of each table is whole at any time
  tables.write(batch, TableCopy::primary);
  file_->flush();
}

void SparseExtent::free_given_up(const std::vector<SectorRange>& ranges) {
  try {
    for (const SectorRange& range : ranges) file_->punch_hole(range.first * kSectorSize, (range.end - range.first) * kSectorSize);
  } catch (const Error&) {
    // What had to become durable is; the space stays taken, and check() reports it as leaked.
  }
}

void SparseExtent::close() {
  if (fresh_) {
    close_new();
    return;
  }
  if (!in_session_.load(std::memory_order_acquire)) return;
  flush();
  write_header(false);
  file_->flush();
  header_.unclean = false;
  in_session_.store(false, std::memory_order_release);
}

/// Nobody reads a new file before it is published, and publication flushes it: its tables need no order.
void SparseExtent::write_new_tables() {
  const std::lock_guard lock(flush_mutex_);
  if (tables_->changed_bytes() == 0) return;
  finish_or_fail([this] {
    const TableBatch batch = tables_->take([this](uint64_t sectors) { return allocate(sectors); });
    tables_->write(batch, TableCopy::redundant);
    tables_->write(batch, TableCopy::primary);
    tables_->finish(batch);
  });
}

/// The header comes last: a file without one is no image.
void SparseExtent::close_new() {
  if (!in_session_.load(std::memory_order_acquire)) return;
  require_sound();
  file_->resize(std::max(file_->size(), next_sector_ * kSectorSize));
  tables_->directory().write_all(*file_, TableCopy::redundant);
  tables_->directory().write_all(*file_, TableCopy::primary);
  write_new_tables();
  free_given_up(given_up_);
  file_->write_at(0, bytes_of(encode(header_)));
  in_session_.store(false, std::memory_order_release);
}

}  // namespace varve::vmdk
