// Measuring: which requests are made.
#include <algorithm>
#include <set>

#include "support/test.h"
#include "unit/ops_kit.h"
#include "varve/bench.h"

using namespace varve;
using namespace varve::test;

namespace {

constexpr uint64_t kMiB = 1 << 20;

/// Of 1 MiB, which is read.
struct Measured {
  std::shared_ptr<Journal> journal = std::make_shared<Journal>();
  Image image = script_disk({{kMiB, ExtentKind::data}}, journal);

  std::vector<uint64_t> places() const {
    std::vector<uint64_t> all;
    for (const Journal::Event& event : journal->of(Journal::What::read)) all.push_back(event.offset);
    return all;
  }
};

}  // namespace

TEST_CASE("bench: requests follow each other, and go on at the start") {
  Measured disk;
  BenchOptions options;
  options.count = 5;
  options.offset = 4096;
  options.range = 3 * 4096;
  const BenchResult result = bench(disk.image, options);
  CHECK(disk.places() == std::vector<uint64_t>{4096, 8192, 12288, 4096, 8192});
  CHECK(result.requests == 5);
  CHECK(result.bytes == 5 * 4096);
  CHECK(result.flushes == 0);
  CHECK(result.latency.most >= result.latency.p50);
  CHECK(result.seconds > 0);
}

TEST_CASE("bench: a step leaves gaps, and no request leaves the range") {
  Measured disk;
  BenchOptions options;
  options.count = 4;
  options.step = 10000;
  options.range = 25000;
  bench(disk.image, options);
  CHECK(disk.places() == std::vector<uint64_t>{0, 10000, 20000, 5000});
}

TEST_CASE("bench: writes are flushed at intervals and at the end, and no two blocks are alike") {
  Image image = recording_disk(Way::plain, std::vector<std::byte>(kMiB), std::make_shared<Journal>());
  BenchOptions options;
  options.write = true;
  options.count = 10;
  options.flush_interval = 3;
  const BenchResult result = bench(image, options);
  CHECK(result.flushes == 4);
  std::set<std::vector<std::byte>> blocks;
  std::vector<std::byte> block(4096);
  for (uint64_t i = 0; i < 10; ++i) {
    image.read_at(i * 4096, block);
    blocks.insert(block);
    CHECK(std::count(block.begin(), block.end(), std::byte{0}) > 1000);
  }
  CHECK(blocks.size() == 10);
  options.fill = 7;
  options.flush_interval = 0;
  CHECK(bench(image, options).flushes == 1);
  image.read_at(4096, block);
  CHECK(std::count(block.begin(), block.end(), std::byte{7}) == 4096);
}

TEST_CASE("threads: bench: random places are spread, the same for a seed, and requests are counted once") {
  Measured disk;
  BenchOptions options;
  options.random = true;
  options.count = 2000;
  options.depth = 8;
  CHECK(bench(disk.image, options).requests == 2000);
  auto places = disk.places();
  CHECK(places.size() == 2000);
  CHECK(std::set<uint64_t>(places.begin(), places.end()).size() == 256);
  CHECK(std::all_of(places.begin(), places.end(), [](uint64_t at) { return at % 4096 == 0 && at < kMiB; }));
  Measured again;
  options.depth = 1;
  bench(again.image, options);
  auto same = again.places();
  std::sort(places.begin(), places.end());
  std::sort(same.begin(), same.end());
  CHECK(places == same);
}

TEST_CASE("bench: what can't be measured is refused, and errors and cancellation end it") {
  Measured disk;
  const auto refused = [&](auto change) {
    BenchOptions options;
    change(options);
    CHECK_ERRC(bench(disk.image, options), Errc::invalid_argument);
  };
  refused([](BenchOptions& o) { o.block = 0; });
  refused([](BenchOptions& o) { o.block = 2 * kMiB; });
  refused([](BenchOptions& o) { o.depth = 0; });
  refused([](BenchOptions& o) { o.depth = 257; });
  refused([](BenchOptions& o) { o.count = 0; });
  refused([](BenchOptions& o) { o.offset = kMiB + 1; });
  refused([](BenchOptions& o) { o.range = kMiB + 1; });
  CHECK(disk.journal->all().empty());
  BenchOptions options;
  CancelToken cancel;
  cancel.cancel();
  options.cancel = &cancel;
  CHECK_ERRC(bench(disk.image, options), Errc::cancelled);
  Image broken = script_disk({{kMiB, ExtentKind::data}}, nullptr, 300000);
  CHECK_ERRC(bench(broken, BenchOptions()), Errc::io);
}
