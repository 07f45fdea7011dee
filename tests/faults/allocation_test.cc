// Memory runs out: in each script every allocation fails once, and in turn all from one on. bad_alloc or an Error reaches the caller,
// nothing leaks, and what is on disk is what an I/O error in the same place might have left.
#include <vector>

#include "faults/bench.h"
#include "faults/scripts.h"
#include "faults/session.h"
#include "support/heap.h"
#include "support/seeds.h"
#include "support/test.h"
#include "varve/format.h"

namespace varve::test {
namespace {

struct Attempted {
  uint64_t allocations = 0;
  bool struck = false;
};

/// Runs the script with allocation `k` failing, with `sticky` all after it as well; 0: none.
Attempted attempt(const Script& script, uint64_t k, bool sticky) {
  MemoryBench bench(*script.files);
  const auto attempt = script.begin(bench);
  Circumstances how;
  how.lasting = sticky;
  Attempted outcome;
  {
    const FailAllocation failing(k, sticky);
    how.done = attempt->carry_out();
    outcome = {failing.count(), failing.failed()};
  }
  if (k != 0 && !outcome.struck) return outcome;
  // An Error is what a later call says of a flush that failed.
  CHECK(attempt->witness().other_than({Errc::io, script.also.value_or(Errc::io)}) == "");
  try {
    CHECK(attempt->verdict(how) == "");
  } catch (const Error& error) {
    FAIL_CHECK(error.what());
  }
  return outcome;
}

uint64_t fail_everywhere(const std::vector<Script>& scripts, bool sticky) {
  uint64_t injected = 0;
  uint64_t first = 0;  // another one for each script, or a stride would never reach some allocations
  for (const Script& script : scripts) {
    attempt(script, 0, false);  // what is made once for the whole program
    const uint64_t step = stride() * script.one_in * script.one_allocation_in;
    for (uint64_t k = 1 + first++ % step;; k += step, ++injected) {
      INFO(script.name << ", allocation " << k << std::string(sticky ? " and all after it" : ""));
      const uint64_t before = heap_in_use();
      const bool struck = attempt(script, k, sticky).struck;
      CHECK(heap_in_use() == before);
      if (!struck) break;
    }
  }
  return injected;
}

/// Each script twice: one allocation fails, and all from there on.
void fail_all(const std::string& what, const std::vector<Script>& scripts, uint64_t at_least) {
  const uint64_t injected = fail_everywhere(scripts, false) + fail_everywhere(scripts, true);
  report("failed allocations of " + std::to_string(scripts.size()) + " scripts while " + what, injected, at_least);
}

TEST_CASE("every allocation of open, info, map, read, check, probe and compare fails") { fail_all("reading", reading_scripts(), 22500); }

TEST_CASE("every allocation of write, zero, discard, flush, resize and close fails, in every subformat") {
  fail_all("writing in place", session_scripts(), 44000);
}

TEST_CASE("every allocation of a change of snapshots fails") { fail_all("changing snapshots", snapshot_scripts(), 4200); }

TEST_CASE("every allocation of a growth that moves the table fails") { fail_all("the table moves", moving_scripts(), 460); }

TEST_CASE("every allocation of a repair fails") { fail_all("repairing", repair_scripts(), 7500); }

TEST_CASE("every allocation of create and convert fails, to every subformat and to a pipe and from one") {
  fail_all("making", making_scripts(), 45000);
  fail_all("replacing", replacing_scripts(), 15800);
  fail_all("piping", piping_scripts(), 3400);
}

}  // namespace
}  // namespace varve::test
