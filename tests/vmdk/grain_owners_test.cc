// Who owns which place of a file: the maps themselves, and checks of extents that are larger than the maps.
#include "vmdk/grain_owners.h"

#include <algorithm>
#include <set>
#include <string>

#include "io/memory_file_system.h"
#include "support/seeds.h"
#include "support/test.h"
#include "varve/ops.h"
#include "vmdk/images.h"
#include "vmdk/sector_ranges.h"

namespace varve::test {
namespace {

constexpr uint64_t kGrain = 65536;
constexpr uint64_t kGiB = uint64_t{1} << 30;

TEST_CASE("grain owners find the same conflicts in windows of any size as a map of all places does") {
  Rng rng("grain owners");
  SHOW_SEED(rng);
  for (const uint64_t max_bytes : {uint64_t{1}, uint64_t{5}, uint64_t{16}, uint64_t{1000}}) {
    constexpr uint64_t kPlaces = 1500;
    std::vector<std::pair<uint64_t, uint64_t>> claims;
    std::vector<bool> model(kPlaces);
    std::set<size_t> expected;
    for (size_t i = 0; i < 150; ++i) {
      const uint64_t first = rng.below(kPlaces - 20);
      const uint64_t count = rng.between(1, 20);
      const auto begin = model.begin() + static_cast<std::ptrdiff_t>(first);
      if (std::find(begin, begin + static_cast<std::ptrdiff_t>(count), true) != begin + static_cast<std::ptrdiff_t>(count))
        expected.insert(i);
      std::fill_n(begin, count, true);
      claims.emplace_back(first, count);
    }
    vmdk::GrainOwners owners(kPlaces, max_bytes);
    std::set<size_t> found;
    std::set<size_t> begun;
    uint64_t at = 0;
    do {
      for (size_t i = 0; i < claims.size(); ++i) {
        if (!owners.claim(claims[i].first, claims[i].second)) found.insert(i);
        if (owners.in_window(claims[i].first)) CHECK(begun.insert(i).second);
      }
      for (; (at = owners.next_free(at)) < owners.end(); ++at)
        if (at < kPlaces) CHECK(!model[at]);
    } while (owners.advance());
    CHECK(found == expected);
    CHECK(begun.size() == claims.size());
  }
}

TEST_CASE("RES-11: grains scattered over all of a file of any size are refused after a bounded number of windows") {
  vmdk::GrainOwners owners(uint64_t{1} << 50, 1024);
  uint64_t rounds = 0;
  const auto claim_all = [&] {
    do {
      ++rounds;
      for (uint64_t i = 0; i < 1000; ++i) owners.claim(i << 20, 1);
    } while (owners.advance());
  };
  CHECK_ERRC(claim_all(), Errc::limit);
  CHECK(rounds <= 256);
}

TEST_CASE("MEM-17: sector ranges agree with a vector of flags, and tell when two of them overlap") {
  Rng rng("sector ranges");
  SHOW_SEED(rng);
  for (int round = 0; round < 200; ++round) {
    constexpr uint64_t kSectors = 300;
    vmdk::SectorRanges ranges;
    std::vector<bool> model(kSectors);
    bool overlap = false;
    for (uint64_t i = rng.below(12); i > 0; --i) {
      const uint64_t first = rng.below(kSectors);
      const uint64_t end = std::min(kSectors, first + rng.below(9));
      for (uint64_t s = first; s < end; ++s) {
        overlap = overlap || model[s];
        model[s] = true;
      }
      ranges.add(first, end);
      if (rng.one_in(4)) ranges.settle();
    }
    ranges.settle();
    CHECK(ranges.overlap().has_value() == overlap);
    if (overlap) CHECK(model[*ranges.overlap()]);
    for (uint64_t s = 0; s < kSectors; ++s) {
      const auto next = std::find(model.begin() + static_cast<std::ptrdiff_t>(s), model.end(), true);
      REQUIRE(ranges.next_taken(s) == (next == model.end() ? UINT64_MAX : static_cast<uint64_t>(next - model.begin())));
      REQUIRE(ranges.takes(s, 1) == model[s]);
    }
  }
}

TEST_CASE("sector ranges that touch take the memory of one, and too many that do not are refused") {
  vmdk::SectorRanges side_by_side(1000);
  for (uint64_t i = 0; i < 100000; ++i) side_by_side.add(1 + i * 4, 1 + (i + 1) * 4);
  side_by_side.settle();
  CHECK(side_by_side.ranges().size() == 1);
  vmdk::SectorRanges from_behind(1000);
  for (uint64_t i = 40; i-- > 0;) from_behind.add(1 + i * 4, 1 + (i + 1) * 4);
  from_behind.settle();
  CHECK(from_behind.ranges().size() == 1);
  vmdk::SectorRanges scattered(1000);
  const auto scatter = [&] {
    for (uint64_t i = 0; i < 1000; ++i) scattered.add(i * 4, i * 4 + 2);
    scattered.settle();
  };
  CHECK_ERRC(scatter(), Errc::limit);
}

/// A monolithicSparse of 100 MiB whose grains lie where a test wants them: with the memory that a check gets here, 8 GiB of the file are
/// looked at at once.
struct FarGrains {
  MemoryFileSystem files;
  uint64_t gd = 0;
  uint64_t rgd = 0;

