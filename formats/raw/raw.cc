#include "raw/raw.h"

#include <algorithm>

namespace varve {

namespace {

class RawImage final : public FormatImage {
 public:
  explicit RawImage(std::shared_ptr<Storage> file) : file_(std::move(file)), size_(file_->size()) {}

  /// A disk that goes down a pipe: its size is what was asked for, not what was written.
  RawImage(std::shared_ptr<Storage> pipe, uint64_t size) : file_(std::move(pipe)), size_(size), streaming_(true) {}

  ImageInfo info() const override {
    ImageInfo info;
    info.allocated_bytes = file_->allocated_bytes();
    info.files = {file_->name()};
    info.details.emplace_back("block_device", file_->limits().fixed_size);
    return info;
  }

  uint64_t size() const override { return size_; }
  void read_at(uint64_t offset, MutableBytes out) override { file_->read_at(offset, out); }
  void write_at(uint64_t offset, ConstBytes data) override { file_->write_at(offset, data); }
  bool zero(uint64_t offset, uint64_t length) override { return file_->punch_hole(offset, length); }
  void discard(uint64_t offset, uint64_t length) override { file_->punch_hole(offset, length); }

  Extent extent_at(uint64_t offset, uint64_t limit) override {
    const StorageExtent run = file_->extent_at(offset);
    Extent extent{offset, std::min(limit, run.length), run.hole ? ExtentKind::absent : ExtentKind::data};
    if (!run.hole) extent.host_offset = offset;
    return extent;
  }

  void flush() override { file_->flush(); }

  void resize(uint64_t size) override {
    file_->resize(size);
    size_ = size;
  }

  Storage* flat_storage() override { return streaming_ ? nullptr : file_.get(); }

 private:
  const std::shared_ptr<Storage> file_;
  uint64_t size_;  // changes in resize() alone, which overlaps with nothing
  const bool streaming_ = false;
};

class RawDriver final : public FormatDriver {
 public:
  const FormatInfo& info() const override {
    static const FormatInfo kInfo = {"raw",
                                     "the disk's bytes and nothing else, in a file or on a block device",
                                     {"raw", "img", "bin"},
                                     {.create = true, .write = true, .zero = true, .discard = true, .resize = true, .stream_out = true},
                                     {}};
    return kInfo;
  }

  ProbeResult probe(const ProbeInput&) const override { return {.matches = true, .forgeable = true, .fallback = true}; }

  std::unique_ptr<FormatImage> open(OpenContext& context) const override { return std::make_unique<RawImage>(context.file()); }

  std::unique_ptr<FormatImage> create(CreateContext& context) const override {
    if (context.streaming()) return std::make_unique<RawImage>(context.file(), context.size());
    context.file()->resize(context.size());
    return std::make_unique<RawImage>(context.file());
  }

  /// Holes take nothing, and file systems give space in blocks.
  uint64_t measure(const OptionValues&, uint64_t, const CountUnits& count) const override {
    constexpr uint64_t kFileBlock = 4096;
    return count(kFileBlock) * kFileBlock;
  }
};

}  // namespace

const FormatDriver& raw_driver() {
  static const RawDriver kDriver;
  return kDriver;
}

}  // namespace varve
