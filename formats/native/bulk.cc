#include "native/bulk.h"

#include <algorithm>

#include "native/run_writer.h"

namespace varve::native {
namespace {

struct Part {
  ConstBytes data;  ///< a whole cluster
  Bytes padded;     ///< the last one of the disk, if that ends within it
  StoredCluster stored;
  uint64_t offset = 0;
};

struct NativePiece final : BulkPiece {
  uint64_t first = 0;
  std::vector<Part> parts;
};

}  // namespace

std::unique_ptr<BulkPiece> NativeBulkWriter::encode(uint64_t offset, ConstBytes data) {
  auto piece = std::make_unique<NativePiece>();
  piece->first = offset / unit();
  for (; !data.empty(); data = data.subspan(piece->parts.back().data.size())) {
    Part& part = piece->parts.emplace_back();
    part.data = data.first(std::min<uint64_t>(data.size(), unit()));
    if (part.data.size() < unit()) {
      part.padded.assign(part.data.begin(), part.data.end());
      part.padded.resize(unit());
    }
    part.stored = image_.extents_.codec().encode(part.padded.empty() ? part.data : ConstBytes(part.padded));
  }
  return piece;
}

void NativeBulkWriter::place(BulkPiece& piece) {
  auto& p = static_cast<NativePiece&>(piece);
  uint64_t cluster = p.first;
  for (Part& part : p.parts) {
    Pointer pointer = image_.pointer_to(part.stored, 0);
    if (pointer.kind == Kind::data) {
      pointer.offset = part.offset = image_.space_.take(pointer.length);
      image_.head_.set(cluster, pointer, [](const Pointer&) {});
    }
    ++cluster;
  }
  image_.head_changed_ = true;
  image_.bound_nodes();
}

void NativeBulkWriter::store(BulkPiece& piece) {
  RunWriter run(*image_.file_);
  for (const Part& part : static_cast<NativePiece&>(piece).parts)
    if (part.offset != 0) run.add(part.offset, part.stored.bytes(part.padded.empty() ? part.data : ConstBytes(part.padded)));
  run.finish();
}

BulkWriter* NativeImage::bulk_writer() {
  if (!parts_.created || head_.parent() != 0) return nullptr;
  if (bulk_ == nullptr) bulk_ = std::make_unique<NativeBulkWriter>(*this);
  return bulk_.get();
}

}  // namespace varve::native
