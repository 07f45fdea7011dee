// Many threads on one image. Runs under TSan, too.
#include <atomic>
#include <thread>

#include "conformance/conformance.h"
#include "support/pattern.h"

namespace varve::test {
namespace {

constexpr unsigned kThreads = 4;

/// Runs `body(thread)` on kThreads threads; the first thing that goes wrong, or an empty string.
template <typename Body>
std::string on_threads(Body body) {
  std::vector<std::string> wrong(kThreads);
  {
    std::vector<std::jthread> threads;
    for (unsigned t = 0; t < kThreads; ++t) {
      threads.emplace_back([&, t] {
        try {
          wrong[t] = body(t);
        } catch (const std::exception& error) {
          wrong[t] = error.what();
        }
      });
    }
  }
  for (const std::string& text : wrong)
    if (!text.empty()) return text;
  return {};
}

CONFORMANCE_CASE("threads: writers of neighbouring ranges, readers and flushes get in nobody's way") {
  TestDisk disk(config);
  if (config.size < 4096) return;
  Image image = disk.open();
  std::vector<std::byte> expected(disk.model().bytes().begin(), disk.model().bytes().end());
  // Each thread owns every fourth piece of 3,000 bytes, so that grains are shared by all.
  constexpr uint64_t kPiece = 3000;
  const uint64_t rounds = scaled(3);
  const std::string wrong = on_threads([&](unsigned thread) -> std::string {
    for (uint64_t round = 0; round < rounds; ++round) {
      for (uint64_t at = thread * kPiece; at + kPiece <= config.size; at += kThreads * kPiece) {
        const std::vector<std::byte> data = pattern(at, round * kThreads + thread, kPiece);
        image.write_at(at, data);
        std::vector<std::byte> got(kPiece);
        image.read_at(at, got);
        if (std::string text = describe_difference(at, got, data); !text.empty()) return text;
        if (round + 1 == rounds) std::copy(data.begin(), data.end(), expected.begin() + static_cast<ptrdiff_t>(at));
        if (at % 7 == 0) image.flush();
        if (at % 5 == 0) image.extent_at(at);
      }
    }
    return {};
  });
  CHECK(wrong == "");
  disk.model().write(0, expected);
  CHECK(disk.model().difference(image) == "");
  image.close();
  Image again = disk.open(Access::read_only);
  CHECK(disk.model().difference(again) == "");
  CHECK(damages(again) == "");
}

CONFORMANCE_CASE("threads: zeroing and discarding beside writers changes only what is zeroed") {
  TestDisk disk(config);
  if (config.size < (1 << 20)) return;
  Image image = disk.open();
  constexpr uint64_t kPiece = 5 * 512;
  const std::string wrong = on_threads([&](unsigned thread) -> std::string {
    for (uint64_t at = thread * kPiece; at + kPiece <= config.size; at += kThreads * kPiece) {
      const std::vector<std::byte> data = pattern(at, 77, kPiece);
      std::vector<std::byte> want = data;
      image.write_at(at, data);
      if (thread % 2 == 1) {
        image.zero(at + 512, 1024);
        std::fill_n(want.begin() + 512, 1024, std::byte{0});
      }
      std::vector<std::byte> got(kPiece);
      image.read_at(at, got);
      if (std::string text = describe_difference(at, got, want); !text.empty()) return text;
    }
    return {};
  });
  CHECK(wrong == "");
  CHECK(damages(image) == "");
}

CONFORMANCE_CASE("threads: many readers of one image see the same bytes") {
  TestDisk disk(config);
  if (config.size < 512) return;
  {
    Image image = disk.open();
    const std::vector<std::byte> data = pattern(0, 6, static_cast<size_t>(config.size));
    image.write_at(0, data);
    image.close();
    disk.model().write(0, data);
  }
  Image image = disk.open(Access::read_only);
  const std::string wrong = on_threads([&](unsigned thread) -> std::string {
    Rng rng(base_seed() + thread);
    for (uint64_t i = 0; i < scaled(200); ++i) {
      const uint64_t offset = rng.below(config.size);
      std::vector<std::byte> got(static_cast<size_t>(std::min(config.size - offset, rng.between(1, 70000))));
      image.read_at(offset, got);
      if (std::string text = describe_difference(offset, got, disk.model().bytes(offset, got.size())); !text.empty()) return text;
    }
    return {};
  });
  CHECK(wrong == "");
}

}  // namespace
}  // namespace varve::test
