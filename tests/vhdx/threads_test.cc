// Many threads on one image. Built with the thread sanitizer these say more than they check.
#include <atomic>
#include <thread>

#include "support/image_kit.h"
#include "support/pattern.h"
#include "support/seeds.h"
#include "support/shadow_disk.h"
#include "vhdx/builder.h"

namespace varve::test {
namespace {

constexpr uint64_t kThreads = 4;

/// A child or a disk of its own, 16 MiB in blocks of 1 MiB.
struct Disk {
  explicit Disk(bool child) : model(16 * kMiB) {
    CreateOptions how;
    how.file_system = &world.files;
    how.options = {{"block_size", "1M"}};
    if (child) {
      Image base = Image::create("dir/base.vhdx", "vhdx", 16 * kMiB, how);
      base.write_at(0, pattern(0, 1, 16 * kMiB));
      base.close();
      model.write(0, pattern(0, 1, 16 * kMiB));
      how.parent = "base.vhdx";
    }
    Image::create(World::kPath, "vhdx", 16 * kMiB, how).close();
  }
  World world;
  ShadowDisk model;
};

template <typename Work>
void run_threads(Work work) {
  std::vector<std::thread> threads;
  for (uint64_t i = 0; i < kThreads; ++i) threads.emplace_back([&work, i] { work(i); });
  for (std::thread& thread : threads) thread.join();
}

TEST_CASE("threads: writes of neighbouring pieces of the same blocks, with flushes between, lose nothing") {
  for (const bool child : {false, true}) {
    Disk disk(child);
    Image image = disk.world.open(Access::read_write);
    // Thread t has every fourth piece, so blocks are shared and sectors are not.
    constexpr uint64_t kPiece = 24 * 512;
    run_threads([&](uint64_t thread) {
      for (uint64_t at = thread * kPiece; at + kPiece <= 16 * kMiB; at += kThreads * kPiece) {
        image.write_at(at, pattern(at, 7 + thread, kPiece));
        if (at % (64 * kPiece) == thread * kPiece) image.flush();
      }
    });
    for (uint64_t at = 0; at + kPiece <= 16 * kMiB; at += kPiece) disk.model.write(at, pattern(at, 7 + at / kPiece % kThreads, kPiece));
    CHECK(disk.model.difference(image) == "");
    image.close();
    Image again = disk.world.open();
    CHECK(disk.model.difference(again) == "");
    CHECK(damages(again) == "");
  }
}

TEST_CASE("threads: each works on blocks of its own: writes, zeroes, discards, reads, flushes") {
  for (const bool child : {false, true}) {
    Disk disk(child);
    Image image = disk.world.open(Access::read_write);
    std::array<std::string, kThreads> faults;
    run_threads([&](uint64_t thread) {
      Rng rng(thread + (child ? 100 : 0));
      std::vector<unsigned> values(4, child ? 256 : 0);  // of each block: the byte that fills it; 256: the parent's
      const auto check_block = [&](uint64_t block, uint64_t offset) {
        const Bytes now = read_some(image, offset, kMiB);
        const Bytes expected = values[block] == 256 ? pattern(offset, 1, kMiB) : filled(kMiB, values[block]);
        if (now != expected) faults[thread] = "block at " + std::to_string(offset) + ": " + describe_difference(offset, now, expected);
      };
      for (uint64_t round = 0; round < scaled(40); ++round) {
        const uint64_t block = rng.below(4);
        const uint64_t offset = (block * kThreads + thread) * kMiB;
        switch (rng.below(4)) {
          case 0:
            values[block] = 1 + static_cast<unsigned>(rng.below(255));
            image.write_at(offset, filled(kMiB, values[block]));
            break;
          case 1:
            values[block] = 0;
            image.zero(offset, kMiB);
            break;
          case 2:
            image.discard(offset, kMiB);
            if (values[block] != 256) values[block] = 0;
            break;
          default: image.flush(); break;
        }
        check_block(block, offset);
      }
    });
    for (const std::string& fault : faults) CHECK(fault == "");
    image.close();
    Image again = disk.world.open();
    CHECK(damages(again) == "");
  }
}

TEST_CASE("threads: the first writes of an image begin one session") {
  Disk disk(false);
  Image image = disk.world.open(Access::read_write);
  const auto sequence = [&] {
    const Bytes file = disk.world.bytes();
    return std::max(get(file, 64 * kKiB + 8, 8), get(file, 128 * kKiB + 8, 8));
  };
  const uint64_t before = sequence();
  run_threads([&](uint64_t thread) { image.write_at(thread * kMiB, filled(4096, 1)); });
  CHECK(sequence() == before + 3);
}

TEST_CASE("threads: readers see either the old or the new bytes of a block that is given up and written again") {
  Disk disk(false);
  Image image = disk.world.open(Access::read_write);
  std::atomic<bool> done = false;
  std::atomic<uint64_t> foreign = 0;
  std::thread reader([&] {
    while (!done) {
      for (const uint64_t block : {0, 1}) {
        for (const std::byte byte : read_some(image, block * kMiB + 1000, 20000))
          if (byte != std::byte{0} && byte != static_cast<std::byte>(1 + block)) ++foreign;
      }
    }
  });
  for (uint64_t round = 0; round < scaled(60); ++round) {
    for (const uint64_t block : {0, 1}) image.write_at(block * kMiB, filled(kMiB, static_cast<unsigned>(1 + block)));
    for (const uint64_t block : {1, 0}) image.zero(block * kMiB, kMiB);
    image.flush();
  }
  done = true;
  reader.join();
  CHECK(foreign == 0);
}

}  // namespace
}  // namespace varve::test
