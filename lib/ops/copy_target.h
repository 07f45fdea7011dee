// Where a copy goes. Each way to fill a target is one class in a file of its own; copy.cc chooses among them once.
#ifndef VARVE_OPS_COPY_TARGET_H
#define VARVE_OPS_COPY_TARGET_H

#include <atomic>
#include <cstdint>

#include "ops/copy_item.h"
#include "ops/copy_source.h"
#include "varve/image.h"

namespace varve::ops {

/// What becomes of ranges that read as zeros.
enum class Zeros : uint8_t {
  skip,   ///< the target reads as zeros already
  write,  ///< the target holds something else
};

/// Zero runs in data that are shorter than this are written as data: a hole saves less than the call that it costs.
inline constexpr size_t kLeastZeroRun = 16 * 1024;
/// Unused data is looked for in blocks of this size.
inline constexpr size_t kZeroBlock = 4096;

/// The steps of the pipeline (exec/pipeline.h): work() on any thread, deliver() in the order of the disk, one at a time, finish() on any
/// thread.
class CopyTarget {
 public:
  virtual ~CopyTarget() = default;
  /// How the disk is to be cut; `end` is left to the caller.
  virtual Cut cut() const = 0;
  /// False: work() fetches the data by itself, and the item has no buffer.
  virtual bool wants_data() const { return true; }
  virtual void work(CopyItem& item) = 0;
  virtual void deliver(CopyItem& /*item*/) {}
  virtual void finish(CopyItem& /*item*/) {}
};

/// A fresh image of a format that allocates: workers encode, positions are given out in order.
class BulkTarget final : public CopyTarget {
 public:
  explicit BulkTarget(BulkWriter& writer) : writer_(writer) {}
  Cut cut() const override;
  void work(CopyItem& item) override;
  void deliver(CopyItem& item) override;
  void finish(CopyItem& item) override;

 private:
  BulkWriter& writer_;
};

/// Every byte has its own place already: workers write in any order.
class DirectTarget final : public CopyTarget {
 public:
  DirectTarget(Image& image, Zeros zeros) : image_(image), zeros_(zeros) {}
  Cut cut() const override;
  void work(CopyItem& item) override;

  Zeros zeros() const { return zeros_; }
  /// One run, whose bytes are `data`; returns how many of them were not zeros to be skipped.
  uint64_t write(const Run& run, ConstBytes data);

 private:
  Image& image_;
  const Zeros zeros_;
};

/// Both sides lie flat in a storage: the file system shares the blocks, or copies them on its server. From the first range that it
/// refuses on, ranges are read and written.
class KernelTarget final : public CopyTarget {
 public:
  KernelTarget(Image& source, Storage& from, Storage& to, const DirectTarget& rest) : source_(source), from_(from), to_(to), rest_(rest) {}
  Cut cut() const override;
  bool wants_data() const override { return false; }
  void work(CopyItem& item) override;

 private:
  uint64_t share(const Run& run);

  Image& source_;
  Storage& from_;
  Storage& to_;
  DirectTarget rest_;
  std::atomic<bool> refused_{false};
};

/// Any other image. Workers find out what is to be written, which then happens in order, so that the layout is always the same.
class OrderedTarget final : public CopyTarget {
 public:
  /// `compare`: the target has a parent, and ranges in which it reads as the source already are left alone.
  OrderedTarget(Image& image, Zeros zeros, bool compare);
  Cut cut() const override;
  void work(CopyItem& item) override;
  void deliver(CopyItem& item) override;

 private:
  void work_on_differences(CopyItem& item);
  void zero_what_shows(CopyItem& item, const Run& run);
  void write_what_differs(CopyItem& item, const Run& run);

  Image& image_;
  const Zeros zeros_;
  const bool compare_;
  const uint64_t unit_;
};

/// A pipe: every byte of the disk, one after the other.
class PipeTarget final : public CopyTarget {
 public:
  explicit PipeTarget(Image& image) : image_(image) {}
  Cut cut() const override;
  void work(CopyItem& item) override;
  void deliver(CopyItem& item) override;

 private:
  Image& image_;
};

/// Appends to `out` the runs of `run`, whose bytes are `data`: zero runs of at least `least` bytes and the data between them.
void split_zeros(const Run& run, ConstBytes data, size_t block, size_t least, std::vector<Run>& out);

}  // namespace varve::ops

#endif
