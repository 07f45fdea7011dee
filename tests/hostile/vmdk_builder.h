// Hand-made VMDK files: sound ones, of which a test then breaks one thing. Nothing here calls the product's writers.
#ifndef VARVE_TESTS_HOSTILE_VMDK_BUILDER_H
#define VARVE_TESTS_HOSTILE_VMDK_BUILDER_H

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "varve/storage.h"
#include "vmdk/structures.h"

namespace varve::test {

using Bytes = std::vector<std::byte>;

/// A monolithicSparse of one grain table: header, descriptor in sectors 1..20, redundant directory 21, table 22..25, directory 26,
/// table 27..30, grains from sector 128 (64 KiB each). Grain i of `grains` lies in slot i.
struct SparseImage {
  static constexpr uint64_t kGrain = 65536;
  static constexpr uint64_t kDescriptorAt = 512;
  static constexpr uint64_t kDescriptorBytes = 20 * 512;
  static constexpr uint64_t kRgdAt = 21 * 512;
  static constexpr uint64_t kRgtAt = 22 * 512;
  static constexpr uint64_t kGdAt = 26 * 512;
  static constexpr uint64_t kGtAt = 27 * 512;
  static constexpr uint64_t kFirstGrain = 128 * 512;

  explicit SparseImage(uint64_t grains = 32, uint64_t allocated = 3);

  vmdk::SparseHeaderRaw header;
  std::string descriptor;
  Bytes bytes;

  /// Entry `index` of both tables.
  void set_entry(uint64_t index, uint32_t value);
  void set_entry_of(uint64_t table_at, uint64_t index, uint32_t value);
  /// With the header and the descriptor put in.
  Bytes finish();
};

/// A streamOptimized of whole grains, layout as in the specification: header, descriptor, grains with markers, table, directory, footer,
/// EOS.
struct StreamImage {
  static constexpr uint64_t kGrain = 65536;

  explicit StreamImage(uint64_t grains = 4);

  Bytes bytes;
  uint64_t grain_at(size_t index) const { return grains_at_.at(index); }  ///< its marker
  uint64_t table_marker_at = 0;
  uint64_t directory_marker_at = 0;
  uint64_t footer_at() const { return bytes.size() - 1024; }

  vmdk::SparseHeaderRaw header_at(uint64_t offset) const;
  void put_header(uint64_t offset, const vmdk::SparseHeaderRaw& header);

 private:
  std::vector<uint64_t> grains_at_;
};

std::string descriptor_text(const std::string& create_type, const std::string& extents, const std::string& more = {});

void put(Bytes& bytes, uint64_t offset, ConstBytes data);
void put32(Bytes& bytes, uint64_t offset, uint32_t value);
void put64(Bytes& bytes, uint64_t offset, uint64_t value);
Bytes bytes_of_text(const std::string& text);
Bytes zlib(ConstBytes data);

}  // namespace varve::test

#endif
