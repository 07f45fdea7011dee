#include "native/extents.h"

#include <algorithm>

#include "base/zero.h"
#include "native/tag.h"
#include "varve/error.h"

namespace varve::native {

Extents::Extents(std::shared_ptr<Storage> file, const Header& header, uint64_t cache_bytes)
    : file_(std::move(file)),
      header_(header),
      codec_(header),
      nodes_(std::max<uint64_t>(cache_bytes / 2 / sizeof(Node), 16)),
      clusters_(cache_bytes / 2 / header.cluster_size) {}

Bytes Extents::stored(const Pointer& pointer) {
  Bytes bytes(pointer.length);
  file_->read_at(pointer.offset, bytes);
  if (tag_of(bytes) == pointer.tag) return bytes;
  throw Error(Errc::corrupt, pointer.kind == Kind::node ? "a node of the tree is damaged" : "a cluster is damaged")
      .in(file_->name())
      .at(pointer.offset)
      .hint("restore the image from a copy; `varve check` names all that is lost");
}

NodePtr Extents::node(const Pointer& pointer, uint64_t end) {
  if (NodePtr known = nodes_.find(pointer)) return known;
  const Bytes bytes = stored(pointer);
  auto node = std::make_shared<Node>();
  const PointerRules rules{header_.cluster_size, header_.unit, end};
  for (size_t i = 0; i < kFanout; ++i) {
    try {
      (*node)[i] = parse_pointer(load<PointerRaw>(bytes, i * sizeof(PointerRaw)), rules, pointer.level - 1U, pointer.birth);
    } catch (Error& error) {
      throw Error(error.code(), error.message()).in(file_->name()).at(pointer.offset + i * sizeof(PointerRaw));
    }
  }
  nodes_.insert(pointer, node);
  return node;
}

BytesPtr Extents::decoded(const Pointer& pointer) {
  auto cluster = std::make_shared<Bytes>();
  Bytes bytes = stored(pointer);
  if (pointer.codec == CodecId::none) {
    *cluster = std::move(bytes);
    return cluster;
  }
  cluster->resize(header_.cluster_size);
  try {
    codec_.decode(pointer.codec, bytes, *cluster);
  } catch (Error& error) {
    throw Error(error.code(), "a cluster can't be decoded").caused_by(error.message()).in(file_->name()).at(pointer.offset);
  }
  return cluster;
}

BytesPtr Extents::cluster(const Pointer& pointer) {
  if (BytesPtr known = clusters_.find(pointer)) return known;
  BytesPtr cluster = decoded(pointer);
  clusters_.insert(pointer, cluster);
  return cluster;
}

void Extents::read(const Pointer& pointer, uint64_t within, MutableBytes out) {
  const BytesPtr bytes = cluster(pointer);
  std::copy_n(bytes->begin() + static_cast<ptrdiff_t>(within), out.size(), out.begin());
}

void Extents::verify(const Pointer& pointer, uint64_t used) {
  if (!is_zero(ConstBytes(*decoded(pointer)).subspan(used)))
    throw Error(Errc::corrupt, "a cluster holds something behind the end").in(file_->name()).at(pointer.offset);
}

}  // namespace varve::native
