// The commands on images that have structure, parents, damage and locks.
#include <sstream>

#include "cli.h"

using namespace varve::test;  // NOLINT

namespace {

/// A monolithicSparse image of 4 MiB with some data in it; the same as raw lies beside it.
std::string sparse_image(const TempDir& dir, const std::string& name = "a.vmdk") {
  write_file(dir / "data.raw", noise(200000) + std::string((4 << 20) - 200000, '\0'));
  const RunResult made = tool({"convert", "-o", "subformat=monolithicSparse", dir / "data.raw", dir / name});
  INFO(made.err);
  REQUIRE(made.exit_code == 0);
  return dir / name;
}

void overwrite(const std::string& path, size_t offset, const std::string& bytes) {
  std::string contents = read_file(path);
  REQUIRE(offset + bytes.size() <= contents.size());
  contents.replace(offset, bytes.size(), bytes);
  write_file(path, contents);
}

uint64_t le_at(const std::string& bytes, size_t offset, size_t size) {
  uint64_t value = 0;
  for (size_t i = size; i-- > 0;) value = value << 8 | static_cast<unsigned char>(bytes.at(offset + i));
  return value;
}

}  // namespace

TEST_CASE("convert goes to every subformat and back") {
  const TempDir dir;
  const std::string source = sparse_image(dir);
  for (const std::string subformat :
       {"monolithicSparse", "monolithicFlat", "twoGbMaxExtentSparse", "twoGbMaxExtentFlat", "streamOptimized", "vmfs"}) {
    INFO(subformat);
    const std::string target = dir / (subformat + ".vmdk");
    const RunResult made = tool({"convert", "-o", "subformat=" + subformat, source, target});
    INFO(made.err);
    CHECK(made.exit_code == 0);
    CHECK(tool({"compare", "--strict", source, target}).exit_code == 0);
    CHECK(tool({"convert", "--force", target, dir / "back.raw"}).exit_code == 0);
    CHECK(read_file(dir / "back.raw") == read_file(dir / "data.raw"));
    CHECK(tool({"check", target}).exit_code == 0);
    CHECK(json_of(tool({"info", "--json", target})).at("format") == "vmdk");
  }
}

TEST_CASE("a stream goes through standard output and standard input; a cut one leaves nothing") {
  const TempDir dir;
  const std::string source = sparse_image(dir);
  const RunResult result =
      varve_sh(R"("$V" convert -O vmdk -o subformat=streamOptimized "$1" - | "$V" convert -f vmdk - "$2")", {source, dir / "b.raw"});
  CHECK(result.exit_code == 0);
  CHECK(result.err.empty());
  CHECK(read_file(dir / "b.raw") == read_file(dir / "data.raw"));
  const RunResult cut =
      varve_sh(R"("$V" convert -O vmdk -o subformat=streamOptimized "$1" - | head -c 100000 | "$V" convert -f vmdk - "$2")",
               {source, dir / "c.raw"});
  CHECK(cut.exit_code == 1);
  CHECK(!exists(dir / "c.raw"));
}

TEST_CASE("a pipe takes no format that must go back") {
  const TempDir dir;
  const RunResult result = tool({"convert", "-O", "vmdk", "-o", "subformat=monolithicSparse", sparse_image(dir), "-"});
  CHECK(result.exit_code == 1);
  CHECK(is_one_line_error(result));
}

TEST_CASE("check is clean on what we write, and its JSON keys are stable") {
  const TempDir dir;
  const std::string image = sparse_image(dir);
  const RunResult text = tool({"check", "--data", image});
  CHECK(text.exit_code == 0);
  CHECK(contains(text.out, "clean"));
  const Json document = json_of(tool({"check", "--json", image}));
  CHECK(keys_of(document) == std::vector<std::string>{"allocated_bytes", "branch_point_bytes", "damaged_bytes", "damages", "file",
                                                      "findings", "free_bytes", "leaked_bytes", "leaks", "repaired", "result"});
  CHECK(document.at("result") == "clean");
}

TEST_CASE("check of a file too damaged to be opened exits 2, in one line and as JSON") {
  const TempDir dir;
  const std::string image = sparse_image(dir);
  overwrite(image, 20, std::string(8, '\0'));  // the grain size
  const RunResult text = tool({"check", "-f", "vmdk", image});
  CHECK(text.exit_code == 2);
  CHECK(is_one_line_error(text));
  CHECK(json_of(tool({"check", "-f", "vmdk", "--json", image})).at("result") == "damaged");
  CHECK(tool({"info", "-f", "vmdk", image}).exit_code == 1);
}

