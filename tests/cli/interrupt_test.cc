// Conversions that are stopped, killed or run out of space.
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <random>
#include <thread>

#include "cli.h"

using namespace varve::test;           // NOLINT
using namespace std::chrono_literals;  // NOLINT

namespace {

/// A disk whose conversion takes longer than the tests wait before they interrupt it: it does not compress.
std::string slow_source(const TempDir& dir, size_t mebibytes) {
  const std::string path = dir / "slow.raw";
  write_file(path, noise(mebibytes << 20));
  return path;
}

std::vector<std::string> slow_convert(const std::string& source, const std::string& target) {
  return varve_argv({"convert", "-j", "1", "-O", "vmdk", "-o", "subformat=streamOptimized,compression_level=9", source, target});
}

}  // namespace

TEST_CASE("a full disk gives one line and leaves no target") {
  NEED_TOOL("prlimit");
  const TempDir dir;
  write_file(dir / "a.raw", noise(4 << 20));
  for (const std::string target : {"b.raw", "b.vmdk"}) {
    std::vector<std::string> argv = varve_argv({"convert", dir / "a.raw", dir / target});
    argv.insert(argv.begin(), {"prlimit", "--fsize=1048576"});
    const RunResult result = run(argv);
    INFO(result.err);
    CHECK(result.exit_code == 1);
    CHECK(is_one_line_error(result));
    CHECK(names_in(dir.path()) == std::vector<std::string>{"a.raw"});
  }
}

TEST_CASE("SIGINT and SIGTERM stop a conversion: exit codes 130 and 143, no target, the source unchanged") {
  const TempDir dir;
  const std::string source = slow_source(dir, 96);
  const std::string before = read_file(source);
  for (const auto& [signal, code] : {std::pair{SIGINT, 130}, std::pair{SIGTERM, 143}}) {
    Background conversion(slow_convert(source, dir / "b.vmdk"));
    std::this_thread::sleep_for(300ms);
    REQUIRE(conversion.running());
    CHECK(conversion.stop(signal) == code);
    CHECK(names_in(dir.path()) == std::vector<std::string>{"slow.raw"});
  }
  CHECK(read_file(source) == before);
}

TEST_CASE("SIGINT stops a conversion that waits for its input") {
  const TempDir dir;
  Background conversion(varve_argv({"convert", "-f", "vmdk", "-", dir / "b.raw"}), true);
  std::this_thread::sleep_for(300ms);
  REQUIRE(conversion.running());
  CHECK(conversion.stop(SIGINT) == 130);
  CHECK(names_in(dir.path()).empty());
}

TEST_CASE("SIGINT stops a conversion whose reader takes nothing") {
  const TempDir dir;
  const std::string source = slow_source(dir, 16);
  REQUIRE(mkfifo((dir / "pipe").c_str(), 0600) == 0);
  const int reader = open((dir / "pipe").c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC);
  REQUIRE(reader >= 0);
  for (const char* format : {"raw", "vmdk"}) {
    INFO(std::string(format));
    Background conversion({"sh", "-c", R"(exec "$0" convert -O "$1" "$2" - >"$3")", cli_path(), format, source, dir / "pipe"});
    std::this_thread::sleep_for(300ms);
    REQUIRE(conversion.running());
    kill(conversion.pid(), SIGINT);
    CHECK(conversion.wait(5s));
    CHECK(conversion.stop(SIGKILL) == 130);
  }
  close(reader);
}

TEST_CASE("a signal that the parent process ignores stays ignored") {
  const TempDir dir;
  write_file(dir / "a.raw", noise(16 << 20));
  const RunResult result = varve_sh(
      R"(trap '' INT; "$V" convert -O raw "$1" - | { sleep 0.3; cat; } >"$2" & sleep 0.1; for p in $(pgrep -x varve -P $$); do kill -INT $p; done; wait)",
      {dir / "a.raw", dir / "b.raw"});
  CHECK(result.err.empty());
  CHECK(read_file(dir / "b.raw") == read_file(dir / "a.raw"));
}

TEST_CASE("a conversion killed at any moment leaves no target and does not change the source") {
  const TempDir dir;
  const std::string source = slow_source(dir, 24);
  const std::string before = read_file(source);
  std::mt19937 random(20);
  unsigned killed = 0;
  for (unsigned round = 0; round < 24; ++round) {
    const bool raw = round % 3 == 0;
    const std::string target = dir / (raw ? "b.raw" : "b.vmdk");
    Background conversion(raw ? varve_argv({"convert", source, target}) : slow_convert(source, target));
    std::this_thread::sleep_for(std::chrono::milliseconds(random() % (raw ? 40 : 900)));
    if (conversion.stop(SIGKILL) == 128 + SIGKILL) {
      ++killed;
      // A kill between the publication and the exit leaves the whole image.
      if (exists(target)) CHECK(tool({"compare", source, target}).exit_code == 0);
    }
    unlink(target.c_str());
    CHECK(names_in(dir.path()) == std::vector<std::string>{"slow.raw"});
  }
  CHECK(killed > 0);
  CHECK(read_file(source) == before);
}

TEST_CASE("a bar is shown on a terminal only, and -q silences it") {
  NEED_TOOL("script");
  const TempDir dir;
  const std::string source = slow_source(dir, 64);
  const std::string convert = R"(script -qec "'$V' convert $3 -j 1 -o subformat=streamOptimized,compression_level=9 '$1' '$2'" /dev/null)";
  const RunResult shown = varve_sh(convert, {source, dir / "b.vmdk", ""});
  CHECK(shown.exit_code == 0);
  CHECK(contains(shown.out, "convert ["));
  CHECK(contains(shown.out, "left"));
  CHECK(shown.out.ends_with("\r\x1b[K"));
  const RunResult quiet = varve_sh(convert, {source, dir / "c.vmdk", "-q"});
  CHECK(quiet.exit_code == 0);
  CHECK(quiet.out.empty());
  const RunResult piped = run(slow_convert(source, dir / "d.vmdk"));
  CHECK(piped.exit_code == 0);
  CHECK(piped.err.empty());
}
