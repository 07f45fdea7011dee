// One extent of a VMDK: a contiguous run of the disk that has its own file and its own way to store it.
#ifndef VARVE_FORMATS_VMDK_EXTENT_H
#define VARVE_FORMATS_VMDK_EXTENT_H

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>

#include "image/driver.h"
#include "varve/check.h"
#include "varve/storage.h"

namespace varve::vmdk {

/// Reads what the extent does not hold: from the parent chain, or zeros. The offset counts from the extent's start.
using ReadBelow = std::function<void(uint64_t offset, MutableBytes out)>;

/// Offsets count from the extent's start, in bytes. The calls that move data may come from many threads at once; the image above
/// (vmdk_image.h) splits requests at the extents' borders, so what arrives here lies within size().
class ExtentDriver {
 public:
  virtual ~ExtentDriver() = default;

  virtual uint64_t size() const = 0;
  virtual uint64_t granularity() const { return 1; }
  virtual bool writable() const { return false; }

  /// Called before anything is written, again and again: throws if the extent must not be written to, and changes nothing.
  virtual void prepare_write();  ///< unsupported by default unless writable()
  virtual void read_at(uint64_t offset, MutableBytes out) = 0;
  virtual void write_at(uint64_t offset, ConstBytes data);  ///< unsupported by default
  virtual bool zero(uint64_t /*offset*/, uint64_t /*length*/) { return false; }
  virtual void discard(uint64_t /*offset*/, uint64_t /*length*/) {}
  /// As FormatImage::extent_at. host_file is left 0: the image sets it.
  virtual Extent extent_at(uint64_t offset, uint64_t limit) = 0;
  /// The crash-safe order of the class comment of each extent that writes.
  virtual void flush() {}
  virtual void close() {}
  /// Appends what it finds; `disk_offset` findings are relative to the extent's start, the image shifts them.
  virtual void check(const CheckOptions& /*options*/, CheckReport& /*report*/) {}
  /// Throws, and changes nothing, if the extent can't be given that size. Unsupported by default.
  virtual void check_resize(uint64_t size) const;
  virtual void resize(uint64_t size) { check_resize(size); }

  virtual BulkWriter* bulk_writer() { return nullptr; }
  virtual Storage* flat_storage() { return nullptr; }  ///< with the disk's byte 0 at its byte 0
  virtual uint64_t allocated_bytes() const { return 0; }

  void set_below(ReadBelow below) { below_ = std::move(below); }

 protected:
  bool has_below() const { return below_ != nullptr; }
  void read_below(uint64_t offset, MutableBytes out);

 private:
  ReadBelow below_;
};

}  // namespace varve::vmdk

#endif
