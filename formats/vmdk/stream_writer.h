// Writing a streamOptimized extent, once and from front to back; also down a pipe.
//
// The shape is the one that every reader we know takes: header with the directory "at the end", descriptor, from sector 128 on the grains
// in ascending order, each behind its marker; behind the grains of a table, a marker and the table; at the end a marker and the directory,
// a marker and the footer, and a sector of zeros, the end of the stream. All-zero grains are left out. T, "Stream-Optimized Compressed
// Sparse Extents".
#ifndef VARVE_FORMATS_VMDK_STREAM_WRITER_H
#define VARVE_FORMATS_VMDK_STREAM_WRITER_H

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/endian.h"
#include "codec/deflate.h"
#include "vmdk/extent.h"
#include "vmdk/header.h"

namespace varve::vmdk {

/// Where the first grain lies, whatever the descriptor's length: 64 KiB.
inline constexpr uint64_t kStreamOverheadSectors = 128;

struct StreamParameters {
  uint64_t size = 0;  ///< bytes of the disk, whole sectors
  uint64_t grain_sectors = 128;
  int level = 6;
  std::string descriptor;           ///< the text
  uint64_t descriptor_sectors = 0;  ///< its area
  bool append_only = false;         ///< the file is a pipe
};

/// Takes data through bulk_writer() only. encode() and store() may be called from many threads; place() and the rest are
/// called by one at a time and share no lock.
class StreamWriter final : public ExtentDriver, private BulkWriter {
 public:
  StreamWriter(std::shared_ptr<Storage> file, StreamParameters parameters);

  const SparseHeader& header() const { return header_; }

  uint64_t size() const override { return header_.capacity_bytes(); }
  uint64_t granularity() const override { return header_.grain_bytes(); }
  bool writable() const override { return true; }
  void read_at(uint64_t offset, MutableBytes out) override;
  void write_at(uint64_t offset, ConstBytes data) override;
  /// True of what has not been placed yet: it is left out.
  bool zero(uint64_t offset, uint64_t length) override;
  Extent extent_at(uint64_t offset, uint64_t limit) override;
  void flush() override {}
  void close() override;
  BulkWriter* bulk_writer() override { return this; }
  uint64_t allocated_bytes() const override { return next_sector_ * kSectorSize; }

 private:
  uint64_t unit() const override;
  std::unique_ptr<BulkPiece> encode(uint64_t offset, ConstBytes data) override;
  void place(BulkPiece& piece) override;
  void store(BulkPiece& piece) override;

  /// Appends the table of the grains passed so far, if it names any, and begins the one with number `table`.
  void begin_table(uint64_t table, std::vector<std::byte>& out);
  void write_sections(const BulkPiece& piece);
  void append_end(std::vector<std::byte>& out);
  std::vector<std::byte> front() const;
  uint32_t take_sectors(uint64_t sectors);

  const std::shared_ptr<Storage> file_;
  const StreamParameters parameters_;
  SparseHeader header_;
  Pool<Deflater> deflaters_;
  uint64_t next_sector_ = kStreamOverheadSectors;
  std::atomic<uint64_t> placed_end_{0};  ///< bytes of the disk
  uint64_t table_ = 0;                   ///< number of the table being filled
  std::vector<le32> entries_;            ///< of that table
  bool table_used_ = false;
  std::vector<le32> directory_;
  bool closed_ = false;
};

}  // namespace varve::vmdk

#endif
