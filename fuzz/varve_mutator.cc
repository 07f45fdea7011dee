// Mutations that know the native format: boundary values in headers, superblocks, objects, pointers, the catalog and the journal; tags are
// right again afterwards, from the leaves up, mostly. Linked into the fuzzers of such images.
#include <algorithm>
#include <array>
#include <cstring>
#include <random>

#include "base/checked_math.h"
#include "native/structures.h"
#include "native/tag.h"
#include "packed_mutator.h"

namespace varve::fuzz {
namespace {

using namespace native;

constexpr std::array<uint64_t, 18> kValues = {0,          1,          2,          3,          7,          8,
                                              511,        512,        4095,       65536,      0xffffffff, 1ULL << 31,
                                              1ULL << 32, 1ULL << 48, 1ULL << 51, 1ULL << 59, 1ULL << 63, UINT64_MAX};
constexpr int kMaxRetags = 4000;

class Mutation {
 public:
  Mutation(MemoryStorage& file, unsigned seed) : file_(file), random_(seed) {
    unit_ = get(84, 4) == 4096 ? 4096 : 512;
    const uint64_t even = get(4096 + 24, 8);
    const uint64_t odd = get(69632 + 24, 8);
    superblock_ = superblock_at(odd > even ? 1 : 0);
    journal_ = get(superblock_ + 240, 8);
  }

  void once() {
    switch (below(8)) {
      case 0: return put(kRegions[below(2)] + 8 * below(14), 1U << below(4), value());
      case 1: return put(superblock_at(below(2)) + 8 * below(40), 1U << below(4), value());
      case 2: return pointer(superblock_ + (below(2) == 0 ? 80 : 144) + 32);
      case 3: return pointer(node_entry());
      case 4: return put(catalog() + 4 * below(60), 1U << below(4), value());
      case 5: return put(journal_ + below(24) * kBlock + 4 * below(40), 1U << below(4), value());
      case 6: return mutate_sector();
      default: return copy_superblock();
    }
  }

  /// Of everything that the superblocks lead to, and of the journal's records.
  void repair() {
    for (uint64_t parity = 0; parity < 2; ++parity) {
      const uint64_t at = superblock_at(parity);
      for (const uint64_t object : {at + 80, at + 144}) retag_pointer(object + 32, 0);
      retag_catalog(at + 144 + 32);
      tag(at, 4080, at + 4080);
    }
    for (const uint64_t region : kRegions) tag(region, 4080, region + 4080);
    retag_journal();
  }

  uint64_t below(uint64_t bound) { return random_() % bound; }

 private:
  static uint64_t superblock_at(uint64_t parity) { return kRegions[parity] + kSuperblockInRegion; }

  uint64_t get(uint64_t at, unsigned width) {
    std::array<std::byte, 8> bytes{};
    if (range_fits(at, width, file_.size())) file_.read_at(at, MutableBytes(bytes).first(width));
    return load<le64>(bytes);
  }
  void put(uint64_t at, unsigned width, uint64_t value) {
    const le64 bytes(value);
    if (range_fits(at, width, file_.size())) file_.write_at(at, ConstBytes(bytes_of(bytes)).first(width));
  }
  uint64_t value() { return kValues[below(kValues.size())] + (below(6) == 0 ? below(9) - 4 : 0); }

  /// Address, length, birth, kind, level or codec.
  void pointer(uint64_t at) {
    switch (below(5)) {
      case 0: return put(at, 6, below(file_.size() / unit_ + 4));
      case 1: return put(at + 6, 2, below(40));
      case 2: return put(at + 8, 6, below(12));
      case 3: return put(at + 14, 2, below(8) | below(8) << 3 | below(4) << 7 | (below(16) == 0 ? 0x800 : 0));
      default: return put(at + below(16), 1, value());
    }
  }
  uint64_t address(uint64_t pointer) { return get(pointer, 6) * unit_; }
  unsigned kind(uint64_t pointer) { return static_cast<unsigned>(get(pointer + 14, 1) & 7); }
  /// An entry of a node on the way down from the head or the catalog.
  uint64_t node_entry() {
    uint64_t at = superblock_ + (below(3) == 0 ? 144 : 80) + 32;
    for (uint64_t depth = below(3); kind(at) == 3; --depth) {
      at = address(at) + 32 * below(60);
      if (depth == 0) break;
    }
    return at;
  }
  uint64_t catalog() {
    uint64_t at = superblock_ + 144 + 32;
    while (kind(at) == 3 && ++retags_ < kMaxRetags) at = address(at);
    return address(at);
  }

