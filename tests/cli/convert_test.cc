// convert: into new and existing files and streams.
#include <sys/stat.h>

#include "cli.h"

using namespace varve::test;  // NOLINT

TEST_CASE("convert copies the contents and keeps quiet") {
  const TempDir dir;
  write_file(dir / "a.raw", noise(3 << 20) + std::string(2 << 20, '\0') + noise(70144, 2));
  const RunResult result = tool({"convert", dir / "a.raw", dir / "b.raw"});
  CHECK(result.exit_code == 0);
  CHECK(result.out.empty());
  CHECK(result.err.empty());
  CHECK(read_file(dir / "b.raw") == read_file(dir / "a.raw"));
  const Json report = json_of(tool({"convert", "--json", "--force", "--sync=none", dir / "a.raw", dir / "b.raw"}));
  CHECK(keys_of(report) == std::vector<std::string>{"data_bytes", "source", "target", "virtual_size"});
  CHECK(report.at("virtual_size") == read_file(dir / "a.raw").size());
}

TEST_CASE("convert replaces a file only with --force, and never its own source") {
  const TempDir dir;
  write_file(dir / "a.raw", noise(65536));
  write_file(dir / "b.raw", "precious");
  const RunResult refused = tool({"convert", dir / "a.raw", dir / "b.raw"});
  CHECK(refused.exit_code == 1);
  CHECK(is_one_line_error(refused));
  CHECK(read_file(dir / "b.raw") == "precious");
  const RunResult itself = tool({"convert", "--force", dir / "a.raw", dir / "a.raw"});
  CHECK(itself.exit_code == 1);
  CHECK(is_one_line_error(itself));
  CHECK(read_file(dir / "a.raw") == noise(65536));
  CHECK(tool({"convert", "--force", dir / "a.raw", dir / "b.raw"}).exit_code == 0);
  CHECK(read_file(dir / "b.raw") == noise(65536));
}

TEST_CASE("convert asks for the format that a name does not tell") {
  const TempDir dir;
  write_file(dir / "a.raw", noise(65536));
  const RunResult result = tool({"convert", dir / "a.raw", dir / "b.unknown"});
  CHECK(result.exit_code == 64);
  CHECK(is_one_line_error(result));
  CHECK(contains(result.err, "-O"));
  CHECK(tool({"convert", "-O", "raw", dir / "a.raw", dir / "b.unknown"}).exit_code == 0);
}

TEST_CASE("the result's mode is no wider than the source's") {
  const TempDir dir;
  write_file(dir / "a.raw", noise(65536));
  REQUIRE(chmod((dir / "a.raw").c_str(), 0600) == 0);
  REQUIRE(tool({"convert", dir / "a.raw", dir / "b.raw"}).exit_code == 0);
  struct stat status {};
  REQUIRE(stat((dir / "b.raw").c_str(), &status) == 0);
  CHECK((status.st_mode & 0777) == 0600);
}

TEST_CASE("convert -n writes into what is there and zeros the rest") {
  const TempDir dir;
  write_file(dir / "a.raw", noise(1 << 20));
  write_file(dir / "b.raw", noise(2 << 20, 2));
  CHECK(tool({"convert", "-n", "-O", "raw", dir / "a.raw", dir / "b.raw"}).exit_code == 0);
  CHECK(read_file(dir / "b.raw") == noise(1 << 20) + std::string(1 << 20, '\0'));
  write_file(dir / "small.raw", noise(4096, 3));
  const RunResult small = tool({"convert", "-n", "-O", "raw", dir / "a.raw", dir / "small.raw"});
  CHECK(small.exit_code == 1);
  CHECK(is_one_line_error(small));
  CHECK(read_file(dir / "small.raw") == noise(4096, 3));
  CHECK(tool({"convert", "-n", "-O", "raw", dir / "a.raw", dir / "missing.raw"}).exit_code == 1);
  CHECK(!exists(dir / "missing.raw"));
}