TEST_CASE("check exits 2 for damage and names the place; --repair=safe mends what it can") {
  const TempDir dir;
  const std::string image = sparse_image(dir);
  // The first entry of the primary table is torn; its copy is whole.
  const std::string bytes = read_file(image);
  const uint64_t directory = le_at(bytes, 56, 8) * 512;
  const uint64_t table = le_at(bytes, directory, 4) * 512;
  overwrite(image, table, "\xff\xff\xff\x7f");
  const RunResult damaged = tool({"check", image});
  INFO(damaged.out << damaged.err);
  CHECK(damaged.exit_code == 2);
  CHECK(contains(damaged.out, "damage"));
  const Json document = json_of(tool({"check", "--json", image}));
  CHECK(document.at("result") == "damaged");
  REQUIRE(!document.at("findings").empty());
  CHECK(keys_of(document.at("findings")[0]) ==
        std::vector<std::string>{"disk_length", "disk_offset", "file_offset", "message", "repaired", "severity"});
  const RunResult repaired = tool({"check", "-f", "vmdk", "--repair=safe", image});
  INFO(repaired.out << repaired.err);
  CHECK(repaired.exit_code == 0);
  CHECK(tool({"check", image}).exit_code == 0);
  CHECK(tool({"compare", dir / "data.raw", image}).exit_code == 0);
}

TEST_CASE("space that nothing refers to is 3, not damage") {
  const TempDir dir;
  const std::string image = sparse_image(dir);
  write_file(image, read_file(image) + noise(65536, 9));
  const RunResult result = tool({"check", image});
  INFO(result.out << result.err);
  CHECK(result.exit_code == 3);
  CHECK(json_of(tool({"check", "--json", image})).at("result") == "leaks");
}

TEST_CASE("a delta takes its parent's size, shows it, and reads through it") {
  const TempDir dir;
  const std::string base = sparse_image(dir);
  const RunResult made = varve_sh(R"(cd "$1" && "$V" create -b a.vmdk delta.vmdk)", {dir.path()});
  INFO(made.err);
  REQUIRE(made.exit_code == 0);
  const std::string delta = dir / "delta.vmdk";
  CHECK(tool({"compare", "--strict", base, delta}).exit_code == 0);
  CHECK(tool({"compare", "--ignore-parent", base, delta}).exit_code == 1);
  CHECK(json_of(tool({"info", "--json", delta})).at("parent").at("name") == "a.vmdk");
  CHECK(json_of(tool({"info", "--chain", "--json", delta})).at("layers").size() == 2);
  CHECK(json_of(tool({"map", "--json", delta})).at("extents")[0].at("depth") == 1);
}

TEST_CASE("info tells about a layer whose parent is missing; what needs the parent says so, and --parent names another") {
  const TempDir dir;
  sparse_image(dir);
  REQUIRE(varve_sh(R"(cd "$1" && "$V" create -b a.vmdk delta.vmdk && mkdir away && mv a.vmdk away)", {dir.path()}).exit_code == 0);
  const std::string delta = dir / "delta.vmdk";
  const std::string parent = dir / "away/a.vmdk";
  CHECK(tool({"info", delta}).exit_code == 0);
  const RunResult missing = tool({"convert", delta, dir / "b.raw"});
  CHECK(missing.exit_code == 1);
  CHECK(is_one_line_error(missing));
  CHECK(tool({"map", "--parent", parent, delta}).exit_code == 0);
  CHECK(tool({"check", "--parent", parent, delta}).exit_code == 0);
  CHECK(tool({"convert", "--parent", parent, delta, dir / "b.raw"}).exit_code == 0);
  CHECK(read_file(dir / "b.raw") == read_file(dir / "data.raw"));
}

