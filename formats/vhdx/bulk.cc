#include "vhdx/bulk.h"

#include <algorithm>
#include <vector>

namespace varve::vhdx {
namespace {

/// A run that lies side by side in the file.
struct Run {
  uint64_t place = 0;
  ConstBytes data;
};

struct VhdxPiece final : BulkPiece {
  uint64_t offset = 0;
  ConstBytes data;
  std::vector<Run> runs;  ///< from place()
};

}  // namespace

std::unique_ptr<BulkPiece> VhdxBulkWriter::encode(uint64_t offset, ConstBytes data) {
  auto piece = std::make_unique<VhdxPiece>();
  piece->offset = offset;
  piece->data = data;
  return piece;
}

void VhdxBulkWriter::place(BulkPiece& piece) {
  auto& p = static_cast<VhdxPiece&>(piece);
  const uint64_t block_size = image_.parts_.metadata.block_size;
  uint64_t offset = p.offset;
  for (ConstBytes rest = p.data; !rest.empty();) {
    const uint64_t block = offset / block_size;
    const uint64_t within = offset % block_size;
    const size_t length = std::min<uint64_t>(rest.size(), block_size - within);
    BatEntry entry = image_.map_->payload(block);
    if (!entry.has_place()) {
      VhdxImage::NewBlock fresh(image_);
      entry = {BlockState::fully_present, fresh.place()};
      fresh.enter_map(block, BlockState::fully_present);
    }
    p.runs.push_back({entry.offset + within, rest.first(length)});
    offset += length;
    rest = rest.subspan(length);
  }
  image_.bound_changes();
}

void VhdxBulkWriter::store(BulkPiece& piece) {
  for (const Run& run : static_cast<VhdxPiece&>(piece).runs) image_.file_->write_at(run.place, run.data);
}

}  // namespace varve::vhdx
