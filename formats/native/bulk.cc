#include "native/bulk.h"

#include <algorithm>
#include <optional>

#include "native/run_writer.h"

namespace varve::native {
namespace {

struct Part {
  ConstBytes data;  ///< a whole cluster
  Bytes padded;     ///< the last one of the disk, if that ends within it
  StoredCluster stored;
  Pointer pointer;
};

ConstBytes whole(const Part& part) { return part.padded.empty() ? part.data : ConstBytes(part.padded); }

}  // namespace

struct NativePiece final : BulkPiece {
  uint64_t first = 0;
  std::vector<Part> parts;
  std::optional<Pool<AlignedBuffer>::Lease> sealed;  ///< what goes into the file, of an encrypted image
};

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
    part.stored = image_.extents_.codec().encode(whole(part));
  }
  if (image_.cipher() != nullptr) seal(*piece);
  return piece;
}

/// Encryption depends on the place, and the tree wants the tag: so these pieces have their places before they are put in order.
void NativeBulkWriter::seal(NativePiece& piece) {
  size_t bytes = 0;
  for (const Part& part : piece.parts) bytes += part.stored.length;
  piece.sealed = image_.batch_buffers_.borrow();
  (*piece.sealed)->reset(bytes);
  uint64_t birth = 0;
  {
    const std::lock_guard lock(image_.change_mutex_);
    birth = image_.building();
  }
  uint64_t offset = image_.space_.take(bytes);
  size_t done = 0;
  for (Part& part : piece.parts) {
    part.pointer = image_.pointer_to(part.stored, offset, birth);
    if (part.pointer.kind != Kind::data) continue;
    image_.extents_.seal(part.pointer, part.stored.bytes(whole(part)), (*piece.sealed)->bytes().subspan(done));
    offset += part.stored.length;
    done += part.stored.length;
  }
}

void NativeBulkWriter::place(BulkPiece& piece) {
  auto& p = static_cast<NativePiece&>(piece);
  uint64_t cluster = p.first;
  for (Part& part : p.parts) {
    if (image_.cipher() == nullptr) {
      part.pointer = image_.pointer_to(part.stored, 0, image_.building());
      if (part.pointer.kind == Kind::data) part.pointer.offset = image_.space_.take(part.pointer.length);
    }
    if (part.pointer.kind == Kind::data) image_.head_.set(cluster, part.pointer, [](const Pointer&) {});
    ++cluster;
  }
  image_.head_changed_ = true;
  image_.bound_nodes();
}

void NativeBulkWriter::store(BulkPiece& piece) {
  auto& p = static_cast<NativePiece&>(piece);
  RunWriter run(*image_.file_);
  size_t done = 0;
  for (const Part& part : p.parts) {
    if (part.pointer.kind != Kind::data) continue;
    run.add(part.pointer.offset,
            p.sealed ? ConstBytes((*p.sealed)->bytes().subspan(done, part.stored.length)) : part.stored.bytes(whole(part)));
    done += part.stored.length;
  }
  run.finish();
}

BulkWriter* NativeImage::bulk_writer() {
  if (!parts_.created || head_.parent() != 0) return nullptr;
  if (bulk_ == nullptr) bulk_ = std::make_unique<NativeBulkWriter>(*this);
  return bulk_.get();
}

}  // namespace varve::native