  void tag(uint64_t at, uint64_t length, uint64_t place) {
    if (!range_fits(at, length, file_.size()) || !range_fits(place, 16, file_.size()) || length > 4 * kMaxCluster) return;
    std::vector<std::byte> bytes(length);
    file_.read_at(at, bytes);
    const TagBytes right = tag_of(bytes);
    file_.write_at(place, std::as_bytes(std::span(right)));
  }
  void retag_pointer(uint64_t pointer, unsigned depth) {
    if (++retags_ > kMaxRetags || depth > 7) return;
    const unsigned what = kind(pointer);
    if (what == 3)
      for (uint64_t i = 0; i < kFanout; ++i) retag_pointer(address(pointer) + 32 * i, depth + 1);
    if (what == 2 || what == 3) tag(address(pointer), get(pointer + 6, 2) * unit_, pointer + 16);
  }
  /// The snapshots' objects stand in the catalog's bytes, which are stored as they are or not reached at all.
  void retag_catalog(uint64_t root) {
    const uint64_t at = catalog();
    for (uint64_t record = 16, i = 0; i < get(at + 4, 4) && i < 16; ++i) {
      if (get(at + record + 6, 2) == 1) retag_pointer(at + record + 16 + 32, 0);
      record += align_up(16 + 64 * get(at + record + 6, 2) + get(at + record + 8, 4) % 4096, 8);
    }
    retag_pointer(root, 0);
  }
  void retag_journal() {
    const uint64_t length = get(superblock_ + 248, 8);
    for (uint64_t at = journal_; at < journal_ + std::min<uint64_t>(length, 256 * kBlock); at += kBlock) {
      const uint64_t record = get(at + 4, 4);
      if (get(at, 4) != 0x31524a56 || record > 64 * kBlock) continue;
      put(at + 64, 8, 0);
      put(at + 72, 8, 0);
      tag(at, record, at + 64);
    }
  }

  void mutate_sector() {
    std::array<std::byte, 512> bytes{};
    const uint64_t sectors = file_.size() / bytes.size();
    if (sectors == 0) return;
    uint64_t at = 0;
    for (int tries = 0; tries < 40; ++tries) {
      at = below(sectors) * bytes.size();
      if (!file_.extent_at(at).hole) break;
    }
    file_.read_at(at, bytes);
    std::array<uint8_t, 512> raw{};
    std::memcpy(raw.data(), bytes.data(), raw.size());
    LLVMFuzzerMutate(raw.data(), raw.size(), raw.size());
    file_.write_at(at, std::as_bytes(std::span(raw)));
  }
  void copy_superblock() {
    std::vector<std::byte> bytes(kBlock);
    const uint64_t from = below(2);
    if (!range_fits(superblock_at(1), kBlock, file_.size())) return;
    file_.read_at(superblock_at(from), bytes);
    file_.write_at(superblock_at(1 - from), bytes);
    if (below(2) == 0) put(superblock_at(1 - from) + 24, 8, get(superblock_at(from) + 24, 8) + below(5) - 2);
  }

  MemoryStorage& file_;
  std::minstd_rand random_;
  uint64_t unit_ = 4096;
  uint64_t superblock_ = 0;
  uint64_t journal_ = 0;
  int retags_ = 0;
};

}  // namespace
}  // namespace varve::fuzz

extern "C" size_t LLVMFuzzerCustomMutator(uint8_t* data, size_t size, size_t max_size, unsigned seed) {
  return varve::fuzz::mutate_packed<varve::fuzz::Mutation>(data, size, max_size, seed);
}
