#include "native/cluster_codec.h"

#include "base/checked_math.h"
#include "base/zero.h"
#include "native/tag.h"
#include "varve/error.h"

namespace varve::native {

ClusterCodec::ClusterCodec(const Header& header)
    : codec_(header.codec),
      cluster_size_(header.cluster_size),
      unit_(header.unit),
      deflaters_([level = header.level] { return std::make_unique<Deflater>(level); }),
      inflaters_([] { return std::make_unique<Inflater>(); }),
      compressors_([level = header.level] { return std::make_unique<ZstdCompressor>(level); }),
      decompressors_([] { return std::make_unique<ZstdDecompressor>(); }) {}

/// 0: no unit is saved.
size_t ClusterCodec::compress(ConstBytes cluster, MutableBytes out) const {
  if (codec_ == CodecId::zlib) return deflaters_.borrow()->compress(cluster, out);
  if (codec_ == CodecId::zstd) return compressors_.borrow()->compress(cluster, out);
  return 0;
}

StoredCluster ClusterCodec::encode(ConstBytes cluster) const {
  StoredCluster stored;
  stored.zero = is_zero(cluster);
  if (stored.zero) return stored;
  if (codec_ != CodecId::none && cluster_size_ > unit_) {
    stored.packed.resize(cluster_size_ - unit_);
    const size_t length = compress(cluster, stored.packed);
    stored.packed.resize(align_up(length, unit_));
    std::fill(stored.packed.begin() + static_cast<ptrdiff_t>(length), stored.packed.end(), std::byte{0});
    if (length != 0) stored.codec = codec_;
  }
  stored.tag = tag_of(stored.packed.empty() ? cluster : ConstBytes(stored.packed));
  return stored;
}

void ClusterCodec::decode(CodecId codec, ConstBytes stored, MutableBytes cluster) const {
  size_t consumed = stored.size();
  switch (codec) {
    case CodecId::none: std::copy(stored.begin(), stored.end(), cluster.begin()); return;
    case CodecId::zlib:
      if (inflaters_.borrow()->inflate(stored, cluster, &consumed) != cluster.size())
        throw Error(Errc::corrupt, "a compressed cluster is shorter than a cluster");
      break;
    case CodecId::zstd: decompressors_.borrow()->decompress(stored, cluster, &consumed); break;
  }
  if (!is_zero(stored.subspan(consumed))) throw Error(Errc::corrupt, "something stands behind a compressed cluster");
}

}  // namespace varve::native
