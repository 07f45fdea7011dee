// bench: what it prints, and what it refuses.
#include "cli.h"
#include "support/host.h"
#include "support/test.h"

using namespace varve::test;  // NOLINT
namespace {

TEST_CASE("bench reads and writes an image, and tells how fast") {
  const TempDir dir;
  const std::string image = dir / "d.varve";
  REQUIRE(tool({"create", image, "4M"}).exit_code == 0);
  const Json written = json_of(tool({"bench", "-f", "varve", "-w", "-c", "100", "--flush-interval", "10", "-d", "2", "--json", image}));
  CHECK(written["operation"] == "write");
  CHECK(written["pattern"] == "sequential");
  CHECK(written["requests"] == 100);
  CHECK(written["bytes"] == 409600);
  CHECK(written["flushes"] == 11);
  CHECK(written["iops"].get<double>() > 0);
  CHECK(written["latency_ns"]["p50"].get<uint64_t>() <= written["latency_ns"]["max"].get<uint64_t>());
  CHECK(tool({"check", "--data", image}).exit_code == 0);
  const RunResult read = tool({"bench", "--random", "-c", "50", "-s", "64K", image});
  CHECK(read.exit_code == 0);
  CHECK(read.out.find("50 reads of 64 KiB") != std::string::npos);
}

TEST_CASE("bench goes past the page cache with --cache=none, and says so where that is not possible") {
  const TempDir dir;
  const std::string image = dir / "d.varve";
  REQUIRE(tool({"create", image, "4M"}).exit_code == 0);
  const RunResult impossible = tool({"bench", "-f", "raw", "--cache=none", "-c", "1", "/proc/version"});
  CHECK(impossible.exit_code == 1);
  CHECK(impossible.err.find("the file system has no direct I/O (O_DIRECT)") != std::string::npos);
  CHECK(impossible.err.find("cache=writeback") != std::string::npos);
  CHECK(tool({"bench", "--cache=some", image}).exit_code == 64);
  CHECK(tool({"bench", "--cache=writeback", "-c", "10", image}).exit_code == 0);
  SKIP_IF_ANY(why_no_direct_io(dir.path()));
  CHECK(tool({"bench", "-f", "varve", "-w", "-c", "100", "--cache=none", image}).exit_code == 0);
  CHECK(tool({"bench", "-c", "100", "--cache=none", image}).exit_code == 0);
  CHECK(tool({"check", "--data", image}).exit_code == 0);
}

TEST_CASE("bench does not write into an image whose format is not given, and refuses options that do not go together") {
  const TempDir dir;
  const std::string image = dir / "d.varve";
  REQUIRE(tool({"create", image, "1M"}).exit_code == 0);
  CHECK(tool({"bench", "-w", image}).exit_code == 1);
  CHECK(tool({"bench", "--flush-interval", "1", image}).exit_code == 64);
  CHECK(tool({"bench", "--random", "-S", "64K", image}).exit_code == 64);
  CHECK(tool({"bench", "-d", "many", image}).exit_code == 64);
  CHECK(tool({"bench", "--seconds", "inf", image}).exit_code == 64);
  CHECK(tool({"bench", "--seconds", "nan", image}).exit_code == 64);
  CHECK(tool({"bench", "-w", "-f", "varve", "--fill", "256", image}).exit_code == 64);
  CHECK(tool({"bench", "-s", "2M", image}).exit_code == 1);
}

}  // namespace
