#include "crash/scripts.h"

#include <chrono>
#include <cstdio>
#include <set>
#include <string>
#include <utility>

#include "support/test.h"

namespace varve::test {

std::vector<Pair> pairs(const std::vector<Layout>& layouts, std::span<const Script> scripts, Rng& rng) {
  std::vector<Pair> all;
  for (const Layout& layout : layouts)
    for (const Script& script : scripts) all.push_back({layout, script});
  for (size_t i = all.size(); i > 1; --i) std::swap(all[i - 1], all[static_cast<size_t>(rng.below(i))]);
  return all;
}

void run_pairs(const std::vector<Pair>& all, uint64_t wanted, Rng& rng) {
  std::set<PowerCuts::Hash> distinct;
  uint64_t runs = 0;
  const auto begin = std::chrono::steady_clock::now();
  // Of the first round all, unless that is more than twice as much or the build is a slow one.
  const uint64_t most = stride() == 1 ? 2 * wanted : wanted;
  for (uint64_t round = 0; distinct.size() < wanted && round < 1000; ++round) {
    for (const Pair& pair : all) {
      if (distinct.size() >= (round == 0 ? most : wanted)) break;
      CrashRun run(pair.layout, pair.script.filled, rng);
      pair.script.run(run);
      const std::string wrong = run.judge(distinct);
      CHECK_MESSAGE(wrong == "", pair.script.name << " on " << pair.layout.config.name << ", run " << runs << ": " << wrong);
      ++runs;
    }
  }
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
  std::printf("power cuts, %s: %zu distinct states of %llu scripts in %.1f s\n", all.front().layout.config.format.c_str(), distinct.size(),
              static_cast<unsigned long long>(runs), took.count());
  CHECK(distinct.size() >= wanted);
}

// The history counts positions, so the events stay and only lose their effect.

std::vector<StorageEvent> without_flushes(std::vector<StorageEvent> log) {
  for (StorageEvent& event : log)
    if (event.kind == StorageEvent::Kind::flush) event.kind = StorageEvent::Kind::publish;
  return log;
}

std::vector<StorageEvent> without_every_other_flush(std::vector<StorageEvent> log, bool first) {
  bool drop = first;
  for (StorageEvent& event : log) {
    if (event.kind != StorageEvent::Kind::flush) continue;
    if (drop) event.kind = StorageEvent::Kind::publish;
    drop = !drop;
  }
  return log;
}

}  // namespace varve::test
