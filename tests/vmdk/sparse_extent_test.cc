// Hosted sparse extents, alone: against a shadow of what was written, over a parent, and when they are damaged.
#include "vmdk/sparse_extent.h"

#include <algorithm>
#include <map>
#include <thread>

#include "base/random.h"
#include "io/memory_storage.h"
#include "support/test.h"

namespace varve::vmdk {
namespace {

constexpr uint64_t kGrain = 8 * kSectorSize;

std::shared_ptr<MemoryStorage> make_file(uint64_t size, bool zeroed_grains = false, uint64_t grain_sectors = 8) {
  auto file = std::make_shared<MemoryStorage>();
  SparseExtent extent(file, lay_out_sparse(size, grain_sectors, 20, zeroed_grains), {.writable = true});
  extent.close();
  return file;
}

std::unique_ptr<SparseExtent> open_file(const std::shared_ptr<MemoryStorage>& file, bool over_parent = false) {
  std::vector<std::byte> sector(kSectorSize);
  file->read_at(0, sector);
  return std::make_unique<SparseExtent>(file, parse_sparse_header(sector, file->size(), Limits{}),
                                        SparseMode{.writable = true, .over_parent = over_parent});
}

std::vector<std::byte> read_all(ExtentDriver& extent) {
  std::vector<std::byte> bytes(extent.size());
  extent.read_at(0, bytes);
  return bytes;
}

std::byte parent_byte(uint64_t offset) { return static_cast<std::byte>(offset / 512 * 7 + 1); }

void give_parent(SparseExtent& extent) {
  extent.set_below([](uint64_t offset, MutableBytes out) {
    for (size_t i = 0; i < out.size(); ++i) out[i] = parent_byte(offset + i);
  });
}

/// Random operations on an extent and on a plain buffer.
class Shadow {
 public:
  Shadow(uint64_t size, uint64_t seed) : bytes_(size), random_(seed) {}

  void step(SparseExtent& extent) {
    const uint64_t offset = random_.below(bytes_.size());
    const uint64_t length = 1 + random_.below(std::min<uint64_t>(bytes_.size() - offset, 5 * kGrain));
    switch (random_.below(8)) {
      case 0: zero(extent, offset, length); break;
      case 1: extent.flush(); break;
      default: write(extent, offset, length);
    }
  }
  std::vector<std::byte>& bytes() { return bytes_; }

 private:
  void write(SparseExtent& extent, uint64_t offset, uint64_t length) {
    std::vector<std::byte> data(length);
    random_.fill(data);
    extent.write_at(offset, data);
    std::copy(data.begin(), data.end(), bytes_.begin() + static_cast<std::ptrdiff_t>(offset));
  }
  void zero(SparseExtent& extent, uint64_t offset, uint64_t length) {
    const uint64_t begin = offset / kGrain * kGrain;
    const uint64_t end = std::min<uint64_t>(bytes_.size(), (offset + length + kGrain - 1) / kGrain * kGrain);
    if (!extent.zero(begin, end - begin)) extent.write_at(begin, std::vector<std::byte>(end - begin));
    std::fill(bytes_.begin() + static_cast<std::ptrdiff_t>(begin), bytes_.begin() + static_cast<std::ptrdiff_t>(end), std::byte{0});
  }

