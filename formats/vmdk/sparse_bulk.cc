#include "vmdk/sparse_bulk.h"

#include <algorithm>
#include <vector>

#include "base/checked_math.h"
#include "base/zero.h"
#include "vmdk/sparse_extent.h"

namespace varve::vmdk {
namespace {

/// Grains of one piece that are alike.
struct Run {
  uint64_t first = 0;  ///< grain, counted from the piece's start
  uint64_t grains = 0;
  bool zero = false;
  uint32_t sector = 0;  ///< from place()
};

struct SparsePiece final : BulkPiece {
  uint64_t offset = 0;
  ConstBytes data;
  std::vector<Run> runs;
};

}  // namespace

uint64_t SparseBulkWriter::unit() const { return extent_.header().grain_bytes(); }

std::unique_ptr<BulkPiece> SparseBulkWriter::encode(uint64_t offset, ConstBytes data) {
  auto piece = std::make_unique<SparsePiece>();
  piece->offset = offset;
  piece->data = data;
  const uint64_t grain_bytes = extent_.header().grain_bytes();
  for (uint64_t at = 0; at < data.size(); at += grain_bytes) {
    const bool zero = is_zero(data.subspan(at, std::min<uint64_t>(grain_bytes, data.size() - at)));
    if (piece->runs.empty() || piece->runs.back().zero != zero) piece->runs.push_back({at / grain_bytes, 0, zero, 0});
    ++piece->runs.back().grains;
  }
  return piece;
}

void SparseBulkWriter::place(BulkPiece& piece) {
  auto& p = static_cast<SparsePiece&>(piece);
  const SparseHeader& header = extent_.header();
  const uint64_t first = p.offset / header.grain_bytes();
  for (Run& run : p.runs) {
    if (run.zero && !extent_.mode_.over_parent) continue;
    if (run.zero && header.has_zeroed_grains()) {
      extent_.tables_->set_special(first + run.first, run.grains, kEntryZero);
      continue;
    }
    // Over a parent, and without a way to say zero, zeros are data.
    run.sector = extent_.allocate(run.grains * header.grain_sectors);
    extent_.tables_->set_data(first + run.first, run.grains, run.sector);
  }
  extent_.bound_changed_tables();
}

void SparseBulkWriter::store(BulkPiece& piece) {
  auto& p = static_cast<SparsePiece&>(piece);
  const uint64_t grain_bytes = extent_.header().grain_bytes();
  for (const Run& run : p.runs) {
    if (run.sector == 0) continue;
    const uint64_t begin = run.first * grain_bytes;
    const uint64_t length = std::min<uint64_t>(run.grains * grain_bytes, p.data.size() - begin);
    // The last grain of a disk may be short: close() extends the file to its end.
    extent_.file_->write_at(uint64_t{run.sector} * kSectorSize, p.data.subspan(begin, length));
  }
  extent_.data_written_.store(true, std::memory_order_release);
}

}  // namespace varve::vmdk
