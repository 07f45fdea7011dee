// Clusters as they are stored (docs/formats/varve.md, section 5.2).
#ifndef VARVE_FORMATS_NATIVE_CLUSTER_CODEC_H
#define VARVE_FORMATS_NATIVE_CLUSTER_CODEC_H

#include <cstdint>
#include <memory>
#include <vector>

#include "codec/codec.h"
#include "codec/deflate.h"
#include "codec/zstd.h"
#include "native/header.h"

namespace varve::native {

/// What one cluster becomes.
struct StoredCluster {
  bool zero = false;  ///< all zeros: nothing is stored
  CodecId codec = CodecId::none;
  std::vector<std::byte> packed;  ///< whole units; empty if the cluster is stored as it is
  TagBytes tag{};
};

/// One pipeline for all ways in and out: zeros, compression, tag. Thread-safe.
class ClusterCodec {
 public:
  explicit ClusterCodec(const Header& header);

  /// `cluster` is a whole one. Compressed if that saves at least a unit.
  StoredCluster encode(ConstBytes cluster) const;
  /// Verified bytes into a whole cluster. Throws corrupt unless they decode to exactly that.
  void decode(CodecId codec, ConstBytes stored, MutableBytes cluster) const;

 private:
  size_t compress(ConstBytes cluster, MutableBytes out) const;

  const CodecId codec_;
  const uint64_t cluster_size_;
  const uint64_t unit_;
  // Made when first needed, one for each thread that is at work.
  mutable CodecPool<Deflater> deflaters_;
  mutable CodecPool<Inflater> inflaters_;
  mutable CodecPool<ZstdCompressor> compressors_;
  mutable CodecPool<ZstdDecompressor> decompressors_;
};

}  // namespace varve::native

#endif
