// Clusters that are written before a commit, by the writers or beside them; and free space that is looked for beside everything else.
#include <atomic>
#include <chrono>
#include <thread>
#include <vector>

#include "base/random.h"
#include "image/node.h"
#include "native/native_image.h"
#include "support/image_kit.h"
#include "support/pattern.h"
#include "support/test.h"

namespace varve::test {
namespace {

constexpr uint64_t kKiB = 1024;
constexpr uint64_t kMiB = 1024 * kKiB;
constexpr uint64_t kBlockSize = 4096;

const native::Space& space_of(Image& image) { return dynamic_cast<native::NativeImage&>(image.node().image()).space(); }

ImageConfig config(uint64_t size, const char* cluster, const char* compression) {
  return {"write behind", "varve", {{"cluster_size", cluster}, {"compression", compression}}, size, std::nullopt};
}

Image open(TestDisk& disk, uint64_t write_buffer) {
  OpenOptions how = disk.open_options();
  how.limits.write_buffer = write_buffer;
  return disk.open(how);
}

uint64_t file_size(TestDisk& disk) { return disk.files().open(TestDisk::kPath, {})->size(); }

TEST_CASE("threads: writers that outrun the buffer, readers and flushes get what was written last") {
  constexpr unsigned kWriters = 4;
  constexpr uint64_t kShare = 4 * kMiB;  // of the disk, for each writer
  for (const char* compression : {"none", "zstd:1"}) {
    TestDisk disk(config(kWriters * kShare, "64K", compression));
    Image image = open(disk, 2 * kMiB);
    std::atomic<bool> wrong{false};
    const auto work = [&](unsigned writer) {
      SeededRandom random(writer);
      std::vector<uint64_t> written(kShare / kBlockSize);  // generation of each block
      std::vector<std::byte> found(kBlockSize);
      for (uint64_t step = 1; step <= 3000; ++step) {
        const uint64_t block = random.below(written.size());
        const uint64_t offset = writer * kShare + block * kBlockSize;
        image.write_at(offset, pattern(offset, step, kBlockSize));
        written[block] = step;
        const uint64_t other = random.below(written.size());
        const uint64_t at = writer * kShare + other * kBlockSize;
        image.read_at(at, found);
        if (found != (written[other] == 0 ? std::vector<std::byte>(kBlockSize) : pattern(at, written[other], kBlockSize))) wrong = true;
        if (step % 1000 == 0) image.flush();
      }
    };
    std::vector<std::thread> threads;
    for (unsigned i = 0; i < kWriters; ++i) threads.emplace_back(work, i);
    for (std::thread& thread : threads) thread.join();
    CHECK_FALSE(wrong);
    image.close();
    Image again = disk.open(Access::read_only);
    CHECK(damages(again) == "");
  }
}

TEST_CASE("what is written again and again without a flush does not make the file grow") {
  constexpr uint64_t kDisk = 4 * kMiB;
  for (const uint64_t buffer : {256 * kKiB, 2 * kMiB}) {  // emptied by the writer, and beside it
    TestDisk disk(config(kDisk, "64K", "none"));
    Image image = open(disk, buffer);
    for (uint64_t round = 1; round <= 40; ++round)
      for (uint64_t at = 0; at < kDisk; at += 64 * kKiB) image.write_at(at, pattern(at, round, 64 * kKiB));
    CHECK(file_size(disk) < 4 * kDisk);
    image.flush();
    std::vector<std::byte> found(kDisk);
    image.read_at(0, found);
    CHECK(found == pattern(0, 40, kDisk));
    image.close();
    Image again = disk.open(Access::read_only);
    CHECK(damages(again) == "");
    CHECK(file_size(disk) < 3 * kDisk);
  }
}

TEST_CASE("threads: the free space of an image with many nodes is looked for beside its use, and used then") {
  // A cluster in each of 600 nodes, half of which are given up again.
  constexpr uint64_t kStride = 512 * kBlockSize;
  constexpr uint64_t kNodes = 600;
  TestDisk disk(config(kNodes * kStride, "4K", "none"));
  {
    Image image = disk.open();
    for (uint64_t i = 0; i < kNodes; ++i) image.write_at(i * kStride, pattern(i, 1, kBlockSize));
    image.close();
  }
  {
    Image image = disk.open();
    for (uint64_t i = 0; i < kNodes; i += 2) image.discard(i * kStride, kStride);
    image.close();
  }
  const uint64_t before = file_size(disk);
  Image image = disk.open();
  image.write_at(kStride, pattern(1, 2, kBlockSize));
  image.flush();
  for (int i = 0; i < 10000 && !space_of(image).knows_used(); ++i) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  REQUIRE(space_of(image).knows_used());
  const uint64_t grown = file_size(disk);
  for (uint64_t i = 1; i < kNodes; i += 2) image.write_at(i * kStride + kBlockSize, pattern(i, 3, kBlockSize));
  image.flush();
  CHECK(file_size(disk) == grown);
  CHECK(grown < before + kMiB);
  std::vector<std::byte> found(2 * kBlockSize);
  image.read_at(3 * kStride, found);
  CHECK(std::equal(found.begin(), found.begin() + kBlockSize, pattern(3, 1, kBlockSize).begin()));
  CHECK(std::equal(found.begin() + kBlockSize, found.end(), pattern(3, 3, kBlockSize).begin()));
  image.close();
  Image again = disk.open(Access::read_only);
  CHECK(damages(again) == "");
}

TEST_CASE("threads: an image that is closed or given up while its free space is looked for stays sound") {
  constexpr uint64_t kStride = 512 * kBlockSize;
  TestDisk disk(config(400 * kStride, "4K", "none"));
  {
    Image image = disk.open();
    for (uint64_t i = 0; i < 400; ++i) image.write_at(i * kStride, pattern(i, 1, kBlockSize));
    image.close();
  }
  for (uint64_t round = 0; round < 10; ++round) {
    Image image = disk.open();
    image.write_at(round * kStride, pattern(round, 2, kBlockSize));
    image.flush();
    if (round % 2 == 0) image.close();
  }
  Image again = disk.open(Access::read_only);
  CHECK(damages(again) == "");
}

}  // namespace
}  // namespace varve::test
