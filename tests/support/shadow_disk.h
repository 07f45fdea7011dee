// A model of a disk, byte for byte in memory, and a random workload that drives an image and its model side by side.
#ifndef VARVE_TESTS_SUPPORT_SHADOW_DISK_H
#define VARVE_TESTS_SUPPORT_SHADOW_DISK_H

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "support/pattern.h"
#include "support/seeds.h"
#include "varve/image.h"

namespace varve::test {

class ShadowDisk {
 public:
  explicit ShadowDisk(uint64_t size) : bytes_(static_cast<size_t>(size)) {}
  /// A child: what it has never been told is the parent's, or zeros beyond the parent's end.
  ShadowDisk(uint64_t size, const ShadowDisk& parent);

  uint64_t size() const { return bytes_.size(); }
  ConstBytes bytes() const { return bytes_; }
  ConstBytes bytes(uint64_t offset, uint64_t length) const {
    return ConstBytes(bytes_).subspan(static_cast<size_t>(offset), static_cast<size_t>(length));
  }

  void write(uint64_t offset, ConstBytes data);
  void zero(uint64_t offset, uint64_t length);
  /// New space reads as zeros, also over a longer parent.
  void resize(uint64_t size) { bytes_.resize(static_cast<size_t>(size)); }
  /// After a discard each byte is what it was or zero. Takes over what the image reads now; returns the offset of the first byte that is
  /// neither.
  std::optional<uint64_t> settle_discard(uint64_t offset, ConstBytes now);

  /// Empty if `image` has this very content; else what differs first.
  std::string difference(Image& image) const;

 private:
  std::vector<std::byte> bytes_;
};

/// How often each operation comes up.
struct OperationMix {
  unsigned read = 6;
  unsigned write = 6;
  unsigned zero = 2;
  unsigned discard = 1;
  unsigned flush = 1;
  uint64_t max_length = 96 * 1024;
  uint64_t align = 1;  ///< of offsets and lengths
};

/// Random operations on an image and its model. Offsets crowd around a few borders, where the bugs are.
class Workload {
 public:
  Workload(Image& image, ShadowDisk& disk, Rng& rng, OperationMix mix = {}) : image_(image), disk_(disk), rng_(rng), mix_(mix) {}

  /// One operation; returns what is wrong, or an empty string.
  std::string step();
  std::string run(uint64_t steps);
  /// The generation that the next write bears.
  uint64_t generation() const { return generation_; }
  void set_generation(uint64_t generation) { generation_ = generation; }

 private:
  struct Range {
    uint64_t offset;
    uint64_t length;
  };
  Range random_range();
  std::string read(Range range);
  void write(Range range);
  void zero(Range range);
  std::string discard(Range range);

  Image& image_;
  ShadowDisk& disk_;
  Rng& rng_;
  OperationMix mix_;
  uint64_t generation_ = 1;
};

}  // namespace varve::test

#endif
