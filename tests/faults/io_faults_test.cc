// The host fails: every call of every script once, and from that call on for ever. The error reaches the caller, the image is never
// damaged, its contents are what was promised or what was written since, and what was not finished is not published.
#include <vector>

#include "faults/bench.h"
#include "faults/scripts.h"
#include "faults/session.h"
#include "support/seeds.h"
#include "support/test.h"

namespace varve::test {
namespace {

struct Fault {
  std::string name;
  FaultKind kind;
  Hit hit;
  bool sticky;
};

/// A single failed flush is among the I/O errors.
const std::vector<Fault>& failures() {
  static const std::vector<Fault> all = {{"an I/O error", FaultKind::io, Hit::any, false},
                                         {"I/O errors from then on", FaultKind::io, Hit::any, true},
                                         {"no space", FaultKind::no_space, Hit::space, false},
                                         {"no space from then on", FaultKind::no_space, Hit::space, true},
                                         {"half a write", FaultKind::torn_write, Hit::write, false},
                                         {"half a write and no more", FaultKind::torn_write, Hit::write, true},
                                         {"flush errors from then on", FaultKind::io, Hit::flush, true}};
  return all;
}

/// The host says that all is well.
const std::vector<Fault>& lies() {
  static const std::vector<Fault> all = {{"a flipped bit", FaultKind::flipped_bit, Hit::read, false},
                                         {"flipped bits from then on", FaultKind::flipped_bit, Hit::read, true},
                                         {"a lost write", FaultKind::lost_write, Hit::write, false},
                                         {"lost writes from then on", FaultKind::lost_write, Hit::write, true}};
  return all;
}

/// False if the script ended before the fault came.
bool strike(const Script& script, const Fault& fault, bool honest, uint64_t at) {
  const auto plan = std::make_shared<FaultPlan>(at, fault.kind, fault.sticky, fault.hit);
  MemoryBench bench(*script.files, plan);
  const auto attempt = script.begin(bench);
  Circumstances how;
  how.done = attempt->carry_out();
  how.honest = honest;
  how.torn = fault.kind == FaultKind::torn_write;
  how.lasting = fault.sticky && fault.hit == Hit::any;
  if (!plan->struck()) return false;
  if (honest) CHECK(attempt->witness().other_than({Errc::io, Errc::no_space, script.also.value_or(Errc::io)}) == "");
  try {
    CHECK(attempt->verdict(how) == "");
  } catch (const Error& error) {
    FAIL_CHECK(error.what());
  }
  return true;
}

uint64_t strike_everywhere(const std::vector<Script>& scripts, const std::vector<Fault>& faults, bool honest) {
  uint64_t injected = 0;
  uint64_t first = 0;  // another one for each script, or a stride would never reach some calls
  for (const Script& script : scripts) {
    for (const Fault& fault : faults) {
      const uint64_t step = stride() * script.one_in;
      for (uint64_t at = first++ % step;; at += step, ++injected) {
        INFO(script.name << ": " << fault.name << " at call " << at);
        if (!strike(script, fault, honest, at)) break;
      }
    }
  }
  return injected;
}

TEST_CASE("MEM-5: an open, check or read that fails at any call throws the host's error and changes nothing") {
  report("faults while reading", strike_everywhere(reading_scripts(), failures(), true), 5000);
}

TEST_CASE("every call to the host fails once and for ever: the error is reported and the image stays sound, in every subformat") {
  report("faults in place", strike_everywhere(session_scripts(), failures(), true), 15000);
}

TEST_CASE("a change of snapshots that fails at any call: disk and snapshots are as before or as afterwards, and no space is lost") {
  report("faults while snapshots change", strike_everywhere(snapshot_scripts(), failures(), true), 1200);
}

TEST_CASE("a growth that moves the table and fails at any call: the old size or the new one, and what the handle says is so") {
  report("faults while the table moves", strike_everywhere(moving_scripts(), failures(), true), 145);
}

TEST_CASE("a repair that fails at any call can be done again, and the handle stays fit for use") {
  report("faults while repairing", strike_everywhere(repair_scripts(), failures(), true), 2700);
}

TEST_CASE("a create or convert that fails at any call leaves no file and its source as it was") {
  uint64_t injected = strike_everywhere(making_scripts(), failures(), true);
  injected += strike_everywhere(replacing_scripts(), failures(), true);
  injected += strike_everywhere(piping_scripts(), failures(), true);
  report("faults while making", injected, 6900);
}

TEST_CASE("a host that reads or writes something else does no harm: no crash, no endless work, no file touched that is not its own") {
  uint64_t injected = strike_everywhere(reading_scripts(), lies(), false);
  injected += strike_everywhere(session_scripts(), lies(), false);
  injected += strike_everywhere(repair_scripts(), lies(), false);
  injected += strike_everywhere(making_scripts(), lies(), false);
  report("lies", injected, 9000);
}

TEST_CASE("a bit that flips in a compressed grain never gets through") {
  constexpr uint64_t kLargestTable = 4096;  // tables have no checksum
  std::vector<Script> scripts = {reading_scripts(vmdk_disk("streamOptimized")).at(kReadScript)};
  for (const Subject& subject : foreign_disks())
    if (subject.name.starts_with("stream")) scripts.push_back(reading_scripts(subject).at(kReadScript));
  uint64_t injected = 0;
  for (const Script& script : scripts) {
    for (uint64_t at = 0;; ++at) {
      INFO(script.name << " at call " << at);
      const auto plan = std::make_shared<FaultPlan>(at, FaultKind::flipped_bit, false, Hit::read);
      MemoryBench bench(*script.files, plan);
      const auto attempt = script.begin(bench);
      Circumstances how;
      how.done = attempt->carry_out();
      if (!plan->struck()) break;
      how.honest = plan->struck_bytes() > kLargestTable;
      if (how.honest) ++injected;
      CHECK(attempt->verdict(how) == "");
    }
  }
  CHECK(injected > 0);
}

}  // namespace
}  // namespace varve::test
