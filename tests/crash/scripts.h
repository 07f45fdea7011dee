// What the suites of all formats do with their scripts.
#ifndef VARVE_TESTS_CRASH_SCRIPTS_H
#define VARVE_TESTS_CRASH_SCRIPTS_H

#include <cstdint>
#include <span>
#include <vector>

#include "crash/crash_run.h"

namespace varve::test {

struct Script {
  const char* name;
  bool filled;
  void (*run)(CrashRun& run);
};

struct Pair {
  Layout layout;
  Script script;
};

/// Every script on every layout, in an order in which the first few are of many kinds.
std::vector<Pair> pairs(const std::vector<Layout>& layouts, std::span<const Script> scripts, Rng& rng);

/// Cuts the power at every moment of each, over and over until `wanted` distinct states were judged. Says how long that took.
void run_pairs(const std::vector<Pair>& all, uint64_t wanted, Rng& rng);

/// How a log looks to a medium that forgets flushes: all of them, or every other one.
std::vector<StorageEvent> without_flushes(std::vector<StorageEvent> log);
std::vector<StorageEvent> without_every_other_flush(std::vector<StorageEvent> log, bool first);

}  // namespace varve::test

#endif
