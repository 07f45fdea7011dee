// Mutations that know a VMDK: they aim boundary values at header fields, tables, markers and descriptor numbers, and keep the bytes without
// which an input ends at the first check. Linked into the fuzzers of images.
#include <algorithm>
#include <array>
#include <random>

#include "packed_mutator.h"
#include "vmdk/structures.h"

namespace varve::fuzz {
namespace {

struct Field {
  size_t offset;
  size_t width;
};
constexpr std::array<Field, 12> kFields = {
    {{4, 4}, {8, 4}, {12, 8}, {20, 8}, {28, 8}, {36, 8}, {44, 4}, {48, 8}, {56, 8}, {64, 8}, {72, 1}, {77, 2}}};
constexpr std::array<uint64_t, 22> kValues = {0,
                                              1,
                                              2,
                                              3,
                                              8,
                                              127,
                                              128,
                                              511,
                                              512,
                                              513,
                                              2048,
                                              0xffff,
                                              0x1ffffff,
                                              0x7fffffff,
                                              0x80000000,
                                              0xffffffff,
                                              1ULL << 32,
                                              1ULL << 55,
                                              UINT64_MAX / 512,
                                              1ULL << 63,
                                              UINT64_MAX - 1,
                                              UINT64_MAX};
constexpr std::array<uint8_t, 4> kLineEnds = {'\n', ' ', '\r', '\n'};
constexpr std::array<uint32_t, 3> kMagics = {vmdk::kSparseMagic, vmdk::kCowdMagic, 0xcafebabe};

class Mutation {
 public:
  Mutation(uint8_t* data, size_t size, unsigned seed) : data_(data), size_(size), random_(seed) {
    // Behind a text there may be an extent.
    header_ = size > kExtentsTextBytes + 512 && data[0] == '#' ? kExtentsTextBytes : 0;
    for (size_t i = 0; i < 4 && header_ + i < size; ++i) magic_ |= uint32_t{data[header_ + i]} << (8 * i);
  }

  void field_of_a_header() {
    const size_t at = random_() % 4 == 0 && size_ >= 1024 ? size_ - 1024 : header_;  // the footer's place
    const Field& field = kFields[random_() % kFields.size()];
    if (magic_ == vmdk::kSparseMagic)
      put(at + field.offset, field.width, value());
    else
      put(at + random_() % 64 * 4, 4 + random_() % 2 * 4, value());
  }
  void entry_of_a_table() {
    const size_t sectors = size_ / 512;
    if (sectors == 0) return;
    const size_t near = random_() % std::min<size_t>(sectors, 160);
    put(near * 512 + random_() % 128 * 4, 4, random_() % 2 == 0 ? random_() % (sectors + 3) : value());
  }
  void marker() {
    const size_t sectors = size_ / 512;
    if (sectors > 0) put(random_() % sectors * 512 + std::array<size_t, 3>{0, 8, 12}[random_() % 3], 4, value());
  }
  void number_of_the_descriptor() {
    for (int tries = 0; tries < 200 && size_ > 0; ++tries) {
      uint8_t& c = data_[random_() % std::min<size_t>(size_, 4096)];
      if (c < '0' || c > '9') continue;
      c = static_cast<uint8_t>('0' + random_() % 10);
      return;
    }
  }
  /// What `before` had, if anything.
  void keep_what_opens(const Mutation& before) {
    if (std::find(kMagics.begin(), kMagics.end(), before.magic_) == kMagics.end() || random_() % 16 == 0) return;
    if (before.header_ != 0) put(0, 1, '#');
    put(before.header_, 4, before.magic_);
    if (before.magic_ == vmdk::kSparseMagic)
      for (size_t i = 0; i < kLineEnds.size(); ++i) put(before.header_ + 73 + i, 1, kLineEnds[i]);
  }
  uint32_t number() { return static_cast<uint32_t>(random_()); }

 private:
  uint64_t value() { return kValues[random_() % kValues.size()] + (random_() % 8 == 0 ? random_() % 9 - 4 : 0); }
  void put(size_t at, size_t width, uint64_t value) {
    for (size_t i = 0; i < width && at + i < size_; ++i) data_[at + i] = static_cast<uint8_t>(value >> (8 * i));
  }
  uint8_t* data_;
  size_t size_;
  std::minstd_rand random_;
  size_t header_ = 0;
  uint32_t magic_ = 0;
};

size_t mutate(uint8_t* data, size_t size, size_t max_size, unsigned seed) {
  size = begin_anew(data, size, max_size, seed);
  const Mutation before(data, size, seed);
  Mutation mutation = before;
  for (unsigned i = 0; i < 1 + seed % 3; ++i) {
    switch (mutation.number() % 6) {
      case 0: mutation.field_of_a_header(); break;
      case 1: mutation.entry_of_a_table(); break;
      case 2: mutation.marker(); break;
      case 3: mutation.number_of_the_descriptor(); break;
      case 4: size = LLVMFuzzerMutate(data, size, max_size); break;
      default:  // the script at the end
        if (size > 64) size = size - 64 + LLVMFuzzerMutate(data + size - 64, 64, std::min<size_t>(max_size - size + 64, 96));
    }
    mutation = Mutation(data, size, mutation.number());
  }
  mutation.keep_what_opens(before);
  return size;
}

}  // namespace
}  // namespace varve::fuzz

extern "C" size_t LLVMFuzzerCustomMutator(uint8_t* data, size_t size, size_t max_size, unsigned seed) {
  return varve::fuzz::mutate(data, size, max_size, seed);
}
