// create, info, resize, map, compare and check on raw images, and their JSON.
#include <algorithm>

#include "cli.h"

using namespace varve::test;  // NOLINT

TEST_CASE("create makes a disk of zeros and says nothing") {
  const TempDir dir;
  const RunResult result = tool({"create", dir / "a.raw", "3M"});
  CHECK(result.exit_code == 0);
  CHECK(result.out.empty());
  CHECK(result.err.empty());
  CHECK(read_file(dir / "a.raw") == std::string(3 << 20, '\0'));
}

TEST_CASE("create takes every way to write a size") {
  const TempDir dir;
  const std::vector<std::pair<std::string, uint64_t>> sizes = {
      {"512", 512}, {"10K", 10240}, {"10k", 10240}, {"1M", 1 << 20}, {"2MiB", 2 << 20}, {"1G", 1 << 30}, {"1TiB", uint64_t{1} << 40}};
  for (const auto& [text, bytes] : sizes) {
    const Json document = json_of(tool({"create", "--force", "--json", dir / "a.raw", text}));
    CHECK(document == Json({{"file", dir / "a.raw"}, {"format", "raw"}, {"virtual_size", bytes}}));
  }
}

TEST_CASE("create never replaces a file without --force") {
  const TempDir dir;
  write_file(dir / "a.raw", "precious");
  const RunResult refused = tool({"create", dir / "a.raw", "1M"});
  CHECK(refused.exit_code == 1);
  CHECK(is_one_line_error(refused));
  CHECK(contains(refused.err, "--force"));
  CHECK(read_file(dir / "a.raw") == "precious");
  CHECK(tool({"create", "--force", dir / "a.raw", "1M"}).exit_code == 0);
  CHECK(read_file(dir / "a.raw").size() == 1 << 20);
  CHECK(names_in(dir.path()) == std::vector<std::string>{"a.raw"});
}

TEST_CASE("create reports in one line a directory that is missing and an option that the format does not have") {
  const TempDir dir;
  const RunResult missing = tool({"create", dir / "no/a.raw", "1M"});
  CHECK(missing.exit_code == 1);
  CHECK(is_one_line_error(missing));
  CHECK(contains(missing.err, dir / "no/a.raw"));
  const RunResult option = tool({"create", "-o", "colour=red", dir / "a.raw", "1M"});
  CHECK(option.exit_code == 1);
  CHECK(is_one_line_error(option));
  CHECK(contains(option.err, "colour"));
  CHECK(names_in(dir.path()).empty());
}

TEST_CASE("info tells format and size, and its JSON keys are stable") {
  const TempDir dir;
  REQUIRE(tool({"create", dir / "a.raw", "10M"}).exit_code == 0);
  const RunResult text = tool({"info", dir / "a.raw"});
  CHECK(text.exit_code == 0);
  CHECK(contains(text.out, "10 MiB (10485760 bytes)"));
  const Json document = json_of(tool({"info", "--json", dir / "a.raw"}));
  CHECK(keys_of(document) == std::vector<std::string>{"allocated_bytes", "cluster_size", "details", "encrypted", "file", "files", "format",
                                                      "locked", "parent", "virtual_size", "warnings"});
  CHECK(document.at("format") == "raw");
  CHECK(document.at("virtual_size") == 10485760);
  CHECK(document.at("parent").is_null());
  const Json chain = json_of(tool({"info", "--chain", "--json", dir / "a.raw"}));
  CHECK(chain.at("layers").size() == 1);
  CHECK(chain.at("layers")[0] == document);
}

TEST_CASE("info of what is not an image fails in one line that names it") {
  const TempDir dir;
  for (const std::string& path : {dir / "missing", dir.path(), std::string("/dev/null/x")}) {
    const RunResult result = tool({"info", path});
    INFO(result.err);
    CHECK(result.exit_code == 1);
    CHECK(is_one_line_error(result));
    CHECK(contains(result.err, path));
  }
}

TEST_CASE("--max-virtual-size bounds what is opened") {
  const TempDir dir;
  REQUIRE(tool({"create", dir / "a.raw", "2M"}).exit_code == 0);
  CHECK(tool({"info", "--max-virtual-size=2M", dir / "a.raw"}).exit_code == 0);
  const RunResult result = tool({"info", "--max-virtual-size=1M", dir / "a.raw"});
  CHECK(result.exit_code == 1);
  CHECK(is_one_line_error(result));
}

TEST_CASE("resize grows by a size or to one, and shrinks only with --shrink") {
  const TempDir dir;
  const std::string data = noise(1 << 20);
  write_file(dir / "a.raw", data);
  CHECK(tool({"resize", "-f", "raw", dir / "a.raw", "+1M"}).exit_code == 0);
  CHECK(read_file(dir / "a.raw") == data + std::string(1 << 20, '\0'));
  const Json grown = json_of(tool({"resize", "-f", "raw", "--json", dir / "a.raw", "4M"}));
  CHECK(grown == Json({{"file", dir / "a.raw"}, {"old_size", 2 << 20}, {"virtual_size", 4 << 20}}));
  for (const std::string size : {"-3M", "1M"}) {
    const RunResult refused = tool({"resize", "-f", "raw", dir / "a.raw", size});
    CHECK(refused.exit_code == 1);
    CHECK(is_one_line_error(refused));
    CHECK(contains(refused.err, "--shrink"));
  }
  CHECK(tool({"resize", "-f", "raw", "--shrink", dir / "a.raw", "-3M"}).exit_code == 0);
  CHECK(read_file(dir / "a.raw") == data);
  CHECK(tool({"resize", "-f", "raw", "--shrink", dir / "a.raw", "-9M"}).exit_code == 64);
  CHECK(tool({"resize", "-f", "raw", dir / "a.raw", "+18446744073709551615"}).exit_code == 64);
  CHECK(read_file(dir / "a.raw") == data);
}

