// The kernel fails, on real files: every call, once and for ever. What lib/io makes of errno, what it cleans up, and that interrupted
// calls and short transfers are nobody's business.
#include "faults/system_calls.h"

#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <vector>

#include "faults/bench.h"
#include "faults/scripts.h"
#include "faults/session.h"
#include "support/process.h"
#include "support/seeds.h"
#include "support/test.h"

namespace varve::test {
namespace {

/// A real folder, emptied and filled anew.
class HostBench final : public Bench {
 public:
  HostBench(const TempDir& folder, const FileSet& files) : folder_(folder) {
    for (const auto& entry : std::filesystem::directory_iterator(folder.path())) std::filesystem::remove(entry);
    for (const auto& [name, bytes] : files) {
      std::ofstream(path(name)).close();
      bytes.write_to(*open(path(name), Access::read_write));
    }
  }
  FileSystem& files() override { return host_file_system(); }
  FileSystem& sound() override { return host_file_system(); }
  std::string path(const std::string& name) const override { return folder_ / name; }
  FileSet contents() override {
    FileSet all;
    for (const auto& entry : std::filesystem::directory_iterator(folder_.path()))
      all.emplace(entry.path().filename(), FileBytes(*open(entry.path(), Access::read_only)));
    return all;
  }
  bool can_always_remove() const override { return false; }
  bool flush_failed() const override { return system_flush_failed(); }

 private:
  static std::shared_ptr<Storage> open(const std::string& path, Access access) {
    return host_file_system().open(path, {.access = access, .lock = false, .durable = false, .allow_device = false});
  }
  const TempDir& folder_;
};

struct Fault {
  std::string name;
  CallFault what;
  bool sticky;
};

/// False if the script ended before the fault came.
bool strike(const TempDir& folder, const Script& script, const Fault& fault, uint64_t at) {
  const bool harmless = fault.what == CallFault::interrupted || fault.what == CallFault::short_transfer;
  HostBench bench(folder, *script.files);
  const auto attempt = script.begin(bench);
  Circumstances how;
  how.lasting = fault.sticky && fault.what == CallFault::io;
  {
    const FailSystemCall failing(at, fault.what, fault.sticky);
    how.done = attempt->carry_out();
  }
  if (!system_call_failed()) return false;
  if (harmless && !script.also) CHECK(attempt->witness().other_than({}) == "");
  CHECK(attempt->witness().other_than({Errc::io, Errc::no_space, script.also.value_or(Errc::io)}) == "");
  try {
    CHECK(attempt->verdict(how) == "");
  } catch (const Error& error) {
    FAIL_CHECK(error.what());
  }
  return true;
}

uint64_t strike_everywhere(const std::vector<Script>& scripts, const std::vector<Fault>& faults) {
  const TempDir folder(::access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");  // in memory it takes a tenth of the time
  uint64_t injected = 0;
  uint64_t first = 0;
  for (const Script& script : scripts) {
    for (const Fault& fault : faults) {
      for (uint64_t at = first++ % stride();; at += stride(), ++injected) {
        INFO(script.name << ": " << fault.name << " at system call " << at);
        if (!strike(folder, script, fault, at)) break;
      }
    }
  }
  return injected;
}

/// An image that another handle reads is not replaced, whatever fails.
class ReplacingUsed final : public Attempt {
 public:
  ReplacingUsed(Bench& bench, const FileSet& before) : bench_(bench), before_(before), user_(Image::open(bench.path("disk.raw"), raw())) {}
  std::string verdict(const Circumstances& how) override {
    if (how.done) return "the image was replaced";
    return difference(before_, bench_.contents());
  }

 private:
  static OpenOptions raw() {
    OpenOptions how;
    how.format = "raw";
    return how;
  }
  void run() override {
    ConvertOptions how = conversion(bench_, "vmdk", "raw", {});
    how.create.force = true;
    convert(bench_.path("disk.vmdk"), bench_.path("disk.raw"), how);
  }

  Bench& bench_;
  const FileSet& before_;
  const Image user_;
};

Script replacing_used() {
  const auto files = std::make_shared<FileSet>(*vmdk_disk("monolithicSparse").files);
  files->insert(raw_disk().files->begin(), raw_disk().files->end());
  return {"convert over an image in use", files, [files](Bench& bench) { return std::make_unique<ReplacingUsed>(bench, *files); },
          Errc::locked};
}

/// A selection: what is the same above lib/io need not be done again.
std::vector<Script> host_scripts() {
  std::vector<Script> all;
  const auto add = [&all](const std::vector<Script>& some, const std::vector<std::string>& wanted) {
    for (const Script& script : some) {
      const auto begins = [&](const std::string& name) { return script.name.starts_with(name); };
      if (std::any_of(wanted.begin(), wanted.end(), begins)) all.push_back(script);
    }
  };
  const std::string everything;
  add(reading_scripts(), {"raw", "delta: ", "split delta", "streamOptimized", "VHDX child"});
  add(session_scripts(), {"raw", "monolithicSparse: ", "split delta: write, zero", "monolithicFlat: write, zero",
                          "VHDX dynamic: write, zero", "VHDX with a pending log: writes"});
  add(repair_scripts(), {"the copies differ", "torn copies of"});
  add(making_scripts(), {"create", "convert raw", "convert delta: "});
  add(replacing_scripts(), {"convert over", "convert raw over", "convert into raw", "convert into delta: "});
  add(piping_scripts(), {everything});
  return all;
}

TEST_CASE("every system call fails once and for ever: errno becomes the right error, and what is left is what may be left") {
  const uint64_t injected = strike_everywhere(host_scripts(), {{"EIO", CallFault::io, false},
                                                               {"EIO from then on", CallFault::io, true},
                                                               {"ENOSPC", CallFault::no_space, false},
                                                               {"ENOSPC from then on", CallFault::no_space, true},
                                                               {"EIO of flushes", CallFault::flush, true},
                                                               {"EMFILE", CallFault::open, false},
                                                               {"EMFILE from then on", CallFault::open, true}});
  report("system calls that failed", injected, 15000);
}

TEST_CASE("the same where new files need a name from the beginning") {
  refuse_unnamed_files(true);
  std::vector<Script> scripts;
  for (const Script& script : host_scripts())
    if (script.name.starts_with("create raw") || script.name.starts_with("create twoGb") || script.name.starts_with("convert over"))
      scripts.push_back(script);
  const uint64_t injected = strike_everywhere(scripts, {{"EIO", CallFault::io, false},
                                                        {"EIO from then on", CallFault::io, true},
                                                        {"ENOSPC", CallFault::no_space, false},
                                                        {"EMFILE", CallFault::open, false}});
  refuse_unnamed_files(false);
  report("with temporary names", injected, 2300);
}

TEST_CASE("an image in use is not replaced because it could not be looked at") {
  const uint64_t injected =
      strike_everywhere({replacing_used()}, {{"EMFILE", CallFault::open, false}, {"EMFILE from then on", CallFault::open, true}});
  report("over an image in use", injected, 14);
}

TEST_CASE("system calls that are interrupted or move only half of the bytes change nothing") {
  const uint64_t injected = strike_everywhere(host_scripts(), {{"EINTR", CallFault::interrupted, false},
                                                               {"EINTR every other time", CallFault::interrupted, true},
                                                               {"a short transfer", CallFault::short_transfer, false},
                                                               {"short transfers", CallFault::short_transfer, true}});
  report("interrupted calls and short transfers", injected, 5200);
}

}  // namespace
}  // namespace varve::test
