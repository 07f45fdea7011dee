#include "native/extents.h"

#include <algorithm>

#include "base/checked_math.h"
#include "base/zero.h"
#include "native/tag.h"
#include "varve/error.h"

namespace varve::native {

namespace {

/// What an entry of a cache takes besides its value, about.
constexpr uint64_t kEntryBytes = 160;
/// Sums may take half of what nodes may.
size_t sums_in(uint64_t node_bytes, uint64_t cluster_size) {
  return node_bytes / 2 / (kEntryBytes + div_ceil(cluster_size, kBlock) * sizeof(uint64_t));
}

}  // namespace

Extents::Extents(std::shared_ptr<Storage> file, const Header& header, uint64_t node_bytes, uint64_t cluster_bytes,
                 std::shared_ptr<Cipher> cipher)
    : file_(std::move(file)),
      header_(header),
      cipher_(std::move(cipher)),
      codec_(header),
      buffers_([] { return std::make_unique<AlignedBuffer>(); }),
      nodes_(std::max<uint64_t>(node_bytes / sizeof(Node), 16)),
      clusters_(cluster_bytes / header.cluster_size),
      sums_(sums_in(node_bytes, header.cluster_size)) {}

void Extents::read_stored(const Pointer& pointer, MutableBytes out) {
  file_->read_at(pointer.offset, out);
  if (cipher_ != nullptr ? cipher_->open(pointer, out) : tag_of(out) == pointer.tag) return;
  throw Error(Errc::corrupt, pointer.kind == Kind::node ? "a node of the tree is damaged" : "a cluster is damaged")
      .in(file_->name())
      .at(pointer.offset)
      .hint("restore the image from a copy; `varve check` names all that is lost");
}

NodePtr Extents::node(const Pointer& pointer, uint64_t end) {
  if (NodePtr known = nodes_.find(pointer)) return known;
  NodeRaw raw;
  read_stored(pointer, MutableBytes(std::as_writable_bytes(std::span(&raw, 1))));
  auto node = std::make_shared<Node>();
  const PointerRules rules{header_.cluster_size, header_.unit, end};
  for (size_t i = 0; i < kFanout; ++i) {
    try {
      (*node)[i] = parse_pointer(raw.entries[i], rules, pointer.level - 1U, pointer.birth);
    } catch (Error& error) {
      throw Error(error.code(), error.message()).in(file_->name()).at(pointer.offset + i * sizeof(PointerRaw));
    }
  }
  nodes_.insert(pointer, node);
  return node;
}

void Extents::decode(const Pointer& pointer, MutableBytes cluster) {
  if (pointer.codec == CodecId::none) {
    const uint64_t begin = pointer.skip * granule_of(header_.cluster_size);
    const MutableBytes part = cluster.subspan(begin, pointer.length);
    read_stored(pointer, part);
    std::fill(cluster.begin(), part.begin(), std::byte{0});
    std::fill(part.end(), cluster.end(), std::byte{0});
    return;
  }
  const auto buffer = buffers_.borrow();
  buffer->reset(pointer.length);
  read_stored(pointer, buffer->bytes());
  try {
    codec_.decompress(pointer.codec, buffer->bytes(), cluster);
  } catch (Error& error) {
    throw Error(error.code(), "a cluster can't be decoded").caused_by(error.message()).in(file_->name()).at(pointer.offset);
  }
}

ConstBytes Extents::seal(Pointer& pointer, ConstBytes bytes, MutableBytes out) {
  if (cipher_ == nullptr) return bytes;
  pointer.tag = cipher_->seal(pointer, bytes, out.first(bytes.size()));
  return out.first(bytes.size());
}

void Extents::write_node(Pointer& pointer, NodePtr node) {
  NodeRaw raw;
  for (size_t i = 0; i < kFanout; ++i) raw.entries[i] = encode((*node)[i], header_.unit);
  const MutableBytes bytes = std::as_writable_bytes(std::span(&raw, 1));
  if (cipher_ == nullptr) pointer.tag = tag_of(bytes);
  file_->write_at(pointer.offset, seal(pointer, bytes, bytes));
  nodes_.insert(pointer, std::move(node));
}

ClusterPtr Extents::cluster(const Pointer& pointer) {
  if (ClusterPtr known = clusters_.find(pointer)) return known;
  ClusterBuffer buffer = buffers_.borrow();
  buffer->reset(header_.cluster_size);
  decode(pointer, buffer->bytes());
  keep_sums(pointer, buffer->bytes());
  auto cluster = std::make_shared<const ClusterBuffer>(std::move(buffer));
  clusters_.insert(pointer, cluster);
  return cluster;
}

void Extents::keep_sums(const Pointer& pointer, ConstBytes cluster) {
  if (pointer.codec != CodecId::none || cipher_ != nullptr || header_.cluster_size == kBlock) return;
  const ConstBytes stored = cluster.subspan(pointer.skip * granule_of(header_.cluster_size), pointer.length);
  auto sums = std::make_shared<BlockSums>();
  for (size_t at = 0; at < stored.size(); at += kBlock)
    sums->push_back(sum_of(stored.subspan(at, std::min<size_t>(kBlock, stored.size() - at))));
  sums_.insert(pointer, std::move(sums));
}

/// False: there are no sums, or what is stored is not what it was: then all of it is looked at, which tells what is wrong.
bool Extents::read_blocks(const Pointer& pointer, uint64_t within, MutableBytes out) {
  const uint64_t begin = pointer.skip * granule_of(header_.cluster_size);
  if (within < begin || within + out.size() > begin + pointer.length) return false;
  const auto sums = sums_.find(pointer);
  if (sums == nullptr) return false;
  const uint64_t first = align_down(within - begin, kBlock);
  const uint64_t end = std::min<uint64_t>(align_up(within - begin + out.size(), kBlock), pointer.length);
  const auto buffer = buffers_.borrow();
  buffer->reset(end - first);
  const MutableBytes blocks = buffer->bytes();
  file_->read_at(pointer.offset + first, blocks);
  for (size_t at = 0; at < blocks.size(); at += kBlock)
    if (sum_of(blocks.subspan(at, std::min<size_t>(kBlock, blocks.size() - at))) != (*sums)[(first + at) / kBlock]) return false;
  const ConstBytes part = blocks.subspan(within - begin - first, out.size());
  std::copy(part.begin(), part.end(), out.begin());
  return true;
}

/// Zeros that are not stored are read without what is.
bool Extents::is_unstored(const Pointer& pointer, uint64_t within, uint64_t length) const {
  const uint64_t begin = pointer.skip * granule_of(header_.cluster_size);
  return pointer.codec == CodecId::none && (within + length <= begin || within >= begin + pointer.length);
}

bool Extents::read_known(const Pointer& pointer, uint64_t within, MutableBytes out) {
  if (is_unstored(pointer, within, out.size())) {
    std::fill(out.begin(), out.end(), std::byte{0});
    return true;
  }
  return clusters_.look(pointer, [&](const ClusterPtr& known) {
    const ConstBytes part = (*known)->bytes().subspan(within, out.size());
    std::copy(part.begin(), part.end(), out.begin());
  });
}

void Extents::read(const Pointer& pointer, uint64_t within, MutableBytes out) {
  if (read_known(pointer, within, out)) return;
  if (out.size() == header_.cluster_size) return decode(pointer, out);
  if (read_blocks(pointer, within, out)) return;
  const ClusterPtr whole = cluster(pointer);
  const ConstBytes part = (*whole)->bytes().subspan(within, out.size());
  std::copy(part.begin(), part.end(), out.begin());
}

void Extents::verify(const Pointer& pointer, uint64_t used) {
  Bytes cluster(header_.cluster_size);
  decode(pointer, cluster);
  if (!is_zero(ConstBytes(cluster).subspan(used)))
    throw Error(Errc::corrupt, "a cluster holds something behind the end").in(file_->name()).at(pointer.offset);
}

}  // namespace varve::native
