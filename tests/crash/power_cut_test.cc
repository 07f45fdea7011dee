// The power fails at every moment of many scripts: whatever the medium kept, the image opens, check finds no damage, every sector
// is one that the last flush promised or that was written since, and the image goes on working.
#include <array>
#include <chrono>
#include <cstdio>

#include "crash/crash_run.h"
#include "support/test.h"

namespace varve::test {
namespace {

constexpr uint64_t kKiB = 1024;
constexpr uint64_t kMiB = 1024 * kKiB;
constexpr uint64_t kStates = 10000;

struct Script {
  const char* name;
  bool filled;
  void (*run)(CrashRun& run);
};

void allocate_in_order(CrashRun& run) {
  for (uint64_t i = 0; i < 6; ++i) run.write(i * 64 * kKiB, 5 * kKiB);
  run.flush();
  for (uint64_t i = 0; i < 6; ++i) run.write(i * 64 * kKiB + 32 * kKiB, 8 * kKiB);
  run.flush();
  run.close();
}

void allocate_across_tables(CrashRun& run) {
  run.write(2 * kMiB - 4 * kKiB, 8 * kKiB);
  run.write(0, 512);
  run.flush();
  run.write(1 * kMiB + 512, 70 * kKiB);
  run.write(2 * kMiB + 300 * kKiB, 512);
  run.close();
}

void overwrite(CrashRun& run) {
  for (uint64_t round = 0; round < 3; ++round) {
    for (uint64_t i = 0; i < 4; ++i) run.write(i * 96 * kKiB + round * 512, 3 * kKiB);
    if (round != 1) run.flush();
  }
  run.close();
}

void zero_and_refill(CrashRun& run) {
  run.zero(0, 64 * kKiB);
  run.zero(100 * kKiB, 3 * kKiB);
  run.flush();
  run.write(16 * kKiB, 4 * kKiB);
  run.zero(192 * kKiB, 300 * kKiB);
  run.write(200 * kKiB, 20 * kKiB);
  run.flush();
  run.zero(0, 2 * kMiB);
  run.close();
}

void discard_and_refill(CrashRun& run) {
  run.discard(0, 256 * kKiB);
  run.flush();
  run.write(10 * kKiB, 70 * kKiB);
  run.discard(64 * kKiB, 128 * kKiB);
  run.write(90 * kKiB, 512);
  run.flush();
  run.discard(0, 2 * kMiB);
  run.write(8 * kKiB, 8 * kKiB);
  run.close();
}

void grow_in_between(CrashRun& run) {
  run.write(0, 4 * kKiB);
  run.grow(2 * kMiB);
  run.flush();
  run.write(3 * kMiB, 5 * kKiB);
  run.flush();
  run.grow(64 * kKiB);
  run.write(64 * kKiB, 512);
  run.close();
}

void random_few(CrashRun& run) {
  run.random(12);
  run.flush();
  run.random(8);
  run.close();
}

void random_many(CrashRun& run) {
  for (int i = 0; i < 4; ++i) {
    run.random(9);
    run.flush();
  }
}

constexpr std::array<Script, 10> kScripts = {{{"allocate in order", false, allocate_in_order},
                                              {"allocate across tables", false, allocate_across_tables},
                                              {"overwrite", true, overwrite},
                                              {"zero and refill", true, zero_and_refill},
                                              {"discard and refill", true, discard_and_refill},
                                              {"grow in between", true, grow_in_between},
                                              {"random on an empty disk", false, random_few},
                                              {"random on a filled disk", true, random_few},
                                              {"many random ones on an empty disk", false, random_many},
                                              {"many random ones on a filled disk", true, random_many}}};

std::vector<ImageConfig> configs() {
  const uint64_t size = 3 * kMiB + 5 * 512;
  const auto sparse = [&](const char* name, OptionMap options, std::optional<uint64_t> parent = std::nullopt) {
    options.emplace("subformat", "monolithicSparse");
    return ImageConfig{name, "vmdk", options, size, parent};
  };
  return {sparse("64 KiB grains", {}),
          sparse("4 KiB grains", {{"grain_size", "4K"}}),
          sparse("zeroed 4 KiB grains", {{"grain_size", "4K"}, {"zeroed_grain", "on"}}),
          sparse("delta", {}, size),
          sparse("delta, zeroed 4 KiB grains", {{"grain_size", "4K"}, {"zeroed_grain", "on"}}, size),
          {"twoGbMaxExtentSparse", "vmdk", {{"subformat", "twoGbMaxExtentSparse"}}, size, std::nullopt}};
}

bool applies(const Script& script, const ImageConfig& config) {
  return script.run != grow_in_between || (!config.parent_size && config.name != "twoGbMaxExtentSparse");
}

TEST_CASE("VMDK sparse survives a power cut at any moment of every script: 10,000 distinct states") {
  Rng rng("power cuts");
  SHOW_SEED(rng);
  std::set<PowerCuts::Hash> distinct;
  uint64_t runs = 0;
  const auto begin = std::chrono::steady_clock::now();
  const uint64_t wanted = scaled(kStates);
  for (uint64_t round = 0; distinct.size() < wanted && round < 1000; ++round) {
    for (const ImageConfig& config : configs()) {
      for (const Script& script : kScripts) {
        if (!applies(script, config) || distinct.size() >= wanted + kStates / 2) continue;
        CrashRun run(config, script.filled, rng);
        script.run(run);
        const std::string wrong = run.judge(distinct);
        CHECK_MESSAGE(wrong == "", script.name << " on " << config.name << ", run " << runs << ": " << wrong);
        ++runs;
      }
    }
  }
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
  std::printf("power cuts: %zu distinct states of %llu scripts in %.1f s\n", distinct.size(), static_cast<unsigned long long>(runs),
              took.count());
  CHECK(distinct.size() >= wanted);
}

// ---- the harness itself can fail ----------------------------------------------------------------

std::vector<StorageEvent> without_flushes(std::vector<StorageEvent> log) {
  // The history counts positions, so the events stay and only lose their effect.
  for (StorageEvent& event : log)
    if (event.kind == StorageEvent::Kind::flush) event.kind = StorageEvent::Kind::publish;
  return log;
}

TEST_CASE("a medium that lies about flushes is caught") {
  Rng rng("lying medium");
  std::set<PowerCuts::Hash> distinct;
  CrashRun run(configs()[1], false, rng);
  allocate_in_order(run);
  CHECK(run.judge(distinct, without_flushes(run.log())) != "");
}

TEST_CASE("tables that reach the medium before the data they point to are caught") {
  Rng rng("reordered");
  std::set<PowerCuts::Hash> distinct;
  CrashRun run(configs()[1], false, rng);
  allocate_in_order(run);
  std::vector<StorageEvent> log = run.log();
  // Of each pair of flushes with writes between them the first loses its effect: data and tables fall into one window.
  bool drop = true;
  for (StorageEvent& event : log) {
    if (event.kind != StorageEvent::Kind::flush) continue;
    if (drop) event.kind = StorageEvent::Kind::publish;
    drop = !drop;
  }
  CHECK(run.judge(distinct, log) != "");
}

}  // namespace
}  // namespace varve::test
