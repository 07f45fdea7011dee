// Compressed grains and the markers before them. T, "Stream-Optimized Compressed Sparse Extents".
#ifndef VARVE_FORMATS_VMDK_STREAM_GRAIN_H
#define VARVE_FORMATS_VMDK_STREAM_GRAIN_H

#include <cstdint>
#include <memory>
#include <vector>

#include "base/pool.h"
#include "codec/codec.h"
#include "codec/deflate.h"
#include "varve/error.h"
#include "varve/limits.h"
#include "vmdk/header.h"

namespace varve::vmdk {

/// Before the data of a grain.
struct GrainMarker {
  uint64_t lba = 0;   ///< sector of the disk
  uint32_t size = 0;  ///< bytes of data that follow
};

/// The first 12 bytes.
GrainMarker load_marker(ConstBytes bytes);

/// What a stored grain takes at most, its marker included: what doesn't compress grows a little, and nothing sane grows by more.
uint64_t max_stored_grain(const SparseHeader& header);

/// Thread-safe.
class GrainDecoder {
 public:
  /// Keeps at most `max_idle` decoders and buffers that nobody uses.
  explicit GrainDecoder(uint64_t grain_bytes, size_t max_idle = 64);

  /// Decodes a grain into `out`: a whole grain, or what the disk has of the last one, which may have been stored at that length or
  /// padded. Throws corrupt if there is more than a grain or less than `out` [RES-8].
  void decode(ConstBytes stored, MutableBytes out);

 private:
  const uint64_t grain_bytes_;
  CodecPool<Inflater> inflaters_;
  Pool<std::vector<std::byte>> grains_;
};

/// What decode() threw, with the grain that it was.
Error undecodable(uint64_t grain, const Error& error);

/// The footer of a stream whose header leaves the directory's place to it. Throws corrupt if there is none, or if it contradicts the header
/// [PRB-6]. `ends_well`: an end-of-stream sector follows it.
SparseHeader read_footer(Storage& file, const SparseHeader& header, const Limits& limits, bool& ends_well);

/// Throws corrupt unless the footer describes the same disk as the header and knows its directory.
void require_agreement(const SparseHeader& header, const SparseHeader& footer);

}  // namespace varve::vmdk

#endif
