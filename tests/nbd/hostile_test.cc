// The hostile images of tests/hostile, served: the plugin is one more entry point.
#include <regex>

#include "cli/cli.h"
#include "nbd/server.h"
#include "support/host.h"

using namespace varve::test;  // NOLINT

namespace {

constexpr auto kPatience = std::chrono::seconds(30);

/// The images that the cases of hostile_tests whose names match are about, each in a file of its own.
std::vector<std::string> hostile_images(const TempDir& dir, const std::string& cases) {
  const char* program = std::getenv("VARVE_TEST_HOSTILE");
  REQUIRE_MESSAGE(program != nullptr, "VARVE_TEST_HOSTILE must name the program that makes them");
  const RunResult made = run({"env", "VARVE_TEST_HOSTILE_SHELF=" + dir.path(), program, "--source-file=" + cases});
  INFO(made.out << made.err);
  REQUIRE(made.exit_code == 0);
  std::vector<std::string> paths;
  for (const std::string& name : names_in(dir.path())) paths.push_back(dir / name);
  return paths;
}

/// Small disks are read to the end, of others the beginning.
constexpr const char* kReadIt = R"(
  size=$(nbdinfo --size "$uri") || exit 0
  nbdinfo --map --totals "$uri" >/dev/null 2>&1
  if [ "$size" -le 67108864 ]; then nbdcopy "$uri" null: ; else qemu-io -r -f raw -c 'read 0 64k' "$uri"; fi >/dev/null 2>&1
  exit 0)";

constexpr const char* kWriteIt = R"(
  qemu-io -f raw -c 'write -P 1 0 4k' -c 'write -P 2 64k 64k' -c 'write -z -u 128k 64k' -c 'discard 192k 64k' -c flush "$uri" >/dev/null 2>&1
  exit 0)";

/// It was served and is still there in the end, or one line told why not.
bool ends_well(const RunResult& result) {
  if (result.timed_out || (result.exit_code != 0 && result.exit_code != 1)) return false;
  if (result.exit_code == 0) return true;
  std::string errors = std::regex_replace(result.err, std::regex("nbdkit: error: warning: [^\n]*\n"), "");
  return errors.starts_with("nbdkit: error: ") && std::count(errors.begin(), errors.end(), '\n') == 1;
}

void every_image_ends_well(const std::string& cases, size_t at_least) {
  const TempDir dir;
  const std::vector<std::string> images = hostile_images(dir, cases);
  CHECK(images.size() >= at_least);
  size_t served = 0;
  for (const std::string& image : images) {
    for (const bool writing : {false, true}) {
      const ServeHow how{{}, {"file=" + image, "format=vmdk", writing ? "read-only=off" : "read-only=on", "max-virtual-size=1T"}};
      const RunResult result = serve_and_run(how, writing ? kWriteIt : kReadIt, kPatience);
      INFO(image << (writing ? ", written" : ", read") << ": exit code " << result.exit_code << "\n" << result.err);
      CHECK(ends_well(result));
      served += result.exit_code == 0 ? 1 : 0;
    }
  }
  MESSAGE(images.size() << " images, " << served << " of " << 2 * images.size() << " servers began");
}

}  // namespace

TEST_CASE("an image whose structure lies is served or refused with one line; no server crashes or hangs") {
  NEED_TOOL("nbdkit");
  NEED_TOOL("nbdcopy");
  NEED_TOOL("qemu-io");
  every_image_ends_well("*structure_test.cc", 50);
}

TEST_CASE("an image that names other files, some with names that are hostile themselves, is served or refused with one line") {
  NEED_TOOL("nbdkit");
  NEED_TOOL("nbdcopy");
  NEED_TOOL("qemu-io");
  every_image_ends_well("*references_test.cc", 50);
}

TEST_CASE("of an image that names other files the server opens nothing but the image") {
  NEED_TOOL("nbdkit");
  NEED_TOOL("strace");
  SKIP_IF_ANY(why_no_ptrace());
  const TempDir dir;
  const TempDir work;
  static const std::regex kOpened("open(at2?)?\\([^\n]*?\"([^\"]*)\"");
  size_t opened_images = 0;
  for (const std::string& image : hostile_images(dir, "*references_test.cc")) {
    std::vector<std::string> argv = nbdkit_argv({{"-U", "-"}, {"file=" + image, "format=vmdk", "--run", "true"}});
    argv.insert(argv.begin(), {"strace", "-qq", "-s", "4096", "-e", "trace=open,openat,openat2", "-o", work / "log"});
    const RunResult result = run(argv, {}, kPatience);
    INFO(image << ": " << result.err);
    const std::string log = read_file(work / "log");
    const size_t begin = log.find(image);  // before it, libraries are loaded
    if (begin == std::string::npos) continue;
    ++opened_images;
    for (std::sregex_iterator at(log.begin() + static_cast<std::ptrdiff_t>(log.rfind('\n', begin) + 1), log.end(), kOpened), end; at != end;
         ++at) {
      const std::string opened = (*at)[2];
      // The C library counts processors for the library's threads, and nbdkit gives its standard streams away.
      if (opened == "/sys/devices/system/cpu/online" || opened == "/dev/null") continue;
      CHECK(opened == image);
    }
  }
  CHECK(opened_images > 50);
}
