// As for VMDK, of a format whose flushes are commits or records of a journal: after a cut every one that returned is there as a whole,
// and nothing of what no flush was asked for.
#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <set>
#include <string>
#include <vector>

#include "crash/crash_run.h"
#include "crash/scripts.h"
#include "support/test.h"

namespace varve::test {
namespace {

constexpr uint64_t kKiB = 1024;
/// Those after a second cut among them.
constexpr uint64_t kStates = 60000;
constexpr uint64_t kStatesWithSnapshots = 30000;
constexpr uint64_t kStatesTwice = 4000;
constexpr uint64_t kLongStates = 30000;
constexpr uint64_t kLongStatesWithSnapshots = 20000;

// ---- the images ----------------------------------------------------------------------------------

Layout layout(const char* name, uint64_t cluster, const char* compression, const char* journal, Tearing tearing) {
  Layout made;
  // The last cluster is cut, and so is its last block.
  made.config = {name, "varve", {}, 6 * cluster + cluster / 2 + 512, std::nullopt};
  made.config.options = {{"cluster_size", std::to_string(cluster)}, {"compression", compression}, {"journal_size", journal}};
  made.block = cluster;
  made.filled_run = 2 * cluster;
  made.tearing = tearing;
  // Half of them write clusters before they are flushed.
  if (tearing.unit == 4096) made.write_buffer = cluster;
  return made;
}

Layout encrypted(Layout made) {
  made.config.options["encryption"] = "aes-256-gcm";
  return made;
}

std::vector<Layout> layouts() {
  constexpr Tearing kSectors{512, false};
  constexpr Tearing kBlocks{4096, true};
  return {
      layout("4 KiB, zlib", 4 * kKiB, "zlib:1", "128K", kSectors),
      layout("4 KiB, zstd, blocks torn", 4 * kKiB, "zstd:1", "128K", kBlocks),
      layout("4 KiB, zstd, no journal", 4 * kKiB, "zstd:1", "0", kSectors),
      layout("4 KiB, zlib, no journal, blocks torn", 4 * kKiB, "zlib:1", "0", kBlocks),
      layout("64 KiB", 64 * kKiB, "none", "128K", kSectors),
      layout("64 KiB, blocks torn", 64 * kKiB, "none", "128K", kBlocks),
      layout("64 KiB, no journal", 64 * kKiB, "none", "0", kSectors),
      layout("64 KiB, no journal, blocks torn", 64 * kKiB, "none", "0", kBlocks),
      encrypted(layout("4 KiB, zstd, encrypted", 4 * kKiB, "zstd:1", "128K", kSectors)),
      encrypted(layout("64 KiB, encrypted, blocks torn", 64 * kKiB, "none", "128K", kBlocks)),
  };
}

std::vector<Layout> layouts_with_snapshots() {
  std::vector<Layout> all = layouts();
  for (Layout& made : all) made.snapshots = true;
  return all;
}

// ---- scripts of two operations -------------------------------------------------------------------

struct Operation {
  const char* name;
  void (*run)(CrashRun& run, uint64_t cluster);
};

/// Those that change snapshots come last.
constexpr size_t kPlainOperations = 12;
constexpr std::array<Operation, 15> kOperations = {{
    {"write a cluster", [](CrashRun& run, uint64_t c) { run.write(c, c); }},
    {"write within a block", [](CrashRun& run, uint64_t c) { run.write(c + 512, 1024); }},
    {"write over clusters", [](CrashRun& run, uint64_t c) { run.write(2 * c - 1024, c + 2048); }},
    {"write into a hole", [](CrashRun& run, uint64_t c) { run.write(3 * c + 512, 512); }},
    {"write what is compressed well",
     [](CrashRun& run, uint64_t c) {
       run.skip_to_compressible();
       run.write(0, c);
     }},
    {"zero", [](CrashRun& run, uint64_t c) { run.zero(c / 2, 2 * c); }},
    {"discard", [](CrashRun& run, uint64_t c) { run.discard(c, 2 * c); }},
    {"flush", [](CrashRun& run, uint64_t /*c*/) { run.flush(); }},
    {"write and flush a little",
     [](CrashRun& run, uint64_t c) {
       run.write(5 * c + 512, 512);
       run.flush();
       run.write(2 * c + 1024, 512);
       run.flush();
     }},
    {"grow", [](CrashRun& run, uint64_t c) { run.grow(c + 512); }},
    {"shrink", [](CrashRun& run, uint64_t c) { run.shrink(3 * c - 512); }},
    {"close and reopen",
     [](CrashRun& run, uint64_t /*c*/) {
       run.close();
       run.reopen();
     }},
    {"create a snapshot", [](CrashRun& run, uint64_t /*c*/) { run.create_snapshot(); }},
    {"delete a snapshot", [](CrashRun& run, uint64_t /*c*/) { run.delete_snapshot(); }},
    {"revert and write",
     [](CrashRun& run, uint64_t c) {
       run.revert_to_snapshot();
       run.write(c, c);
     }},
}};

uint64_t cluster_of(const Layout& layout) { return layout.block; }

/// The first flush of a session is a commit; `warm` sessions have had it, and their journal.
void run_two(CrashRun& run, const Operation& first, const Operation& second, uint64_t cluster, bool warm) {
  if (warm) {
    run.write(4 * cluster, 512);
    run.flush();
    run.begin_here();
  }
  first.run(run, cluster);
  second.run(run, cluster);
  run.flush();
  run.close();
}

struct Tally {
  std::set<PowerCuts::Hash> distinct;
  std::set<PowerCuts::Hash> twice;  ///< the power failed again in what followed
  uint64_t scripts = 0;
  std::chrono::steady_clock::time_point begin = std::chrono::steady_clock::now();

