#include "vmdk/flat_extent.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "base/checked_math.h"
#include "base/zero.h"
#include "varve/error.h"

namespace varve::vmdk {
namespace {

/// From `offset` to the end of the file.
bool ends_in_zeros(Storage& file, uint64_t offset) {
  std::vector<std::byte> buffer;
  for (const uint64_t end = file.size(); offset < end;) {
    const StorageExtent run = file.extent_at(offset);
    uint64_t length = run.length;
    if (!run.hole) {
      constexpr uint64_t kPiece = uint64_t{1} << 20;
      length = std::min(length, kPiece);
      buffer.resize(length);
      file.read_at(offset, buffer);
      if (!is_zero(buffer)) return false;
    }
    offset += length;
  }
  return true;
}

class FlatExtent final : public ExtentDriver {
 public:
  FlatExtent(std::shared_ptr<Storage> file, uint64_t file_offset, uint64_t size, bool writable)
      : file_(std::move(file)), file_offset_(file_offset), size_(size), writable_(writable) {}

  uint64_t size() const override { return size_; }
  bool writable() const override { return writable_; }
  void read_at(uint64_t offset, MutableBytes out) override { file_->read_at(file_offset_ + offset, out); }
  void write_at(uint64_t offset, ConstBytes data) override { file_->write_at(file_offset_ + offset, data); }
  bool zero(uint64_t offset, uint64_t length) override { return file_->punch_hole(file_offset_ + offset, length); }
  void discard(uint64_t offset, uint64_t length) override { file_->punch_hole(file_offset_ + offset, length); }
  void flush() override {
    if (writable_) file_->flush();
  }

  Extent extent_at(uint64_t offset, uint64_t limit) override {
    const StorageExtent run = file_->extent_at(file_offset_ + offset);
    Extent out;
    out.offset = offset;
    out.length = std::min({limit, size_ - offset, run.length});
    // A hole of a flat file is as much a part of the disk as its data: it hides a parent.
    out.kind = run.hole ? ExtentKind::zero : ExtentKind::data;
    if (!run.hole) out.host_offset = file_offset_ + offset;
    return out;
  }

  void check_resize(uint64_t /*size*/) const override {
    // A growth that did not get as far as the descriptor leaves zeros.
    if (!ends_in_zeros(*file_, file_offset_ + size_))
      throw Error(Errc::unsupported, "this flat extent does not end where its file ends, so it cannot be resized").in(file_->name());
  }

  void resize(uint64_t size) override {
    check_resize(size);
    file_->resize(checked_add(file_offset_, size));
    size_ = size;
  }

  Storage* flat_storage() override { return file_offset_ == 0 ? file_.get() : nullptr; }
  uint64_t allocated_bytes() const override { return file_->allocated_bytes().value_or(size_); }

 private:
  const std::shared_ptr<Storage> file_;
  const uint64_t file_offset_;
  uint64_t size_;  // changes only in resize(), which overlaps with no other call
  const bool writable_;
};

class ZeroExtent final : public ExtentDriver {
 public:
  explicit ZeroExtent(uint64_t size) : size_(size) {}

  uint64_t size() const override { return size_; }
  bool writable() const override { return true; }
  void read_at(uint64_t /*offset*/, MutableBytes out) override { std::fill(out.begin(), out.end(), std::byte{0}); }
  void write_at(uint64_t /*offset*/, ConstBytes data) override {
    if (!is_zero(data))
      throw Error(Errc::unsupported, "this part of the disk is an extent of type ZERO, which has no place for data")
          .hint("convert the image to another subformat");
  }
  bool zero(uint64_t /*offset*/, uint64_t /*length*/) override { return true; }
  Extent extent_at(uint64_t offset, uint64_t limit) override {
    Extent out;
    out.offset = offset;
    out.length = std::min(limit, size_ - offset);
    out.kind = ExtentKind::zero;
    return out;
  }

 private:
  const uint64_t size_;
};

class NoAccessExtent final : public ExtentDriver {
 public:
  NoAccessExtent(uint64_t size, std::string name) : size_(size), name_(std::move(name)) {}

  uint64_t size() const override { return size_; }
  void read_at(uint64_t /*offset*/, MutableBytes /*out*/) override {
    throw Error(Errc::permission, "the extent \"" + name_ + "\" is marked NOACCESS in the descriptor")
        .hint("if its data may be read, change the line to RDONLY");
  }
  Extent extent_at(uint64_t offset, uint64_t limit) override {
    Extent out;
    out.offset = offset;
    out.length = std::min(limit, size_ - offset);
    out.kind = ExtentKind::data;
    return out;
  }

 private:
  const uint64_t size_;
  const std::string name_;
};

}  // namespace

std::unique_ptr<ExtentDriver> open_flat_extent(std::shared_ptr<Storage> file, uint64_t file_offset, uint64_t size, bool writable) {
  if (!range_fits(file_offset, size, file->size()))
    throw Error(Errc::corrupt, "the file of a flat extent has " + std::to_string(file->size()) + " bytes, the descriptor says that " +
                                   std::to_string(size) + " follow byte " + std::to_string(file_offset))
        .in(file->name())
        .hint("the file was cut short: restore it from a copy");
  return std::make_unique<FlatExtent>(std::move(file), file_offset, size, writable);
}

std::unique_ptr<ExtentDriver> make_zero_extent(uint64_t size) { return std::make_unique<ZeroExtent>(size); }

std::unique_ptr<ExtentDriver> make_no_access_extent(uint64_t size, std::string name) {
  return std::make_unique<NoAccessExtent>(size, std::move(name));
}

}  // namespace varve::vmdk
