// The power fails at every moment of many scripts: whatever the medium kept, the image opens, check finds no damage, every sector
// is one that the last flush promised or that was written since, and the image goes on working.
#include <array>
#include <set>
#include <string>
#include <vector>

#include "crash/scripts.h"
#include "crash/vmdk_layouts.h"
#include "support/test.h"

namespace varve::test {
namespace {

constexpr uint64_t kKiB = 1024;
constexpr uint64_t kMiB = 1024 * kKiB;
constexpr uint64_t kStates = 10000;
constexpr uint64_t kGrowthStates = 4000;
constexpr uint64_t kTwiceCutStates = 2000;

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

constexpr std::array<Script, 9> kScripts = {{{"allocate in order", false, allocate_in_order},
                                             {"allocate across tables", false, allocate_across_tables},
                                             {"overwrite", true, overwrite},
                                             {"zero and refill", true, zero_and_refill},
                                             {"discard and refill", true, discard_and_refill},
                                             {"random on an empty disk", false, random_few},
                                             {"random on a filled disk", true, random_few},
                                             {"many random ones on an empty disk", false, random_many},
                                             {"many random ones on a filled disk", true, random_many}}};

// ---- growth --------------------------------------------------------------------------------------

void grow_by_a_digit(CrashRun& run) {
  run.write(400 * kKiB, 4 * kKiB);
  run.grow(512);
  run.write(499 * kKiB, 3 * kKiB);
  run.flush();
  run.close();
}

/// Of 4 KiB grains each table has 2 MiB of the disk.
void grow_over_a_table(CrashRun& run) {
  run.grow(2 * kMiB);
  run.flush();
  run.write(2 * kMiB - 2 * kKiB, 5 * kKiB);
  run.write(490 * kKiB, 20 * kKiB);
  run.close();
}

void write_and_grow(CrashRun& run) {
  run.write(0, 4 * kKiB);
  run.write(490 * kKiB, 9 * kKiB);
  run.grow(64 * kKiB);
  run.write(499 * kKiB, 30 * kKiB);
  run.zero(100 * kKiB, 10 * kKiB);
  run.grow(64 * kKiB);
  run.flush();
  run.write(560 * kKiB, 512);
  run.discard(0, 256 * kKiB);
  run.grow(kKiB / 2);
}

void random_growth(CrashRun& run) {
  for (int i = 0; i < 3; ++i) {
    run.random(3);
    run.grow(run.random_length(300 * kKiB));
    run.random(2);
  }
  run.close();
}

constexpr std::array<Script, 4> kGrowthScripts = {{{"a digit more", true, grow_by_a_digit},
                                                   {"over a table", true, grow_over_a_table},
                                                   {"between writes", true, write_and_grow},
                                                   {"random", false, random_growth}}};

TEST_CASE("VMDK survives a power cut at any moment of every script: 10,000 distinct states") {
  Rng rng("power cuts");
  SHOW_SEED(rng);
  run_pairs(pairs(vmdk_layouts_to_write(), kScripts, rng), scaled(kStates), rng);
}

TEST_CASE("VMDK survives a power cut at any moment of a growth: 4,000 distinct states") {
  Rng rng("growth cuts");
  SHOW_SEED(rng);
  run_pairs(pairs(vmdk_layouts_to_grow(), kGrowthScripts, rng), scaled(kGrowthStates), rng);
}

// ---- a second cut ----------------------------------------------------------------------------------

void write_again(CrashRun& run) {
  run.random(5);
  run.flush();
  run.random(4);
  run.close();
}

void grow_again(CrashRun& run) {
  run.write(100 * kKiB, 9 * kKiB);
  run.grow(64 * kKiB);
  run.write(510 * kKiB, 9 * kKiB);
  run.close();
}

/// Cuts the power in a script, and again in what is done next.
std::string cut_twice(const Pair& pair, std::set<PowerCuts::Hash>& distinct, Rng& rng) {
  CrashRun first(pair.layout, pair.script.filled, rng);
  pair.script.run(first);
  for (void (*next)(CrashRun&) : {write_again, grow_again}) {
    const CutState left = first.pick_state();
    CrashRun second(first, left);
    if (next == write_again && rng.one_in(2)) {
      const std::string wrong = first.verdict_of_content(left, second.repair(), second.start_size());
      if (!wrong.empty()) return left.name + ": the repair shows what never was: " + wrong;
    }
    next(second);
    if (const std::string wrong = second.judge(distinct); !wrong.empty()) return left.name + ", then " + wrong;
  }
  return {};
}

TEST_CASE("VMDK survives a second power cut, in the repair, the writes and the growth that follow the first: 2,000 distinct states") {
  Rng rng("two cuts");
  SHOW_SEED(rng);
  std::set<PowerCuts::Hash> distinct;
  std::vector<Pair> all = pairs(vmdk_layouts_to_grow(), kScripts, rng);
  const std::vector<Pair> growing = pairs(vmdk_layouts_to_grow(), kGrowthScripts, rng);
  for (size_t i = 0; i < growing.size(); ++i) all.insert(all.begin() + static_cast<ptrdiff_t>(2 * i), growing[i]);
  const uint64_t wanted = scaled(kTwiceCutStates);
  for (size_t i = 0; distinct.size() < wanted && i < 1000 * all.size(); ++i) {
    const Pair& pair = all[i % all.size()];
    const std::string wrong = cut_twice(pair, distinct, rng);
    CHECK_MESSAGE(wrong == "", pair.script.name << " on " << pair.layout.config.name << ", run " << i << ": " << wrong);
  }
  CHECK(distinct.size() >= wanted);
}

// ---- the harness itself can fail ----------------------------------------------------------------

TEST_CASE("VMDK: a medium that lies about flushes is caught") {
  Rng rng("lying medium");
  std::set<PowerCuts::Hash> distinct;
  CrashRun run(vmdk_layouts_to_write()[1], false, rng);
  allocate_in_order(run);
  CHECK(run.judge(distinct, without_flushes(run.log())) != "");
}

TEST_CASE("VMDK: tables that reach the medium before the data they point to are caught") {
  Rng rng("reordered");
  std::set<PowerCuts::Hash> distinct;
  CrashRun run(vmdk_layouts_to_write()[1], false, rng);
  allocate_in_order(run);
  // Of each pair of flushes with writes between them the first loses its effect: data and tables fall into one window.
  CHECK(run.judge(distinct, without_every_other_flush(run.log(), true)) != "");
}

}  // namespace
}  // namespace varve::test