  std::vector<std::byte> bytes_;
  SeededRandom random_;
};

void put32(MemoryStorage& file, uint64_t offset, uint32_t value) {
  const le32 raw = value;
  file.write_at(offset, bytes_of(raw));
}

uint32_t get32(MemoryStorage& file, uint64_t offset) {
  le32 raw;
  file.read_at(offset, std::as_writable_bytes(std::span(&raw, 1)));
  return raw;
}

TEST_CASE("a new sparse extent reads as zeros and is one absent run") {
  const auto file = make_file(3 * 1024 * 1024 + 1536);
  const auto extent = open_file(file);
  CHECK(extent->size() == 3 * 1024 * 1024 + 1536);
  const Extent run = extent->extent_at(0, extent->size());
  CHECK(run.length == extent->size());
  CHECK(run.kind == ExtentKind::absent);
  CHECK(std::ranges::all_of(read_all(*extent), [](std::byte b) { return b == std::byte{0}; }));
}

TEST_CASE("random writes, zeros and reopens equal a plain buffer") {
  for (const bool zeroed : {false, true}) {
    CAPTURE(zeroed);
    const uint64_t size = 5 * 1024 * 1024 + 1536;  // more than one grain table, a short last grain
    const auto file = make_file(size, zeroed);
    Shadow shadow(size, zeroed ? 1 : 2);
    for (int round = 0; round < 5; ++round) {
      const auto extent = open_file(file);
      CHECK(read_all(*extent) == shadow.bytes());
      for (int i = 0; i < 200; ++i) shadow.step(*extent);
      CHECK(read_all(*extent) == shadow.bytes());
      extent->close();
    }
    CHECK(read_all(*open_file(file)) == shadow.bytes());
  }
}

TEST_CASE("WRT-8: over a parent, writes, zeros and discards never uncover it") {
  for (const bool zeroed : {false, true}) {
    CAPTURE(zeroed);
    const uint64_t size = 3 * 1024 * 1024 + 512;
    const auto file = make_file(size, zeroed);
    Shadow shadow(size, 3);
    for (uint64_t i = 0; i < size; ++i) shadow.bytes()[i] = parent_byte(i);
    for (int round = 0; round < 3; ++round) {
      const auto extent = open_file(file, true);
      give_parent(*extent);
      for (int i = 0; i < 150; ++i) shadow.step(*extent);
      CHECK(read_all(*extent) == shadow.bytes());
      extent->close();
    }
    const auto extent = open_file(file, true);
    give_parent(*extent);
    CHECK(read_all(*extent) == shadow.bytes());
    extent->discard(0, size);
    const std::vector<std::byte> after = read_all(*extent);
    for (uint64_t i = 0; i < size; i += 256) CHECK((after[i] == shadow.bytes()[i] || after[i] == std::byte{0}));
  }
}

TEST_CASE("a write over a zeroed grain does not copy from the parent") {
  const auto file = make_file(1024 * 1024, true);
  const auto extent = open_file(file, true);
  give_parent(*extent);
  CHECK(extent->zero(0, kGrain));
  extent->write_at(100, std::vector<std::byte>(10, std::byte{0xaa}));
  std::vector<std::byte> grain(kGrain);
  extent->read_at(0, grain);
  CHECK(grain[99] == std::byte{0});
  CHECK(grain[100] == std::byte{0xaa});
  CHECK(grain[110] == std::byte{0});
}

TEST_CASE("MEM-18 MEM-20: entries into metadata, behind the file's end or 1 without its flag are corrupt, never data") {
  const auto file = make_file(1024 * 1024);
  open_file(file)->write_at(0, std::vector<std::byte>(4 * kGrain, std::byte{1}));
  {
    const auto extent = open_file(file);
    extent->write_at(0, std::vector<std::byte>(4 * kGrain, std::byte{1}));
    extent->close();
  }
  const SparseHeader header = open_file(file)->header();
  const uint64_t table = uint64_t{get32(*file, header.gd_sector * kSectorSize)} * kSectorSize;
  const uint64_t redundant = uint64_t{get32(*file, header.rgd_sector * kSectorSize)} * kSectorSize;
  for (const uint32_t entry : {uint32_t{1}, uint32_t{2}, uint32_t{0xfffffff0}, static_cast<uint32_t>(file->size() / kSectorSize)}) {
    CAPTURE(entry);
    put32(*file, table, entry);
    put32(*file, redundant, entry);
    const auto extent = open_file(file);
    std::vector<std::byte> out(512);
    CHECK_ERRC(extent->read_at(0, out), Errc::corrupt);
    CHECK_ERRC(extent->write_at(0, out), Errc::corrupt);
    extent->read_at(kGrain, out);
    CHECK(out[0] == std::byte{1});
  }
}

TEST_CASE("a bad entry or table of the first copy is read from the redundant one") {
  const auto file = make_file(1024 * 1024);
  {
    const auto extent = open_file(file);
    extent->write_at(0, std::vector<std::byte>(4 * kGrain, std::byte{7}));
    extent->close();
  }
  const SparseHeader header = open_file(file)->header();
  const uint64_t directory = header.gd_sector * kSectorSize;
  const uint32_t table = get32(*file, directory);
  std::vector<std::byte> out(4 * kGrain);
  SUBCASE("an entry") { put32(*file, uint64_t{table} * kSectorSize, 0xfffffff0); }
  SUBCASE("the place of the table") { put32(*file, directory, 0xfffffff0); }
  SUBCASE("the directory is gone") { put32(*file, directory, 0); }
  open_file(file)->read_at(0, out);
  CHECK(std::ranges::all_of(out, [](std::byte b) { return b == std::byte{7}; }));
}

TEST_CASE("MEM-19: nothing is written to an extent whose grains share a place, though it can be read") {
  const auto file = make_file(1024 * 1024);
  {
    const auto extent = open_file(file);
    extent->write_at(0, std::vector<std::byte>(4 * kGrain, std::byte{7}));
    extent->close();
  }
  const SparseHeader header = open_file(file)->header();
  const uint64_t table = uint64_t{get32(*file, header.gd_sector * kSectorSize)} * kSectorSize;
  put32(*file, table + 4, get32(*file, table));
  const std::vector<std::byte> before = file->contents();
  const auto extent = open_file(file);
  std::vector<std::byte> out(512);
  extent->read_at(kGrain, out);
  CHECK_ERRC(extent->write_at(3 * kGrain, out), Errc::corrupt);
  CHECK_ERRC(extent->discard(0, kGrain), Errc::corrupt);
  CHECK(file->contents() == before);
}

TEST_CASE("a directory entry of 0 gets a table of its own, and the header stays whole") {
  const auto file = make_file(8 * 1024 * 1024);
  const SparseHeader header = open_file(file)->header();
  put32(*file, header.gd_sector * kSectorSize + 4, 0);
  put32(*file, header.rgd_sector * kSectorSize + 4, 0);
  const uint64_t offset = 512 * kGrain + 5000;  // in the second table
  {
    const auto extent = open_file(file);
    extent->write_at(offset, std::vector<std::byte>(100, std::byte{9}));
    extent->close();
  }
  CHECK(get32(*file, header.gd_sector * kSectorSize + 4) >= header.overhead_sectors);
  CHECK(get32(*file, header.rgd_sector * kSectorSize + 4) >= header.overhead_sectors);
  const auto extent = open_file(file);
  std::vector<std::byte> out(102);
  extent->read_at(offset - 1, out);
  CHECK(out[0] == std::byte{0});
  CHECK(out[1] == std::byte{9});
  CHECK(out[101] == std::byte{0});
}

TEST_CASE("growing keeps the contents and adds zeros, within a table and beyond the directory") {
  for (const bool over_parent : {false, true}) {
    CAPTURE(over_parent);
    const uint64_t size = 3 * 1024 * 1024 + 512;
    const auto file = make_file(size);
    Shadow shadow(size, 5);
    if (over_parent) {
      for (uint64_t i = 0; i < size; ++i) shadow.bytes()[i] = parent_byte(i);
    }
    for (const uint64_t larger : {size + 4 * kGrain, uint64_t{40} * 1024 * 1024}) {
      const auto extent = open_file(file, over_parent);
      if (over_parent) give_parent(*extent);
      for (int i = 0; i < 50; ++i) shadow.step(*extent);
      extent->resize(larger);
      shadow.bytes().resize(larger);
      CHECK(read_all(*extent) == shadow.bytes());
      for (int i = 0; i < 50; ++i) shadow.step(*extent);
      extent->close();
    }
    const auto extent = open_file(file, over_parent);
    if (over_parent) give_parent(*extent);
    CHECK(read_all(*extent) == shadow.bytes());
    CHECK_ERRC(extent->resize(512), Errc::unsupported);
  }
}

TEST_CASE("an empty disk of 1.9 TiB costs little") {
  const uint64_t size = uint64_t{1900} << 30;
  const auto file = make_file(size, false, 128);
  const auto extent = open_file(file);
  uint64_t runs = 0;
  for (uint64_t offset = 0; offset < size; ++runs) offset += extent->extent_at(offset, size - offset).length;
  CHECK(runs < 200);
  extent->write_at(size - 512, std::vector<std::byte>(512, std::byte{1}));
  extent->close();
  CHECK(file->allocated() < 4 << 20);
  CHECK_ERRC(lay_out_sparse(uint64_t{2} << 40, 128, 20, false), Errc::limit);
}

TEST_CASE("threads: concurrent writers to the same new grains lose nothing") {
  const uint64_t size = 4 * 1024 * 1024;
  const auto file = make_file(size);
  const auto extent = open_file(file);
  constexpr unsigned kThreads = 4;
  std::vector<std::jthread> threads;
  for (unsigned t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      // Each thread has its own sectors of every grain.
      for (uint64_t sector = t; sector < size / 512; sector += kThreads) {
        extent->write_at(sector * 512, std::vector<std::byte>(512, static_cast<std::byte>(sector % 251 + 1)));
        if (sector % 1000 == t) extent->flush();
        std::vector<std::byte> back(512);
        extent->read_at(sector * 512, back);
        if (back[0] != static_cast<std::byte>(sector % 251 + 1)) std::terminate();
      }
    });
  }
  threads.clear();
  extent->close();
  const std::vector<std::byte> all = read_all(*open_file(file));
  for (uint64_t sector = 0; sector < size / 512; ++sector) CHECK(all[sector * 512 + 511] == static_cast<std::byte>(sector % 251 + 1));
}

}  // namespace
}  // namespace varve::vmdk