  FarGrains() {
    CreateOptions options;
    options.file_system = &files;
    Image::create("/d/a.vmdk", "vmdk", uint64_t{100} << 20, options).close();
    rgd = number(48, 8) * 512;
    gd = number(56, 8) * 512;
  }

  std::shared_ptr<MemoryStorage> file() const { return files.find("/d/a.vmdk"); }
  uint64_t number(uint64_t offset, unsigned size) const {
    Bytes bytes(size);
    file()->read_at(offset, bytes);
    return get(bytes, 0, size);
  }
  uint64_t entry(uint64_t directory, uint64_t grain) const { return number(directory + grain / 512 * 4, 4) * 512 + grain % 512 * 4; }
  void poke(uint64_t directory, uint64_t grain, uint64_t place) {
    Bytes bytes;
    put(bytes, 0, place / 512, 4);
    file()->write_at(entry(directory, grain), bytes);
  }
  void fill(uint64_t place) { file()->write_at(place, pattern(kGrain, static_cast<unsigned>(place >> 20))); }
  void place(uint64_t grain, uint64_t place) {
    poke(gd, grain, place);
    poke(rgd, grain, place);
    fill(place);
  }
  Image open(Access access) {
    OpenOptions options;
    options.format = "vmdk";
    options.file_system = &files;
    options.access = access;
    options.limits.metadata_bytes = 64 << 10;
    return Image::open("/d/a.vmdk", options);
  }
  CheckReport check(Repair repair = Repair::none) {
    Image image = open(repair == Repair::none ? Access::read_only : Access::read_write);
    CheckOptions how;
    how.repair = repair;
    return image.check(how);
  }
};

TEST_CASE("grains all over a file of 2 TiB are each counted once, in whatever memory") {
  FarGrains far;
  far.place(1, 20 * kGiB);
  far.place(600, 500 * kGiB);
  far.place(1599, 2047 * kGiB);
  far.place(2, 8 * kGiB - kGrain);
  far.place(3, 8 * kGiB);
  const CheckReport report = far.check();
  CHECK(report.clean());
  CHECK(report.allocated_bytes == 5 * kGrain);
}

TEST_CASE("MEM-19: two grains in one far place are found, once") {
  FarGrains far;
  far.place(1, 20 * kGiB);
  far.place(7, 500 * kGiB);
  far.place(600, 500 * kGiB);
  const CheckReport report = far.check();
  REQUIRE(report.findings.size() == 1);
  CHECK(report.findings[0].disk_offset == 600 * kGrain);
  CHECK(report.findings[0].file_offset == 500 * kGiB);
}

TEST_CASE("far from the front, too, a stale entry never takes a grain from its owner, and a lost one comes back") {
  FarGrains far;
  far.place(1, 20 * kGiB);
  far.place(600, 500 * kGiB);
  far.poke(far.rgd, 7, 500 * kGiB);
  far.poke(far.rgd, 8, 900 * kGiB);
  far.fill(900 * kGiB);
  CHECK(far.check().damages == 1);
  CHECK(far.check(Repair::safe).damages == 0);
  CHECK(far.number(far.entry(far.rgd, 7), 4) == 0);
  CHECK(far.number(far.entry(far.gd, 8), 4) == 900 * kGiB / 512);
  CHECK(far.check().clean());
  Bytes got(kGrain);
  far.open(Access::read_only).read_at(600 * kGrain, got);
  CHECK((got == pattern(kGrain, 500 * 1024)));
}

TEST_CASE("leaked grains are counted in every part of the file") {
  FarGrains far;
  far.place(1, 20 * kGiB);
  far.place(2, 300 * kGiB);
  for (const uint64_t gib : {10, 21, 250, 299, 301, 1500}) far.fill(gib * kGiB);
  const CheckReport report = far.check();
  CHECK(report.leaks == 1);
  CHECK(report.leaked_bytes == 6 * kGrain);
  REQUIRE(report.findings.size() == 1);
  CHECK(report.findings[0].file_offset == 10 * kGiB);
}

CheckReport check_stream(const Bytes& head, uint64_t file_size) {
  MemoryFileSystem files;
  files.add("/d/a.vmdk", head)->resize(file_size);
  OpenOptions options;
  options.format = "vmdk";
  options.file_system = &files;
  return Image::open("/d/a.vmdk", options).check();
}

TEST_CASE("a stream of more than 256 GiB is checked") {
  Stream s;
  s.sectors = 128 * 700;
  s.footer = false;
  for (const uint64_t number : {0, 1, 2, 699}) s.grains[number] = pattern(kGrain, static_cast<unsigned>(number));
  Bytes image = stream_image(s);
  const auto entry = [&](uint64_t grain) { return get(image, get(image, 56, 8) * 512 + grain / 512 * 4, 4) * 512 + grain % 512 * 4; };
  put(image, entry(699), 1900 * kGiB / 512, 4);
  CHECK(check_stream(image, 1901 * kGiB).clean());
  put(image, entry(300), 1900 * kGiB / 512, 4);
  const CheckReport report = check_stream(image, 1901 * kGiB);
  CHECK(report.damages == 1);
  REQUIRE(!report.findings.empty());
  CHECK(report.findings[0].disk_offset == 699 * kGrain);
}

/// Sums up the grains of a stream by their markers.
uint64_t stored_bytes(const Bytes& image) {
  uint64_t sum = 0;
  for (uint64_t at = get(image, 64, 8) * 512; at < image.size();) {
    const uint64_t size = get(image, at + 8, 4);
    const uint64_t sectors = size != 0 ? (12 + size + 511) / 512 : 1 + get(image, at, 8);
    if (size == 0 && get(image, at + 12, 4) == 0) break;
    if (size != 0) sum += sectors * 512;
    at += sectors * 512;
  }
  return sum;
}

TEST_CASE("what a stream stores is its grains: of an empty one nothing") {
  Stream s;
  s.sectors = 128 * 1200;
  for (const bool empty : {true, false}) {
    if (!empty)
      for (const uint64_t number : {0, 1, 2, 1199}) s.grains[number] = pattern(kGrain, static_cast<unsigned>(number));
    for (const bool footer : {true, false}) {
      s.footer = footer;
      const Bytes image = stream_image(s);
      CHECK(check_stream(image, image.size()).allocated_bytes == stored_bytes(image));
      CHECK((stored_bytes(image) == 0) == empty);
    }
    MemoryFileSystem files;
    const auto raw = files.add("/d/a.raw");
    raw->resize(1200 * kGrain);
    for (const auto& [number, data] : s.grains) raw->write_at(number * kGrain, data);
    ConvertOptions options;
    options.source_format = "raw";
    options.target_format = "vmdk";
    options.create.options = {{"subformat", "streamOptimized"}};
    options.open.file_system = options.create.file_system = &files;
    convert("/d/a.raw", "/d/a.vmdk", options);
    const Bytes image = files.find("/d/a.vmdk")->contents();
    CHECK(check_stream(image, image.size()).allocated_bytes == stored_bytes(image));
  }
}

}  // namespace
}  // namespace varve::test