TEST_CASE("resize does not take a file for raw on its own") {
  const TempDir dir;
  REQUIRE(tool({"create", dir / "a.raw", "1M"}).exit_code == 0);
  const RunResult result = tool({"resize", dir / "a.raw", "2M"});
  CHECK(result.exit_code == 1);
  CHECK(is_one_line_error(result));
  CHECK(contains(result.err, "-f raw"));
  CHECK(read_file(dir / "a.raw").size() == 1 << 20);
}

TEST_CASE("map lists the runs in order and without a gap, the same as text and as JSON") {
  const TempDir dir;
  REQUIRE(tool({"create", dir / "a.raw", "8M"}).exit_code == 0);
  const std::string fill = R"(head -c 65536 /dev/zero | tr '\0' x | dd of="$1" bs=65536 seek=16 conv=notrunc status=none)";
  REQUIRE(varve_sh(fill, {dir / "a.raw"}).exit_code == 0);
  const Json document = json_of(tool({"map", "--json", dir / "a.raw"}));
  CHECK(document.at("file") == dir / "a.raw");
  CHECK(document.at("virtual_size") == 8 << 20);
  uint64_t end = 0;
  bool found = false;
  for (const Json& extent : document.at("extents")) {
    CHECK(keys_of(extent) == std::vector<std::string>{"compressed", "depth", "file", "host_offset", "kind", "length", "offset"});
    CHECK(extent.at("offset") == end);
    end += extent.at("length").get<uint64_t>();
    if (extent.at("kind") != "data") continue;
    found = true;
    CHECK(extent.at("host_offset") == extent.at("offset"));
    CHECK(extent.at("file") == dir / "a.raw");
  }
  CHECK(end == 8 << 20);
  CHECK(found);
  const RunResult text = tool({"map", dir / "a.raw"});
  CHECK(static_cast<size_t>(std::count(text.out.begin(), text.out.end(), '\n')) == document.at("extents").size() + 1);
}

TEST_CASE("compare exits 0 for the same contents, 1 for others and 2 if it could not tell") {
  const TempDir dir;
  const std::string data = noise(1 << 20);
  std::string other = data;
  other[777777] = static_cast<char>(other[777777] ^ 1);
  write_file(dir / "a.raw", data);
  write_file(dir / "same.raw", data);
  write_file(dir / "other.raw", other);
  write_file(dir / "longer.raw", data + std::string(4096, '\0'));
  CHECK(tool({"compare", dir / "a.raw", dir / "same.raw"}).exit_code == 0);
  const RunResult differ = tool({"compare", dir / "a.raw", dir / "other.raw"});
  CHECK(differ.exit_code == 1);
  CHECK(contains(differ.out, "777777"));
  CHECK(differ.err.empty());
  const Json document = json_of(tool({"compare", "--json", dir / "a.raw", dir / "other.raw"}));
  CHECK(document == Json({{"same", false}, {"first_difference", 777777}, {"size_a", 1 << 20}, {"size_b", 1 << 20}}));
  CHECK(tool({"compare", dir / "a.raw", dir / "longer.raw"}).exit_code == 0);
  CHECK(tool({"compare", "--strict", dir / "a.raw", dir / "longer.raw"}).exit_code == 1);
  const RunResult missing = tool({"compare", dir / "a.raw", dir / "missing"});
  CHECK(missing.exit_code == 2);
  CHECK(is_one_line_error(missing));
  CHECK(tool({"compare", dir / "a.raw"}).exit_code == 64);
}

TEST_CASE("check of a format without structure exits 63, of a missing file 1") {
  const TempDir dir;
  REQUIRE(tool({"create", dir / "a.raw", "1M"}).exit_code == 0);
  const RunResult raw = tool({"check", "-f", "raw", dir / "a.raw"});
  CHECK(raw.exit_code == 63);
  CHECK(is_one_line_error(raw));
  const RunResult missing = tool({"check", dir / "missing"});
  CHECK(missing.exit_code == 1);
  CHECK(is_one_line_error(missing));
}

TEST_CASE("REF-7: file names are escaped on the terminal and valid in JSON") {
  const TempDir dir;
  // Erases the screen, forges a line, reverses the text, and is not UTF-8.
  const std::string name = "\x1b[2J\nvarve: all is well\xe2\x80\xae\xc2\x9b\xff.raw";
  write_file(dir / name, std::string(4096, '\0'));
  const RunResult text = tool({"info", dir / name});
  CHECK(text.exit_code == 0);
  CHECK(is_harmless(text.out));
  CHECK(!contains(text.out, "\nvarve: all is well"));
  const RunResult json = tool({"info", "--json", dir / name});
  CHECK(is_harmless(json.out));
  CHECK(json_of(json).at("virtual_size") == 4096);
  CHECK(json_of(tool({"map", "--json", dir / name})).at("virtual_size") == 4096);
  const RunResult error = tool({"info", dir / (name + "x")});
  CHECK(error.exit_code == 1);
  CHECK(is_one_line_error(error));
  CHECK(is_harmless(error.err));
  const RunResult usage = tool({"info", "--" + name, "x"});
  CHECK(usage.exit_code == 64);
  CHECK(is_one_line_error(usage));
  CHECK(is_harmless(usage.err));
}