  double seconds() const { return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count(); }
  void print(const char* what) const {
    std::printf("power cuts, %s: %zu distinct states of %llu scripts and %zu after a second cut in %.1f s\n", what, distinct.size(),
                static_cast<unsigned long long>(scripts), twice.size(), seconds());
  }
};

/// Every layout, cold and warm.
constexpr uint64_t kWays = 16;

/// Pair number `number` on `ways` of them; each pair on others, all of them in turn.
/// On one of `cut_again` states the power fails again.
void run_pair(const Operation& first, const Operation& second, uint64_t number, uint64_t ways, uint64_t cut_again,
              const std::vector<Layout>& all, Tally& tally, Rng& rng) {
  for (uint64_t i = 0; i < std::min(kWays, scaled(ways)); ++i) {
    const uint64_t way = (number * 3 + i * 5) % kWays;
    const Layout& made = all[way / 2];
    const bool warm = way % 2 != 0;
    CrashRun run(made, true, rng);
    run.cut_again(cut_again, tally.twice);
    run_two(run, first, second, cluster_of(made), warm);
    const std::string wrong = run.judge(tally.distinct);
    CHECK_MESSAGE(wrong == "", first.name << ", " << second.name << (warm ? ", warm, on " : " on ") << made.config.name << ": " << wrong);
    ++tally.scripts;
  }
}

TEST_CASE("varve survives a power cut at any moment of all scripts of two operations, and a second one: 60,000 distinct states") {
  Rng rng("varve power cuts");
  SHOW_SEED(rng);
  const std::vector<Layout> all = layouts();
  Tally tally;
  uint64_t number = 0;
  for (size_t first = 0; first < kPlainOperations; ++first) {
    for (size_t second = 0; second < kPlainOperations; ++second) {
      if (number++ % stride() == 0) run_pair(kOperations[first], kOperations[second], number, 5, 16, all, tally, rng);
    }
  }
  tally.print("two operations");
  if (stride() == 1) CHECK(tally.distinct.size() + tally.twice.size() >= kStates);
  if (stride() == 1) CHECK(tally.twice.size() >= kStatesTwice);
}

TEST_CASE("varve survives a power cut in all scripts of two operations on a tree of snapshots, which stay what they were") {
  Rng rng("varve power cuts with snapshots");
  SHOW_SEED(rng);
  const std::vector<Layout> all = layouts_with_snapshots();
  Tally tally;
  uint64_t number = 0;
  for (size_t first = 0; first < kOperations.size(); ++first) {
    for (size_t second = 0; second < kOperations.size(); ++second) {
      const bool snapshots = first >= kPlainOperations || second >= kPlainOperations;
      if (number++ % stride() == 0) run_pair(kOperations[first], kOperations[second], number, snapshots ? 5 : 1, 48, all, tally, rng);
    }
  }
  tally.print("two operations with snapshots");
  if (stride() == 1) CHECK(tally.distinct.size() + tally.twice.size() >= kStatesWithSnapshots);
  if (stride() == 1) CHECK(tally.twice.size() >= kStatesTwice);
}

// ---- longer scripts ------------------------------------------------------------------------------

void random_few(CrashRun& run) {
  run.random(12);
  run.flush();
  run.random(8);
  run.close();
}

void random_flushes(CrashRun& run) {
  for (int i = 0; i < 5; ++i) {
    run.random(4);
    run.flush();
  }
}

void random_sessions(CrashRun& run) {
  for (int i = 0; i < 3; ++i) {
    run.random(4);
    run.shrink(run.random_length(30000));
    run.random(2);
    run.grow(run.random_length(40000));
    run.close();
    run.reopen();
  }
}

constexpr std::array<Script, 6> kLongScripts = {{{"random on an empty disk", false, random_few},
                                                 {"random on a filled disk", true, random_few},
                                                 {"random flushes of an empty disk", false, random_flushes},
                                                 {"random flushes of a filled disk", true, random_flushes},
                                                 {"random sessions of an empty disk", false, random_sessions},
                                                 {"random sessions of a filled disk", true, random_sessions}}};

TEST_CASE("varve survives a power cut in longer scripts: 30,000 distinct states") {
  Rng rng("varve long power cuts");
  SHOW_SEED(rng);
  run_pairs(pairs(layouts(), kLongScripts, rng), scaled(kLongStates), rng);
}

TEST_CASE("varve survives a power cut in longer scripts on a tree of snapshots: 20,000 distinct states") {
  Rng rng("varve long power cuts with snapshots");
  SHOW_SEED(rng);
  run_pairs(pairs(layouts_with_snapshots(), kLongScripts, rng), scaled(kLongStatesWithSnapshots), rng);
}

/// What is found wrong if the medium sees `tampered` of the log.
std::string judge_tampered(const Layout& made, std::vector<StorageEvent> (*tamper)(std::vector<StorageEvent>)) {
  Rng rng("varve tampered");
  std::set<PowerCuts::Hash> distinct;
  CrashRun run(made, true, rng);
  const auto& [first, second] = made.snapshots ? std::pair(kOperations[13], kOperations[14]) : std::pair(kOperations[2], kOperations[8]);
  run_two(run, first, second, cluster_of(made), false);
  return run.judge(distinct, tamper(run.log()));
}

TEST_CASE("varve: a medium that lies about flushes is caught, and one that forgets every other flush") {
  for (const bool snapshots : {false, true}) {
    for (const Layout& made : snapshots ? layouts_with_snapshots() : layouts()) {
      INFO(made.config.name << (snapshots ? ", snapshots" : ""));
      CHECK(judge_tampered(made, without_flushes) != "");
      CHECK(judge_tampered(made, [](auto log) { return without_every_other_flush(std::move(log), true); }) != "");
      CHECK(judge_tampered(made, [](auto log) { return without_every_other_flush(std::move(log), false); }) != "");
    }
  }
}

}  // namespace
}  // namespace varve::test