TEST_CASE("--target-is-zero skips the zeros, on the user's word") {
  const TempDir dir;
  write_file(dir / "a.raw", noise(1 << 20));
  REQUIRE(tool({"resize", "-f", "raw", dir / "a.raw", "2M"}).exit_code == 0);
  write_file(dir / "b.raw", noise(2 << 20, 2));
  REQUIRE(tool({"convert", "-n", "--target-is-zero", "-O", "raw", dir / "a.raw", dir / "b.raw"}).exit_code == 0);
  CHECK(read_file(dir / "b.raw").substr(0, 1 << 20) == noise(1 << 20));
  CHECK(read_file(dir / "b.raw").substr(1 << 20) == noise(2 << 20, 2).substr(1 << 20));
}

TEST_CASE("convert streams raw to standard output, and writes nothing else") {
  const TempDir dir;
  write_file(dir / "a.raw", noise(1 << 20) + std::string(1 << 20, '\0'));
  const RunResult result = tool({"convert", "-O", "raw", dir / "a.raw", "-"});
  CHECK(result.exit_code == 0);
  CHECK(result.out == read_file(dir / "a.raw"));
  CHECK(names_in(dir.path()) == std::vector<std::string>{"a.raw"});
  const RunResult full = varve_sh(R"("$V" convert -O raw "$1" - >/dev/full)", {dir / "a.raw"});
  CHECK(full.exit_code == 1);
  CHECK(is_one_line_error(full));
}

TEST_CASE("standard output that is a terminal is no target") {
  NEED_TOOL("script");
  const TempDir dir;
  write_file(dir / "a.raw", noise(65536));
  const RunResult result = varve_sh(R"(script -qec "$V convert -O raw '$1' -" /dev/null)", {dir / "a.raw"});
  CHECK(result.exit_code == 64);
  CHECK(contains(result.out, "terminal"));
  CHECK(result.out.size() < 300);
}

TEST_CASE("a stream as source needs its format, and a format that can be streamed") {
  const TempDir dir;
  const RunResult nameless = tool({"convert", "-", dir / "b.raw"}, "x");
  CHECK(nameless.exit_code == 1);
  CHECK(is_one_line_error(nameless));
  CHECK(contains(nameless.err, "-f"));
  const RunResult raw = tool({"convert", "-f", "raw", "-", dir / "b.raw"}, "x");
  CHECK(raw.exit_code == 1);
  CHECK(is_one_line_error(raw));
  CHECK(names_in(dir.path()).empty());
}

TEST_CASE("--max-output-bytes stops a conversion that writes more, and leaves nothing") {
  const TempDir dir;
  write_file(dir / "a.raw", noise(4 << 20));
  const RunResult result = tool({"convert", "--max-output-bytes=1M", dir / "a.raw", dir / "b.raw"});
  CHECK(result.exit_code == 1);
  CHECK(is_one_line_error(result));
  CHECK(names_in(dir.path()) == std::vector<std::string>{"a.raw"});
  CHECK(tool({"convert", "--max-output-bytes=5M", dir / "a.raw", dir / "b.raw"}).exit_code == 0);
}

TEST_CASE("progress as JSON is a line a second, and a last one that says all is done") {
  const TempDir dir;
  write_file(dir / "a.raw", noise(1 << 20));
  const RunResult result = tool({"convert", "--progress=json", dir / "a.raw", dir / "b.raw"});
  CHECK(result.exit_code == 0);
  CHECK(result.out.empty());
  const Json line = Json::parse(result.err.substr(result.err.rfind('\n', result.err.size() - 2) + 1), nullptr, false);
  REQUIRE(!line.is_discarded());
  CHECK(keys_of(line) == std::vector<std::string>{"bytes_per_second", "done", "operation", "seconds_left", "total"});
  CHECK(line.at("done") == 1 << 20);
  CHECK(line.at("done") == line.at("total"));
}
