// Clusters as they are stored (docs/formats/varve.md, section 5.2).
#ifndef VARVE_FORMATS_NATIVE_CLUSTER_CODEC_H
#define VARVE_FORMATS_NATIVE_CLUSTER_CODEC_H

#include <cstdint>
#include <memory>
#include <vector>

#include "base/aligned_buffer.h"
#include "codec/codec.h"
#include "codec/deflate.h"
#include "codec/zstd.h"
#include "native/header.h"

namespace varve::native {

/// What one cluster becomes.
struct StoredCluster {
  bool zero = false;  ///< all zeros: nothing is stored
  CodecId codec = CodecId::none;
  std::vector<std::byte> packed;  ///< whole units; empty if the cluster, or a part of it, is stored as it is
  uint64_t begin = 0;             ///< of that part in the cluster, bytes
  uint64_t length = 0;            ///< stored, bytes
  TagBytes tag{};                 ///< not of an encrypted image, where it depends on the place

  /// What goes into the file, of the cluster that this was made from.
  ConstBytes bytes(ConstBytes cluster) const { return packed.empty() ? cluster.subspan(begin, length) : ConstBytes(packed); }
  MutableBytes bytes(MutableBytes cluster) { return packed.empty() ? cluster.subspan(begin, length) : MutableBytes(packed); }
};

/// One pipeline for all ways in and out: zeros, compression, tag. Thread-safe.
class ClusterCodec {
 public:
  explicit ClusterCodec(const Header& header);

  /// `cluster` is a whole one. Compressed if that saves at least a unit, and more than to leave out the zeros at its ends; and if there is
  /// time for it.
  StoredCluster encode(ConstBytes cluster, bool hurry = false) const;
  /// Verified bytes, compressed, into a whole cluster. Throws corrupt unless they decode to exactly that.
  void decompress(CodecId codec, ConstBytes stored, MutableBytes cluster) const;

 private:
  size_t compress(ConstBytes cluster, MutableBytes out) const;

  const CodecId codec_;
  const uint64_t cluster_size_;
  const uint64_t granule_;
  const uint64_t unit_;
  const bool tagged_;
  // Made when first needed, one for each thread that is at work.
  mutable CodecPool<Deflater> deflaters_;
  mutable CodecPool<Inflater> inflaters_;
  mutable CodecPool<ZstdCompressor> compressors_;
  mutable CodecPool<ZstdDecompressor> decompressors_;
  mutable Pool<AlignedBuffer> buffers_;  ///< for what a cluster becomes, whose length is not known before
};

}  // namespace varve::native

#endif
