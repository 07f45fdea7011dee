#include "vmdk/measure.h"

#include "base/checked_math.h"
#include "codec/deflate.h"
#include "varve/error.h"
#include "vmdk/create.h"
#include "vmdk/create_options.h"
#include "vmdk/new_descriptor.h"
#include "vmdk/sparse_extent.h"
#include "vmdk/stream_grain.h"
#include "vmdk/stream_writer.h"

namespace varve::vmdk {
namespace {

/// What file systems give space in.
constexpr uint64_t kFileBlock = 4096;

/// A separate descriptor: its text, and a line of an extent with a name of the greatest length.
uint64_t descriptor_file(uint64_t extents) {
  constexpr uint64_t kText = 2048;
  constexpr uint64_t kLine = 320;
  return align_up(kText + extents * kLine, kFileBlock);
}

uint64_t flat(uint64_t extents, const FormatDriver::CountUnits& count) { return count(kFileBlock) * kFileBlock + descriptor_file(extents); }

uint64_t monolithic_sparse(const CreatePlan& plan, uint64_t size, const FormatDriver::CountUnits& count) {
  const SparseHeader header = lay_out_sparse(size, plan.grain_sectors, kDescriptorSectors, plan.zeroed_grains).header;
  return header.overhead_bytes() + count(header.grain_bytes()) * header.grain_bytes();
}

/// Every part begins with a grain: 2047 MiB are whole grains of any size.
uint64_t split_sparse(const CreatePlan& plan, uint64_t size, uint64_t extents, const FormatDriver::CountUnits& count) {
  const uint64_t part = kSplitSectors * kSectorSize;
  const auto overhead = [&](uint64_t bytes) {
    return lay_out_sparse(bytes, plan.grain_sectors, 0, plan.zeroed_grains).header.overhead_bytes();
  };
  const uint64_t last = size - (extents - 1) * part;
  const uint64_t grain = plan.grain_sectors * kSectorSize;
  return (extents > 1 ? (extents - 1) * overhead(part) : 0) + overhead(last) + count(grain) * grain + descriptor_file(extents);
}

/// Grains as large as they become if they do not compress, a table behind those that it names, and the end.
uint64_t stream(const CreatePlan& plan, uint64_t size, const FormatDriver::CountUnits& count) {
  SparseHeader header;
  header.capacity_sectors = size / kSectorSize;
  header.grain_sectors = plan.grain_sectors;
  if (header.gd_entries() > kMaxDirectoryEntries) throw Error(Errc::limit, "the disk is too large for grains of this size");
  constexpr uint64_t kFooter = 3 * kSectorSize;
  const uint64_t grain = align_up(kGrainMarkerSize + Deflater::bound(header.grain_bytes()), kSectorSize);
  const uint64_t table = kSectorSize + align_up(header.gt_bytes(), kSectorSize);
  const uint64_t directory = kSectorSize + align_up(header.gd_bytes(), kSectorSize);
  return kStreamOverheadSectors * kSectorSize + count(header.grain_bytes()) * grain +
         count(header.gtes_per_gt * header.grain_bytes()) * table + directory + kFooter;
}

}  // namespace

uint64_t measure_image(const OptionValues& options, uint64_t size, const FormatDriver::CountUnits& count) {
  const CreatePlan plan = make_plan(options, false);
  if (size == 0) throw Error(Errc::invalid_argument, "a VMDK has at least one sector").hint("give a size of 512 bytes or more");
  if (size > UINT64_MAX / 2) throw Error(Errc::limit, "the disk is too large");
  size = align_up(size, kSectorSize);
  const uint64_t extents = div_ceil(size, kSplitSectors * kSectorSize);
  switch (plan.subformat) {
    case Subformat::monolithic_sparse: return monolithic_sparse(plan, size, count);
    case Subformat::two_gb_sparse: return split_sparse(plan, size, extents, count);
    case Subformat::stream_optimized: return stream(plan, size, count);
    case Subformat::two_gb_flat: return flat(extents, count);
    case Subformat::monolithic_flat:
    case Subformat::vmfs: break;
  }
  return flat(1, count);
}

}  // namespace varve::vmdk
