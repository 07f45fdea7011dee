#include "native/cluster_codec.h"

#include "base/checked_math.h"
#include "base/zero.h"
#include "native/tag.h"
#include "varve/error.h"

namespace varve::native {

ClusterCodec::ClusterCodec(const Header& header)
    : codec_(header.codec),
      cluster_size_(header.cluster_size),
      granule_(granule_of(header.cluster_size)),
      unit_(header.unit),
      tagged_(!header.encrypted),
      deflaters_([level = header.level] { return std::make_unique<Deflater>(level); }),
      inflaters_([] { return std::make_unique<Inflater>(); }),
      compressors_([level = header.level] { return std::make_unique<ZstdCompressor>(level); }),
      decompressors_([] { return std::make_unique<ZstdDecompressor>(); }),
      buffers_([] { return std::make_unique<AlignedBuffer>(); }) {}

/// 0: no unit is saved.
size_t ClusterCodec::compress(ConstBytes cluster, MutableBytes out) const {
  if (codec_ == CodecId::zlib) return deflaters_.borrow()->compress(cluster, out);
  if (codec_ == CodecId::zstd) return compressors_.borrow()->compress(cluster, out);
  return 0;
}

StoredCluster ClusterCodec::encode(ConstBytes cluster, bool hurry) const {
  StoredCluster stored;
  uint64_t end = cluster_size_;
  while (stored.begin < end && is_zero(cluster.subspan(stored.begin, granule_))) stored.begin += granule_;
  stored.zero = stored.begin == end;
  if (stored.zero) return stored;
  while (is_zero(cluster.subspan(end - granule_, granule_))) end -= granule_;
  stored.length = end - stored.begin;
  if (codec_ != CodecId::none && !hurry && stored.length > unit_) {
    const auto buffer = buffers_.borrow();
    buffer->reset(stored.length - unit_);
    const size_t length = compress(cluster, buffer->bytes());
    if (length != 0) {
      stored.packed.assign(buffer->data(), buffer->data() + length);
      stored.packed.resize(align_up(length, unit_));
      stored.codec = codec_;
      stored.length = stored.packed.size();
    }
  }
  if (tagged_) stored.tag = tag_of(stored.bytes(cluster));
  return stored;
}

void ClusterCodec::decompress(CodecId codec, ConstBytes stored, MutableBytes cluster) const {
  size_t consumed = stored.size();
  switch (codec) {
    case CodecId::none: throw Error(Errc::invalid_argument, "this is not compressed");
    case CodecId::zlib:
      if (inflaters_.borrow()->inflate(stored, cluster, &consumed) != cluster.size())
        throw Error(Errc::corrupt, "a compressed cluster is shorter than a cluster");
      break;
    case CodecId::zstd: decompressors_.borrow()->decompress(stored, cluster, &consumed); break;
  }
  if (!is_zero(stored.subspan(consumed))) throw Error(Errc::corrupt, "something stands behind a compressed cluster");
}

}  // namespace varve::native
