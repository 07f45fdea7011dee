// A streamOptimized image read once from front to back, from a pipe. T, "Stream-Optimized Compressed Sparse Extents".
//
// Grains carry the sector of the disk that they belong to, so the tables are not needed to find them. They are held against the grains all
// the same (stream_ledger.h): that proves the stream whole, also where a writer leaves out the end-of-stream sector (qemu-img does),
// and that the same bytes are the same disk to a reader of the file. What can't be proven in one pass is refused: then a file is needed.
//
// Memory follows what has arrived, never what a header announces: a grain, the descriptor, the directory, and 16 bytes a table.
#ifndef VARVE_FORMATS_VMDK_STREAM_READER_H
#define VARVE_FORMATS_VMDK_STREAM_READER_H

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "image/driver.h"
#include "vmdk/descriptor.h"
#include "vmdk/header.h"
#include "vmdk/stream_grain.h"
#include "vmdk/stream_ledger.h"

namespace varve::vmdk {

class VmdkStreamReader final : public StreamReader {
 public:
  /// Reads all that comes before the first grain. Throws unsupported for what only a file can be: an image whose grains carry no marker, a
  /// delta, a descriptor of more than this stream.
  VmdkStreamReader(std::shared_ptr<ByteSource> source, DriverContext& context);

  uint64_t size() const override { return header_.capacity_bytes(); }
  ImageInfo info() const override;
  std::optional<Piece> next() override;
  void load(const Piece& piece, MutableBytes out) const override;

 private:
  using Buffer = std::vector<std::byte>;
  struct Directory {
    uint64_t sector = 0;  ///< where it lies; 0: not known
    std::vector<le32> entries;
    size_t next = 0;  ///< the first entry whose table may still come
  };

  bool read_some(MutableBytes out);
  void read_all(MutableBytes out);
  Buffer read_bytes(uint64_t bytes);
  void skip(uint64_t bytes);
  SparseHeader read_header();

  void read_front(DriverContext& context);
  uint64_t next_known();
  void read_known(DriverContext& context);
  void read_descriptor(DriverContext& context);
  void read_directory(Directory& directory);
  void read_table();

  Piece read_grain(ConstBytes sector);
  void read_metadata(ConstBytes sector);
  void read_footer();
  void end_without_footer(bool marked);
  void finish(bool marked);

  const std::shared_ptr<ByteSource> source_;
  const Limits limits_;
  uint64_t position_ = 0;
  const SparseHeader header_;
  Descriptor descriptor_;
  std::array<Directory, 2> directories_;  ///< the directory, and the redundant one if there is one
  StreamLedger ledger_;
  uint64_t next_lba_ = 0;  ///< grains ascend
  bool ended_ = false;
  const std::unique_ptr<GrainDecoder> decoder_;  ///< thread-safe
};

}  // namespace varve::vmdk

#endif
