// What an operation did is there for whoever opens the image next: closed and opened again after each one.
#include <algorithm>
#include <vector>

#include "conformance/conformance.h"
#include "support/pattern.h"

namespace varve::test {
namespace {

/// An image that nobody holds for longer than one operation, and its model.
class Reopened {
 public:
  explicit Reopened(const ImageConfig& config) : config_(config), disk_(config) {}

  uint64_t size() { return disk_.model().size(); }
  ShadowDisk& model() { return disk_.model(); }

  /// Cut at the disk's end, as all that follow.
  void write(uint64_t offset, uint64_t length) {
    const Range range = within(offset, length);
    const std::vector<std::byte> data = pattern(range.offset, generation_++, static_cast<size_t>(range.length));
    once([&](Image& image) { image.write_at(range.offset, data); });
    model().write(range.offset, data);
    expect();
  }
  void zero(uint64_t offset, uint64_t length) {
    const Range range = within(offset, length);
    once([&](Image& image) { image.zero(range.offset, range.length); });
    model().zero(range.offset, range.length);
    expect();
  }
  void discard(uint64_t offset, uint64_t length) {
    const Range range = within(offset, length);
    std::vector<std::byte> now(static_cast<size_t>(range.length));
    once([&](Image& image) {
      image.discard(range.offset, range.length);
      image.read_at(range.offset, now);
    });
    CHECK_FALSE(model().settle_discard(range.offset, now).has_value());
    expect();
  }
  void flush() {
    once([](Image& image) { image.flush(); });
    expect();
  }
  /// False where the format can't.
  bool resize(uint64_t size) {
    size = (size + config_.sector - 1) / config_.sector * config_.sector;
    try {
      once([&](Image& image) { image.resize(size); });
    } catch (const Error& error) {
      CHECK(error.code() == Errc::unsupported);
      expect();
      return false;
    }
    model().resize(size);
    expect();
    return true;
  }
  /// The next write compresses well, or not (support/pattern.h).
  void compressible(bool yes) { generation_ = generation_ / 4 * 4 + (yes ? 3 : 4); }

 private:
  struct Range {
    uint64_t offset;
    uint64_t length;
  };
  Range within(uint64_t offset, uint64_t length) {
    const uint64_t begin = std::min(offset, size());
    return {begin, std::min(length, size() - begin)};
  }

  template <typename Call>
  void once(Call call) {
    Image image = disk_.open();
    call(image);
    image.close();
  }
  void expect() {
    Image image = disk_.open(Access::read_only);
    REQUIRE(model().difference(image) == "");
    REQUIRE(damages(image) == "");
  }

  const ImageConfig& config_;
  TestDisk disk_;
  uint64_t generation_ = 1;
};

constexpr uint64_t kMiB = uint64_t{1} << 20;

CONFORMANCE_CASE("reopened after every operation: writes within a block, over borders, of whole clusters, to the end") {
  Reopened disk(config);
  disk.write(0, 1);
  disk.write(511, 2);
  disk.write(65536 - 700, 1500);
  disk.write(65536, 65536);
  disk.write(kMiB - 4096, 8192);
  disk.write(disk.size() - std::min<uint64_t>(disk.size(), 3), 3);
}

CONFORMANCE_CASE("reopened after every operation: writes over what was written") {
  Reopened disk(config);
  for (int round = 0; round < 3; ++round) {
    disk.write(4096, 100000);
    disk.write(4096 + 300, 512);
    disk.write(70000, 4096);
  }
}

CONFORMANCE_CASE("reopened after every operation: what compresses and what does not, in turn") {
  Reopened disk(config);
  for (int round = 0; round < 3; ++round) {
    disk.compressible(true);
    disk.write(0, 131072);
    disk.write(131072 - 600, 4096);
    disk.compressible(false);
    disk.write(65536, 131072);
  }
}

CONFORMANCE_CASE("reopened after every operation: zeros and writes, of parts and of all") {
  Reopened disk(config);
  disk.write(0, 300000);
  disk.zero(1000, 200);
  disk.zero(65536, 131072);
  disk.write(65536 + 4096, 9000);
  disk.zero(65536 - 10, 20);
  disk.zero(0, disk.size());
  disk.write(kMiB, 512);
}

CONFORMANCE_CASE("reopened after every operation: discards and writes") {
  Reopened disk(config);
  disk.write(0, 300000);
  disk.discard(4096, 4096);
  disk.discard(65536, 200000);
  disk.write(100000, 70000);
  disk.discard(100, 1);
  disk.discard(0, disk.size());
  disk.write(0, 4096);
}

CONFORMANCE_CASE("reopened after every operation: flushes of nothing, alone and between writes") {
  Reopened disk(config);
  disk.flush();
  disk.write(8192, 5000);
  disk.flush();
  disk.flush();
  disk.write(8192 + 512, 512);
  disk.flush();
}

CONFORMANCE_CASE("reopened after every operation: growth, and writes behind the old end") {
  Reopened disk(config);
  const uint64_t end = disk.size();
  for (const uint64_t more : {uint64_t{512}, uint64_t{70000}, 3 * kMiB}) {
    const uint64_t before = disk.size();
    if (!disk.resize(end + more)) return;
    disk.write(before - std::min<uint64_t>(before, 700), 1500);
    disk.write(disk.size() - 512, 512);
  }
}

CONFORMANCE_CASE("reopened after every operation: a disk that shrinks and grows again shows nothing of what it had") {
  Reopened disk(config);
  const uint64_t end = disk.size();
  disk.write(0, end);
  for (const uint64_t kept : {end / 2 + 700, uint64_t{66000}, uint64_t{512}}) {
    if (kept >= end || !disk.resize(kept)) return;
    disk.resize(end);
    disk.write(end / 3, 5000);
  }
}

}  // namespace
}  // namespace varve::test
