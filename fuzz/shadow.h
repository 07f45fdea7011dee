// What a disk must hold, block by block, as far as it is known.
#ifndef VARVE_FUZZ_SHADOW_H
#define VARVE_FUZZ_SHADOW_H

#include <array>
#include <cstdint>
#include <map>
#include <string>

#include "varve/image.h"

namespace varve::fuzz {

/// A disk of any size: blocks of which nothing was said are zeros, and take no memory.
class Shadow {
 public:
  explicit Shadow(uint64_t size) : size_(size) {}
  /// What `image` holds; what can't be read is not known. For small disks.
  static Shadow of(Image& image);

  uint64_t size() const { return size_; }
  void put(uint64_t offset, ConstBytes data);
  void put_zeros(uint64_t offset, uint64_t length);
  /// Not known from now on.
  void forget(uint64_t offset, uint64_t length);
  /// What is added is zeros.
  void resize(uint64_t size);

  /// A finding unless `image` has the size and reads so, wherever something was said; a disk of up to 1 MiB everywhere. `when` says when.
  void compare(Image& image, const std::string& when) const;

 private:
  static constexpr uint64_t kBlock = 512;
  static constexpr uint64_t kWindow = 16 << 10;
  struct Block {
    bool known = true;
    std::array<std::byte, kBlock> bytes{};
  };
  template <typename Visit>
  void each_part(uint64_t offset, uint64_t length, Visit visit);
  void learn_block(Image& image, uint64_t offset);
  void compare_window(Image& image, uint64_t offset, const std::string& when) const;

  uint64_t size_;
  std::map<uint64_t, Block> blocks_;  ///< by offset / kBlock
};

}  // namespace varve::fuzz

#endif
