// As for VMDK, of an image with a log: opened for reading it is replayed in memory and the file stays as it is, opened for writing it goes
// into the file; and there too the power may fail.
#include <array>
#include <cstdio>
#include <set>
#include <string>
#include <vector>

#include "crash/scripts.h"
#include "crash/vhdx_layouts.h"
#include "support/test.h"

namespace varve::test {
namespace {

constexpr uint64_t kKiB = 1024;
constexpr uint64_t kMiB = 1024 * kKiB;
constexpr uint64_t kStates = 10000;
constexpr uint64_t kRingStates = 200;
constexpr uint64_t kResizeStates = 3000;
constexpr uint64_t kMoveStates = 200;
constexpr uint64_t kRepairStates = 600;
constexpr uint64_t kReplayStates = 1000;
constexpr uint64_t kTwiceCutStates = 1500;

void allocate(CrashRun& run) {
  for (uint64_t i = 0; i < 3; ++i) run.write(i * kMiB + i * 700, 5 * kKiB);
  run.flush();
  for (uint64_t i = 0; i < 3; ++i) run.write(i * kMiB + 2 * kKiB, 512);
  run.flush();
  run.close();
}

void allocate_over_borders(CrashRun& run) {
  run.write(kMiB - 4 * kKiB, 8 * kKiB);
  run.write(2 * kMiB - 512, 1024);
  run.flush();
  run.write(0, kMiB + 64 * kKiB);
  run.close();
}

void overwrite(CrashRun& run) {
  for (uint64_t round = 0; round < 3; ++round) {
    for (uint64_t i = 0; i < 4; ++i) run.write(i * 600 * kKiB + round * 512, 3 * kKiB);
    if (round != 1) run.flush();
  }
  run.close();
}

/// A block that is given up is used again after two flushes: the places of blocks 0 and 1 change hands.
void zero_and_swap(CrashRun& run) {
  run.zero(0, 2 * kMiB);
  run.flush();
  run.flush();
  run.write(kMiB + 8 * kKiB, 4 * kKiB);
  run.write(16 * kKiB, 4 * kKiB);
  run.zero(100 * kKiB, 3 * kKiB);
  run.flush();
  run.zero(kMiB, kMiB);
  run.zero(kMiB - 6 * kKiB, 5 * kKiB);
  run.close();
}

void discard_and_refill(CrashRun& run) {
  run.discard(0, kMiB);
  run.flush();
  run.write(10 * kKiB, 20 * kKiB);
  run.discard(kMiB, kMiB + 64 * kKiB);
  run.flush();
  run.flush();
  run.write(kMiB + 90 * kKiB, 512);
  run.write(2 * kMiB, 1024);
  run.flush();
  run.discard(0, 3 * kMiB);
  run.close();
}

void flush_often(CrashRun& run) {
  for (uint64_t i = 0; i < 8; ++i) {
    run.write(i % 3 * kMiB + i * 4 * kKiB, 1024);
    if (i % 3 == 2) run.zero(i % 2 * kMiB, kMiB);
    run.flush();
  }
}

void close_and_reopen(CrashRun& run) {
  run.write(5 * kKiB, 3 * kKiB);
  run.close();
  run.reopen();
  run.zero(0, kMiB);
  run.write(kMiB, 3 * kKiB);
  run.flush();
  run.close();
  run.reopen();
  run.write(2 * kMiB - 512, 1024);
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

constexpr std::array<Script, 13> kScripts = {{{"allocate", false, allocate},
                                              {"allocate in a filled disk", true, allocate},
                                              {"allocate over borders", false, allocate_over_borders},
                                              {"overwrite", true, overwrite},
                                              {"zero and swap", true, zero_and_swap},
                                              {"discard and refill", true, discard_and_refill},
                                              {"flush often on an empty disk", false, flush_often},
                                              {"flush often on a filled disk", true, flush_often},
                                              {"close and reopen", true, close_and_reopen},
                                              {"random on an empty disk", false, random_few},
                                              {"random on a filled disk", true, random_few},
                                              {"many random ones on an empty disk", false, random_many},
                                              {"many random ones on a filled disk", true, random_many}}};

TEST_CASE("VHDX survives a power cut at any moment of every script: 10,000 distinct states") {
  Rng rng("VHDX power cuts");
  SHOW_SEED(rng);
  run_pairs(pairs(vhdx_layouts_to_write(), kScripts, rng), scaled(kStates), rng);
}

// ---- the log -------------------------------------------------------------------------------------

/// An entry for each flush, with a page of the table and, of a child, one of a bitmap. The power fails from flush `begin` on.
void go_round_the_log(CrashRun& run, uint64_t begin, uint64_t end) {
  for (uint64_t i = 0; i < end; ++i) {
    if (i == begin) run.begin_here();
    run.write(kMiB + i * 1024, run.random_length(3 * kKiB));
    if (i % 2 == 0) {
      run.write(0, run.random_length(4 * kKiB));
    } else {
      run.zero(0, kMiB);
    }
    run.flush();
  }
}

// The first entry of a session has 2 sectors, then a dynamic disk's have 2 and a child's 3. The ring has 256.
constexpr std::array<Script, 2> kRoundScripts = {{
    {"entries of two sectors come to the ring's end", false, [](CrashRun& run) { go_round_the_log(run, 124, 131); }},
    {"entries of three sectors go over the ring's end", false, [](CrashRun& run) { go_round_the_log(run, 82, 88); }},
}};

TEST_CASE("VHDX survives a power cut where the log goes over the end of its ring: 200 distinct states") {
  Rng rng("VHDX ring cuts");
  SHOW_SEED(rng);
  const std::vector<Layout> all = vhdx_layouts_to_write();
  run_pairs({{all[0], kRoundScripts[0]}, {all[3], kRoundScripts[1]}}, scaled(kRingStates), rng);
}

// ---- growing and shrinking -----------------------------------------------------------------------

void grow_in_a_block(CrashRun& run) {
  run.write(kMiB, 2560);
  run.grow(4 * kKiB);
  run.write(kMiB + 2 * kKiB, 2 * kKiB);
  run.flush();
  run.close();
}

void grow_over_blocks(CrashRun& run) {
  run.write(kMiB - 2 * kKiB, 3 * kKiB);
  run.grow(kMiB);
  run.write(kMiB + 20 * kKiB, 5 * kKiB);
  run.flush();
  run.write(2 * kMiB - 1024, 3 * kKiB);
  run.grow(300 * kKiB);
  run.close();
}

/// What was cut off must not come back.
void shrink_and_grow(CrashRun& run) {
  run.write(kMiB, 4 * kKiB);
  run.flush();
  run.shrink(100 * kKiB);
  run.write(0, 512);
  run.grow(kMiB);
  run.write(kMiB + 512 * kKiB, 3 * kKiB);
  run.flush();
  run.shrink(kMiB + 200 * kKiB);
  run.flush();
  run.write(600 * kKiB, 4 * kKiB);
  run.grow(2 * kMiB);
  run.close();
}

void random_sizes(CrashRun& run) {
  for (int i = 0; i < 3; ++i) {
    run.random(3);
    run.grow(run.random_length(kMiB));
    run.random(2);
    run.shrink(run.random_length(kMiB));
  }
  run.close();
}

constexpr std::array<Script, 7> kResizeScripts = {{{"grow in a block", true, grow_in_a_block},
                                                   {"grow over blocks", true, grow_over_blocks},
                                                   {"grow an empty disk over blocks", false, grow_over_blocks},
                                                   {"shrink and grow", true, shrink_and_grow},
                                                   {"shrink and grow an empty disk", false, shrink_and_grow},
                                                   {"random sizes of a filled disk", true, random_sizes},
                                                   {"random sizes of an empty disk", false, random_sizes}}};

TEST_CASE("VHDX survives a power cut at any moment of growing and shrinking: 3,000 distinct states") {
  Rng rng("VHDX resize cuts");
  SHOW_SEED(rng);
  run_pairs(pairs(vhdx_layouts_to_grow(), kResizeScripts, rng), scaled(kResizeStates), rng);
}

void move_table(CrashRun& run) {
  run.write(4 * kKiB, run.random_length(4 * kKiB));
  run.grow(2 * kMiB);
  run.write(kMiB + 4 * kKiB, 4 * kKiB);
  run.close();
}

/// The table's old place takes a block; then the disk no longer needs the new one.
void use_the_old_place(CrashRun& run) {
  run.write(4 * kKiB, run.random_length(4 * kKiB));
  run.flush();
  run.grow(8 * kMiB);
  run.flush();
  run.zero(0, kMiB);
  run.flush();
  run.close();
  run.reopen();
  run.write(2 * kMiB, 4 * kKiB);
  run.shrink(10 * kMiB);
  run.write(512, 1024);
  run.close();
}

constexpr std::array<Script, 3> kMoveScripts = {{{"move the table", true, move_table},
                                                 {"move the table of an empty disk", false, move_table},
                                                 {"use the table's old place", true, use_the_old_place}}};

TEST_CASE("VHDX survives a power cut while its table moves to a larger region: 200 distinct states") {
  Rng rng("VHDX table cuts");
  SHOW_SEED(rng);
  run_pairs(pairs(vhdx_layouts_with_full_tables(), kMoveScripts, rng), scaled(kMoveStates), rng);
}

// ---- repairs -------------------------------------------------------------------------------------

void repair(CrashRun& run) { run.repair(); }

void write_and_repair(CrashRun& run) {
  run.write(3 * kKiB, run.random_length(8 * kKiB));
  run.repair();
  run.write(kMiB, run.random_length(8 * kKiB));
  run.close();
}

void repair_and_write(CrashRun& run) {
  run.repair();
  run.write(kMiB + 5 * kKiB, run.random_length(8 * kKiB));
  run.flush();
  run.close();
}

void write_unrepaired(CrashRun& run) {
  run.write(kMiB, run.random_length(8 * kKiB));
  run.flush();
  run.zero(0, kMiB);
  run.close();
}

constexpr std::array<Script, 4> kRepairScripts = {{{"repair", true, repair},
                                                   {"write and repair", true, write_and_repair},
                                                   {"repair and write", true, repair_and_write},
                                                   {"write without repair", true, write_unrepaired}}};

TEST_CASE("VHDX with a torn copy survives a power cut at any moment of its repair, which can be done again: 600 distinct states") {
  Rng rng("VHDX repair cuts");
  SHOW_SEED(rng);
  run_pairs(pairs(vhdx_layouts_to_repair(), kRepairScripts, rng), scaled(kRepairStates), rng);
}

// ---- a second cut --------------------------------------------------------------------------------

void only_replay(CrashRun& run) { run.close(); }

void replay_and_write(CrashRun& run) {
  run.random(5);
  run.flush();
  run.random(4);
  run.close();
}

/// The states of what follows the first cut. What replay leaves is first judged by the script that the first cut hit.
std::string judge_second(CrashRun& first, const CutState& left, const Script& next, std::set<PowerCuts::Hash>& distinct) {
  CrashRun second(first, left);
  if (const std::string wrong = first.verdict_of_content(left, second.start(), second.start_size()); !wrong.empty())
    return left.name + ": " + wrong;
  next.run(second);
  const std::string wrong = second.judge(distinct);
  return wrong.empty() ? wrong : left.name + ", then " + next.name + ", " + wrong;
}

void cut_twice(const std::vector<Pair>& all, const Script& next, uint64_t wanted, Rng& rng) {
  std::set<PowerCuts::Hash> distinct;
  uint64_t logs = 0;
  for (size_t i = 0; distinct.size() < wanted && i < 1000 * all.size(); ++i) {
    const Pair& pair = all[i % all.size()];
    CrashRun first(pair.layout, pair.script.filled, rng);
    pair.script.run(first);
    for (const CutState& left : first.pick_states(2, [&](const CutState& state) { return first.has_pending_log(state); })) {
      const std::string wrong = judge_second(first, left, next, distinct);
      CHECK_MESSAGE(wrong == "", pair.script.name << " on " << pair.layout.config.name << ", run " << i << ": " << wrong);
      ++logs;
    }
  }
  std::printf("second cuts: %zu distinct states after %llu logs, %s\n", distinct.size(), static_cast<unsigned long long>(logs), next.name);
  CHECK(distinct.size() >= wanted);
}

TEST_CASE("VHDX survives a second power cut while the log of the first is replayed: 1,000 distinct states") {
  Rng rng("VHDX replay cuts");
  SHOW_SEED(rng);
  std::vector<Pair> all = pairs(vhdx_layouts_to_write(), kScripts, rng);
  const std::vector<Pair> resizing = pairs(vhdx_layouts_to_grow(), kResizeScripts, rng);
  for (size_t i = 0; i < resizing.size(); ++i) all.insert(all.begin() + static_cast<ptrdiff_t>(2 * i), resizing[i]);
  all.insert(all.begin(), {vhdx_layouts_with_full_tables()[0], kMoveScripts[0]});
  cut_twice(all, {"replay", false, only_replay}, scaled(kReplayStates), rng);
}

TEST_CASE("VHDX survives a second power cut in the writes that follow the replay: 1,500 distinct states") {
  Rng rng("VHDX second cuts");
  SHOW_SEED(rng);
  cut_twice(pairs(vhdx_layouts_to_write(), kScripts, rng), {"replay and writes", false, replay_and_write}, scaled(kTwiceCutStates), rng);
}

// ---- the harness itself can fail ----------------------------------------------------------------

/// What is found wrong with a script if the medium sees `tampered` of its log.
std::string judge_tampered(size_t layout, const Script& script, std::vector<StorageEvent> (*tamper)(std::vector<StorageEvent>)) {
  Rng rng("VHDX tampered");
  std::set<PowerCuts::Hash> distinct;
  CrashRun run(vhdx_layouts_to_write()[layout], script.filled, rng);
  script.run(run);
  return run.judge(distinct, tamper(run.log()));
}

TEST_CASE("VHDX: a medium that lies about flushes is caught, and one that forgets every other flush") {
  for (size_t layout = 0; layout < vhdx_layouts_to_write().size(); ++layout) {
    if (vhdx_layouts_to_write()[layout].config.name == "fixed") continue;
    INFO("layout " << layout);
    CHECK(judge_tampered(layout, kScripts[0], without_flushes) != "");
    CHECK(judge_tampered(layout, kScripts[0], [](auto log) { return without_every_other_flush(std::move(log), true); }) != "");
    CHECK(judge_tampered(layout, kScripts[0], [](auto log) { return without_every_other_flush(std::move(log), false); }) != "");
  }
}

}  // namespace
}  // namespace varve::test
