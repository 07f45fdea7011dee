// Images built byte by byte from the specification, without the product's code: what it has to read.
#ifndef VARVE_TESTS_VMDK_IMAGES_H
#define VARVE_TESTS_VMDK_IMAGES_H

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "varve/image.h"
#include "varve/storage.h"

namespace varve::test {

using Bytes = std::vector<std::byte>;

void put(Bytes& bytes, uint64_t offset, uint64_t value, unsigned size);
void put_text(Bytes& bytes, uint64_t offset, const std::string& text);
uint64_t get(const Bytes& bytes, uint64_t offset, unsigned size);
ConstBytes bytes_of_text(const std::string& text);

/// `size` bytes that depend on the seed; never a zero byte.
Bytes pattern(uint64_t size, unsigned seed);

/// A COWD extent of `sectors` with grains of one sector; `grains` by number.
Bytes cowd_image(uint32_t sectors, const std::map<uint64_t, Bytes>& grains);

/// A seSparse extent. `grains` by number, 4 KiB each; `zeros` and `unmapped` get the entry of that kind. The grains' numbers in the
/// file start at `first_number`.
struct SeSparse {
  uint64_t sectors = 0;
  std::map<uint64_t, Bytes> grains;
  std::vector<uint64_t> zeros;
  std::vector<uint64_t> unmapped;
  uint64_t first_number = 0;
  bool dirty = false;
};
Bytes sesparse_image(const SeSparse& what);

/// A streamOptimized image in the specification's shape.
struct Stream {
  uint64_t sectors = 0;
  std::map<uint64_t, Bytes> grains;  ///< by number; each of 64 KiB, the last may be shorter
  bool footer = true;                ///< false: the directory lies in front, as qemu-img and open-vmdk write it
  bool tables_first = false;         ///< without a footer: the tables lie before their directory, as nobody writes it
  bool end_marker = true;
  bool progress_marker = false;  ///< one of type 4 before the first grain
  std::vector<uint64_t> zeros;   ///< grains with entry 1 (and flag bit 2)
  std::string extent_line;       ///< "": RW
};
Bytes stream_image(const Stream& what);

/// All of a disk.
Bytes read_all(Image& image);

}  // namespace varve::test

#endif
