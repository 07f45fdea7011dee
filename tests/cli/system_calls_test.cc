// What the tool asks the kernel when an image names files of the host.
#include <regex>

#include "cli.h"
#include "support/host.h"

using namespace varve::test;  // NOLINT

namespace {

constexpr const char* kThere = "etc/passwd";
constexpr const char* kMissing = "etc/passw-";  // as long, so that whatever says a place says the same one

std::string over_extent(const std::string& name) {
  return "# Disk DescriptorFile\nversion=1\nCID=12345678\nparentCID=ffffffff\ncreateType=\"monolithicFlat\"\nRW 2 FLAT \"" + name +
         "\" 0\n";
}

std::string over_parent(const std::string& name) {
  return "# Disk DescriptorFile\nversion=1\nCID=12345678\nparentCID=87654321\nparentFileNameHint=\"" + name +
         "\"\ncreateType=\"monolithicFlat\"\nRW 2 FLAT \"disk-flat.vmdk\" 0\n";
}

struct Traced {
  RunResult result;
  std::string calls;  ///< all that take a file name, without what differs from run to run
};

/// Runs the tool on disk.vmdk with these contents.
Traced traced(const TempDir& dir, const std::string& image, const std::vector<std::string>& arguments) {
  static const std::regex kChanging("^[0-9]+ +|0x[0-9a-f]+", std::regex::multiline);  // process ids and addresses
  // Descriptors: which number is free depends on what other threads have open at the moment.
  static const std::regex kDescriptors("\\([0-9]+, | = [0-9]+$", std::regex::multiline);
  // What the runtime of a sanitizer looks up now and then, when something is thrown.
  static const std::regex kMaps("^.*\"/proc/self/maps\".*\n", std::regex::multiline);
  write_file(dir / "disk.vmdk", image);
  std::vector<std::string> argv = varve_argv(arguments);
  // The leak detector of sanitizer builds can't work under a tracer.
  argv.insert(argv.begin(),
              {"strace", "-f", "-qq", "-s", "4096", "-e", "trace=%file", "-E", "ASAN_OPTIONS=detect_leaks=0", "-o", dir / "log"});
  Traced traced{run(argv), {}};
  traced.calls = std::regex_replace(read_file(dir / "log"), kMaps, "");
  traced.calls = std::regex_replace(std::regex_replace(traced.calls, kChanging, ""), kDescriptors, "#");
  REQUIRE(contains(traced.calls, "disk.vmdk\", O_RDONLY"));
  return traced;
}

std::string with_name(std::string text, const std::string& name, const std::string& other) {
  for (size_t at = text.find(name); at != std::string::npos; at = text.find(name, at + other.size())) text.replace(at, name.size(), other);
  return text;
}

}  // namespace

TEST_CASE("REF-2: a name that leads out of the image's directory is in no system call, and whether there is such a file does not show") {
  NEED_TOOL("strace");
  SKIP_IF_ANY(why_no_ptrace());
  const TempDir dir;
  write_file(dir / "disk-flat.vmdk", std::string(1024, 'x'));
  const std::vector<std::vector<std::string>> commands = {{"info", dir / "disk.vmdk"},
                                                          {"info", "--chain", dir / "disk.vmdk"},
                                                          {"check", dir / "disk.vmdk"},
                                                          {"convert", dir / "disk.vmdk", dir / "out.raw"}};
  for (const auto& image : {over_extent, over_parent}) {
    for (const std::string prefix : {"/", "../../"}) {
      for (const auto& command : commands) {
        INFO(image("") << prefix << " " << command.at(0) << " " << command.at(1));
        const Traced there = traced(dir, image(prefix + kThere), command);
        const Traced missing = traced(dir, image(prefix + kMissing), command);
        const bool only_named = image == over_parent && command.at(0) == "info" && command.at(1) != "--chain";
        CHECK(there.result.exit_code == (only_named ? 0 : 1));
        CHECK(missing.result.exit_code == there.result.exit_code);
        CHECK_FALSE(contains(there.calls, kThere));
        CHECK(there.calls == missing.calls);
        CHECK(contains(there.result.out + there.result.err, kThere));
        CHECK(there.result.out == with_name(missing.result.out, kMissing, kThere));
        CHECK(there.result.err == with_name(missing.result.err, kMissing, kThere));
        CHECK_FALSE(exists(dir / "out.raw"));
      }
    }
  }
  // The trace would show it.
  const Traced allowed = traced(dir, over_extent(std::string("/") + kThere), {"info", "--references=any", dir / "disk.vmdk"});
  CHECK(contains(allowed.calls, kThere));
}
