#include "vmdk/split_bulk.h"

#include <algorithm>
#include <iterator>
#include <utility>

namespace varve::vmdk {
namespace {

struct SplitPiece final : BulkPiece {
  struct Share {
    BulkWriter* writer;
    std::unique_ptr<BulkPiece> piece;
  };
  std::vector<Share> shares;
};

}  // namespace

std::unique_ptr<BulkPiece> SplitBulkWriter::encode(uint64_t offset, ConstBytes data) {
  auto piece = std::make_unique<SplitPiece>();
  const auto behind =
      std::upper_bound(parts_.begin(), parts_.end(), offset, [](uint64_t at, const Part& part) { return at < part.offset; });
  for (auto part = std::prev(behind); !data.empty(); ++part) {
    const ConstBytes here = data.first(std::min<uint64_t>(data.size(), part->end - offset));
    piece->shares.push_back({part->writer, part->writer->encode(offset - part->offset, here)});
    offset += here.size();
    data = data.subspan(here.size());
  }
  return piece;
}

void SplitBulkWriter::place(BulkPiece& piece) {
  for (const auto& share : static_cast<SplitPiece&>(piece).shares) share.writer->place(*share.piece);
}

void SplitBulkWriter::store(BulkPiece& piece) {
  for (const auto& share : static_cast<SplitPiece&>(piece).shares) share.writer->store(*share.piece);
}

}  // namespace varve::vmdk
