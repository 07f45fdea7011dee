// What a copy reads: an image, walked by its extents, or a stream, taken as it comes. The copy sees one interface.
#ifndef VARVE_OPS_COPY_SOURCE_H
#define VARVE_OPS_COPY_SOURCE_H

#include <cstdint>
#include <optional>
#include <string>
#include <utility>

#include "ops/copy_item.h"
#include "varve/image.h"

namespace varve::ops {

/// How a disk is cut into items. The cut depends on nothing else, so the number of threads changes no output.
struct Cut {
  uint64_t end = 0;      ///< of the target's disk: what lies behind the source's end is zeros
  uint64_t unit = 4096;  ///< data runs are whole multiples, and what shares a unit with data is data
  /// Bytes of data after which an item is full; a unit or a stored piece may exceed it. Such an item is read and written out of the
  /// processor's second-level cache, which halves the time of copies in the page cache against 1 MiB.
  uint64_t data = 256u << 10;
  uint64_t span = uint64_t{1} << 40;  ///< bytes of the disk after which an item is full
  size_t runs = 256;                  ///< runs after which an item is full
};

class CopySource {
 public:
  virtual ~CopySource() = default;
  virtual uint64_t size() const = 0;
  /// Sets how to cut. Called once, before next().
  virtual void begin(const Cut& cut) = 0;
  /// The next item; false after the last. By one thread at a time.
  virtual bool next(CopyItem& item) = 0;
  /// Reads the bytes of one data run of the item. By any thread, any number at once.
  virtual void load(const CopyItem& item, const Run& run, MutableBytes out) = 0;
};

class ImageSource final : public CopySource {
 public:
  explicit ImageSource(Image& image, const CancelToken* cancel = nullptr) : image_(image), cancel_(cancel) {}
  uint64_t size() const override { return image_.size(); }
  void begin(const Cut& cut) override { cut_ = cut; }
  bool next(CopyItem& item) override;
  void load(const CopyItem& item, const Run& run, MutableBytes out) override;

 private:
  bool full(const CopyItem& item) const;
  /// The source's run that holds `offset`.
  const Run& run_at(uint64_t offset);

  Image& image_;
  const CancelToken* cancel_;
  Cut cut_;
  uint64_t position_ = 0;
  Run run_;
};

class StreamSource final : public CopySource {
 public:
  /// `path` is what errors are to name.
  explicit StreamSource(StreamReader& reader, std::string path = {}) : reader_(reader), path_(std::move(path)) {}
  uint64_t size() const override { return reader_.size(); }
  void begin(const Cut& cut) override { cut_ = cut; }
  bool next(CopyItem& item) override;
  void load(const CopyItem& item, const Run& run, MutableBytes out) override;

 private:
  const StreamReader::Piece* peek();

  StreamReader& reader_;
  const std::string path_;
  Cut cut_;
  uint64_t position_ = 0;   // of the items handed out
  uint64_t piece_end_ = 0;  // of the last piece taken from the reader
  bool at_end_ = false;
  std::optional<StreamReader::Piece> ahead_;
};

}  // namespace varve::ops

#endif
