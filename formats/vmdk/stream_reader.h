// A streamOptimized image read once from front to back, from a pipe. T, "Stream-Optimized Compressed Sparse Extents".
//
// Grains carry the sector of the disk that they belong to, so the directory is not needed. It is read all the same where it lies in front
// of the grains, because writers that put it there (qemu-img) often leave out the end-of-stream sector: then the number of grains that
// it names tells whether the stream is whole.
#ifndef VARVE_FORMATS_VMDK_STREAM_READER_H
#define VARVE_FORMATS_VMDK_STREAM_READER_H

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "image/driver.h"
#include "vmdk/descriptor.h"
#include "vmdk/header.h"
#include "vmdk/stream_grain.h"

namespace varve::vmdk {

class VmdkStreamReader final : public StreamReader {
 public:
  /// Reads the header and the descriptor. Throws unsupported for what only a file can be: an image whose grains carry no marker.
  VmdkStreamReader(std::shared_ptr<ByteSource> source, DriverContext& context);

  uint64_t size() const override { return header_.capacity_bytes(); }
  ImageInfo info() const override;
  std::optional<Piece> next() override;
  void load(const Piece& piece, MutableBytes out) const override;

 private:
  using Sector = std::vector<std::byte>;

  bool read_some(MutableBytes out);
  void read_all(MutableBytes out);
  void skip(uint64_t bytes);
  void read_front(const Limits& limits);
  void count_named_grains(ConstBytes front);
  void skip_metadata(ConstBytes sector);
  void read_footer(ConstBytes marker);
  void finish(bool marked);
  Piece read_grain(ConstBytes sector);

  const std::shared_ptr<ByteSource> source_;
  const Limits limits_;
  const std::string name_;
  uint64_t position_ = 0;
  SparseHeader header_;
  Descriptor descriptor_;
  std::optional<uint64_t> named_grains_;  ///< by a directory in front
  uint64_t grains_ = 0;                   ///< seen
  uint64_t next_lba_ = 0;                 ///< grains ascend
  bool footer_seen_ = false;
  bool ended_ = false;
  std::unique_ptr<GrainDecoder> decoder_;  ///< thread-safe
};

}  // namespace varve::vmdk

#endif
