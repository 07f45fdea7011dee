// 50,000 random operations, snapshots and sessions among them, against a model, in every kind of image.
#include "native/model.h"

#include <array>
#include <chrono>
#include <cstdio>
#include <vector>

#include "support/test.h"

namespace varve::test {
namespace {

constexpr uint64_t kKiB = 1024;
constexpr uint64_t kMiB = 1024 * kKiB;
constexpr uint64_t kSteps = 50000;
/// Of one image, which begins empty.
constexpr uint64_t kStepsOfARun = 250;

ModelConfig config(const std::string& name, const char* cluster, const char* compression, uint64_t size, uint64_t steps) {
  ModelConfig made;
  made.name = name;
  made.cluster = std::string(cluster) == "2M" ? 2 * kMiB : std::stoull(cluster) * kKiB;
  made.options = {{"cluster_size", cluster}, {"compression", compression}};
  made.size = size;
  made.steps = steps;
  return made;
}

ModelConfig over(ModelConfig made, const char* parent, uint64_t parent_size) {
  made.parent = parent;
  made.parent_size = parent_size;
  return made;
}

ModelConfig encrypted(ModelConfig made) {
  made.options["encryption"] = "aes-256-gcm";
  return made;
}

std::vector<ModelConfig> configs() {
  constexpr uint64_t kSmall = 300 * kKiB + 700;
  constexpr uint64_t kMiddle = 600 * kKiB + 5000;
  constexpr uint64_t kLarge = 4 * kMiB + 5000;
  return {
      config("4 KiB", "4K", "none", kSmall, 9000),
      config("4 KiB, zlib", "4K", "zlib:1", kSmall, 6000),
      config("4 KiB, zstd", "4K", "zstd:1", kSmall, 6000),
      // Where a second level of nodes begins.
      config("4 KiB, tall", "4K", "none", 2 * kMiB, 5000),
      config("64 KiB", "64K", "none", kMiddle, 7000),
      config("64 KiB, zlib", "64K", "zlib:1", kMiddle, 3000),
      config("64 KiB, zstd", "64K", "zstd:1", kMiddle, 4000),
      config("2 MiB", "2M", "none", kLarge, 1500),
      config("2 MiB, zlib", "2M", "zlib:1", kLarge, 500),
      config("2 MiB, zstd", "2M", "zstd:1", kLarge, 1000),
      encrypted(config("4 KiB, encrypted", "4K", "none", kSmall, 6000)),
      encrypted(config("64 KiB, zstd, encrypted", "64K", "zstd:1", kMiddle, 4000)),
      encrypted(over(config("64 KiB, encrypted, over varve", "64K", "none", kMiddle, 2000), "varve", kMiddle)),
      over(config("4 KiB over raw", "4K", "none", kSmall, 3000), "raw", kSmall),
      over(config("64 KiB, zstd, over varve", "64K", "zstd:1", kMiddle, 2000), "varve", kMiddle),
      over(config("16 KiB, zlib, over a shorter VMDK", "16K", "zlib:1", kSmall, 2000), "vmdk", 200 * kKiB),
  };
}

TEST_CASE("50,000 random operations agree with a model, and the space in use is what can be reached, after every commit") {
  Rng rng("varve model");
  SHOW_SEED(rng);
  static constexpr std::array<const char*, 3> kJournals = {"128K", "64K", "0"};
  uint64_t steps = 0;
  uint64_t runs = 0;
  const auto begin = std::chrono::steady_clock::now();
  for (ModelConfig made : configs()) {
    for (uint64_t left = scaled(made.steps); left > 0; ++runs) {
      made.options["journal_size"] = kJournals[runs % kJournals.size()];
      // Clusters that are written before a commit, and again.
      made.write_buffer = runs % 2 == 0 ? 0 : 16 * kKiB;
      const uint64_t now = std::min(left, kStepsOfARun);
      ModelRun run(made, rng);
      CHECK_MESSAGE(run.run(now) == "", made.name << ", journal " << made.options["journal_size"] << ", run " << runs);
      left -= now;
      steps += now;
    }
  }
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
  std::printf("varve against a model: %llu operations on %llu images in %.1f s\n", static_cast<unsigned long long>(steps),
              static_cast<unsigned long long>(runs), took.count());
  if (stride() == 1) CHECK(steps >= kSteps);
}

}  // namespace
}  // namespace varve::test