TEST_CASE("REF-2: a parent outside the image's directory is opened on the user's word only") {
  const TempDir dir;
  REQUIRE(varve_sh(R"(mkdir "$1"/sub "$1"/other)", {dir.path()}).exit_code == 0);
  const std::string base = sparse_image(dir, "other/a.vmdk");
  const RunResult made = tool({"create", "--references=any", "-b", base, dir / "sub/delta.vmdk"});
  INFO(made.err);
  REQUIRE(made.exit_code == 0);
  const RunResult refused = tool({"map", dir / "sub/delta.vmdk"});
  CHECK(refused.exit_code == 1);
  CHECK(is_one_line_error(refused));
  CHECK(tool({"map", "--references=any", dir / "sub/delta.vmdk"}).exit_code == 0);
}

TEST_CASE("an image that QEMU writes is locked, and -U reads it") {
  NEED_TOOL("qemu-io");
  const TempDir dir;
  const std::string image = sparse_image(dir);
  Background qemu({"qemu-io", "-f", "vmdk", image}, true);
  REQUIRE(eventually([&] { return tool({"convert", image, dir / "x.raw", "--force"}).exit_code == 1; }));
  const RunResult writer = tool({"resize", image, "+1M"});
  CHECK(writer.exit_code == 1);
  CHECK(is_one_line_error(writer));
  const RunResult reader = tool({"info", image});
  CHECK(reader.exit_code == 1);
  CHECK(is_one_line_error(reader));
  CHECK(contains(reader.err, "-U"));
  CHECK(tool({"info", "-U", image}).exit_code == 0);
  CHECK(tool({"convert", "-U", image, dir / "b.raw"}).exit_code == 0);
  CHECK(read_file(dir / "b.raw") == read_file(dir / "data.raw"));
}

/// Descriptors that have `text` in one place each: a name, a word, a number, a key, a line.
std::vector<std::string> descriptors_with(const std::string& text) {
  const std::string lines[] = {"version=1",
                               "CID=12345678",
                               "parentCID=ffffffff",
                               "createType=\"monolithicFlat\"",
                               "RW 8 FLAT \"" + text + "\" 0",
                               "ddb.adapterType = \"ide\""};
  const std::vector<std::pair<size_t, std::string>> changes = {{4, lines[4]},
                                                               {0, "version=" + text},
                                                               {1, "CID=" + text},
                                                               {2, "parentCID=12345678\nparentFileNameHint=\"" + text + "\""},
                                                               {3, "createType=\"" + text + "\""},
                                                               {3, "createType=\"monolithicFlat\"\nencoding=\"" + text + "\""},
                                                               {4, "RW 8 FLAT \"missing" + text + "\" 0"},
                                                               {4, "RW 8 " + text + " \"a\" 0"},
                                                               {4, text + " 8 FLAT \"a\" 0"},
                                                               {5, "ddb.adapterType = \"" + text + "\""},
                                                               {5, text + " = \"x\"\n" + text + " = \"y\""},
                                                               {5, text}};
  std::vector<std::string> all;
  for (const auto& [place, change] : changes) {
    std::string descriptor = "# Disk DescriptorFile\n";
    for (size_t i = 0; i < std::size(lines); ++i) descriptor += (i == place ? change : lines[i]) + "\n";
    all.push_back(descriptor);
  }
  return all;
}

TEST_CASE("REF-7: hostile text in any place of a descriptor reaches the terminal escaped, and JSON valid") {
  const TempDir dir;
  // What steers a terminal; what forges a line; what is not UTF-8.
  for (const std::string text : {"\x1b[2J\x07\x7f\xc2\x9b"
                                 "2J\xe2\x80\xae\xe2\x81\xa6\xe2\x80\xa8",
                                 "x\rvarve: all is well",
                                 "\x9b"
                                 "2J\xff\xfe\xed\xa0\x80\xf0\x9f"}) {
    write_file(dir / text, std::string(4096, 'x'));
    for (const std::string& descriptor : descriptors_with(text)) {
      write_file(dir / "a.vmdk", descriptor);
      for (const std::string command : {"info", "map", "check"}) {
        for (const bool json : {false, true}) {
          const RunResult result = json ? tool({command, "--json", dir / "a.vmdk"}) : tool({command, dir / "a.vmdk"});
          INFO(descriptor << command << ": " << result.out << result.err);
          CHECK(is_harmless(result.out));
          CHECK(is_harmless(result.err));
          if (json && !result.out.empty()) json_of(result);
          std::istringstream lines(result.err);
          for (std::string line; std::getline(lines, line);) CHECK(line.starts_with("varve: "));
        }
      }
    }
  }
}
