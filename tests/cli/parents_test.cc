// measure, rebase and commit.
#include "cli.h"

using namespace varve::test;  // NOLINT

namespace {

constexpr size_t kDisk = 4 << 20;

/// A raw disk with noise at some places.
std::string disk_with(const std::vector<size_t>& places, uint32_t seed) {
  std::string disk(kDisk, '\0');
  for (const size_t place : places) disk.replace(place, 100000, noise(100000, seed + static_cast<uint32_t>(place >> 16)));
  return disk;
}

/// base.EXT and other.EXT, and delta.EXT over the first one, in which something is written.
struct Family {
  explicit Family(std::string ext) : extension(std::move(ext)) {
    write_file(dir / "base.raw", disk_with({0, 1 << 20}, 1));
    write_file(dir / "other.raw", disk_with({1 << 20, 3 << 20}, 50));
    run_ok({"convert", dir / "base.raw", file("base")});
    run_ok({"convert", dir / "other.raw", file("other")});
    std::string disk = read_file(dir / "base.raw");
    disk.replace(2 << 20, 5000, noise(5000, 77));
    write_file(dir / "delta.raw", disk);
    run_ok({"convert", "-b", "base." + extension, dir / "delta.raw", file("delta")});
  }

  std::string file(const std::string& name) const { return dir / (name + "." + extension); }
  static void run_ok(const std::vector<std::string>& words) {
    const RunResult result = tool(words);
    INFO(result.err);
    REQUIRE(result.exit_code == 0);
  }
  bool reads_as(const std::string& name, const std::string& raw) const {
    const RunResult result = tool({"compare", dir / raw, file(name)});
    INFO(result.out << result.err);
    return result.exit_code == 0;
  }
  RunResult rebase(std::vector<std::string> words) const {
    words.insert(words.begin(), {"rebase", "-f", extension});
    words.push_back(file("delta"));
    return tool(words);
  }

  TempDir dir;
  std::string extension;
};

const std::vector<std::string> kFormats = {"vmdk", "vhdx", "varve"};

}  // namespace

TEST_CASE("rebase changes the parent and keeps the contents; with an empty name there is none") {
  for (const std::string& format : kFormats) {
    INFO(format);
    const Family family(format);
    const RunResult done = family.rebase({"--json", "-b", "other." + format});
    INFO(done.err);
    REQUIRE(done.exit_code == 0);
    const Json document = json_of(done);
    CHECK(keys_of(document) == std::vector<std::string>{"file", "parent", "virtual_size", "written_bytes"});
    CHECK(document.at("parent") == "other." + format);
    CHECK(document.at("written_bytes") > 200000);
    CHECK(family.reads_as("delta", "delta.raw"));
    CHECK(json_of(tool({"info", "--json", family.file("delta")})).at("parent").at("name") == "other." + format);
    const RunResult alone = family.rebase({"--json", "-b", ""});
    CHECK(json_of(alone).at("parent").is_null());
    CHECK(json_of(tool({"info", "--json", family.file("delta")})).at("parent").is_null());
    CHECK(family.reads_as("delta", "delta.raw"));
    CHECK(tool({"check", family.file("delta")}).exit_code == 0);
  }
}

TEST_CASE("rebase says in one line why it does not") {
  for (const std::string& format : kFormats) {
    const Family family(format);
    const std::string before = read_file(family.file("delta"));
    const std::vector<std::pair<std::vector<std::string>, std::string>> cases = {
        {{"-b", "missing." + format}, "missing"},
        {{"-b", "delta." + format}, "is the image itself, or lies over it"},
        {{"-b", "base.raw"}, "a parent is taken to have the image's own format"},
    };
    for (const auto& [words, expected] : cases) {
      const RunResult result = family.rebase(words);
      INFO(format << ": " << result.err);
      CHECK(result.exit_code == 1);
      CHECK(is_one_line_error(result));
      if (format != "vmdk" || words[1] != "base.raw") CHECK(contains(result.err, expected));
    }
    CHECK(read_file(family.file("delta")) == before);
    const RunResult raw = family.rebase({"-b", "base.raw", "-F", "raw"});
    CHECK(raw.exit_code == (format == "varve" ? 0 : 1));
    if (format != "varve") CHECK(contains(raw.err, "convert the parent to " + format + " first"));
    CHECK(family.reads_as("delta", "delta.raw"));
  }
}

TEST_CASE("a parent that lies over the image is refused") {
  for (const std::string& format : kFormats) {
    const Family family(format);
    REQUIRE(tool({"create", "-b", "delta." + format, family.file("child")}).exit_code == 0);
    const RunResult circle = family.rebase({"-b", "child." + format});
    INFO(circle.err);
    CHECK(circle.exit_code == 1);
    CHECK(contains(circle.err, "is the image itself, or lies over it"));
  }
}

TEST_CASE("rebase --unsafe follows a parent that was moved") {
  for (const std::string& format : kFormats) {
    INFO(format);
    const Family family(format);
    REQUIRE(varve_sh(R"(mv "$1" "$2")", {family.file("base"), family.file("moved-to-another-name")}).exit_code == 0);
    CHECK(family.rebase({"-b", "moved-to-another-name." + format}).exit_code == 1);
    const RunResult done = family.rebase({"--unsafe", "-b", "moved-to-another-name." + format});
    INFO(done.err);
    CHECK(done.exit_code == 0);
    CHECK(family.reads_as("delta", "delta.raw"));
  }
}

TEST_CASE("commit makes the parent read as the child, which stays valid") {
  for (const std::string& format : kFormats) {
    INFO(format);
    const Family family(format);
    REQUIRE(tool({"create", "-b", "base." + format, family.file("sibling")}).exit_code == 0);
    const RunResult done = tool({"commit", "-f", format, "--json", "--progress=json", family.file("delta")});
    INFO(done.err);
    REQUIRE(done.exit_code == 0);
    const Json document = Json::parse(done.out);
    CHECK(keys_of(document) == std::vector<std::string>{"data_bytes", "file", "parent", "virtual_size", "zero_bytes"});
    CHECK(document.at("data_bytes") > 0);
    CHECK(contains(done.err, R"({"operation":"commit","done":4194304,"total":4194304)"));
    CHECK(family.reads_as("base", "delta.raw"));
    CHECK(family.reads_as("delta", "delta.raw"));
    CHECK(tool({"check", family.file("base")}).exit_code == 0);
    const RunResult sibling = tool({"map", family.file("sibling")});
    CHECK(sibling.exit_code == 1);
    CHECK(contains(sibling.err, "is not the one that this image was made over"));
    const RunResult wrong = tool({"commit", "-f", format, family.file("sibling")});
    CHECK(wrong.exit_code == 1);
    CHECK(is_one_line_error(wrong));
    const RunResult none = tool({"commit", "-f", format, family.file("base")});
    CHECK(none.exit_code == 1);
    CHECK(contains(none.err, "the image has no parent to commit to"));
  }
}

TEST_CASE("commit into a smaller parent makes it grow; into a raw one, too") {
  for (const std::string& format : kFormats) {
    INFO(format);
    const Family family(format);
    REQUIRE(tool({"resize", "-f", format, family.file("delta"), "6M"}).exit_code == 0);
    CHECK(tool({"commit", "-f", format, family.file("delta")}).exit_code == 0);
    CHECK(tool({"compare", "--strict", family.file("delta"), family.file("base")}).exit_code == 0);
    CHECK(json_of(tool({"info", "--json", family.file("base")})).at("virtual_size") == 6 << 20);
  }
  const Family family("varve");
  REQUIRE(tool({"convert", "-b", "base.raw", "-F", "raw", family.dir / "delta.raw", family.file("over")}).exit_code == 0);
  REQUIRE(tool({"resize", "-f", "varve", family.file("over"), "5M"}).exit_code == 0);
  const RunResult done = tool({"commit", "-f", "varve", family.file("over")});
  INFO(done.err);
  CHECK(done.exit_code == 0);
  CHECK(read_file(family.dir / "base.raw") == read_file(family.dir / "delta.raw") + std::string(1 << 20, '\0'));
}

TEST_CASE("snapshots keep their parent in a rebase, and forbid a commit") {
  const Family family("varve");
  REQUIRE(tool({"snapshot", "create", "-f", "varve", family.file("delta"), "old"}).exit_code == 0);
  const RunResult refused = tool({"commit", "-f", "varve", family.file("delta")});
  CHECK(refused.exit_code == 1);
  CHECK(contains(refused.err, "the image has snapshots"));
  CHECK(family.reads_as("delta", "delta.raw"));
  REQUIRE(family.rebase({"-b", "other.varve"}).exit_code == 0);
  CHECK(tool({"convert", "-l", "old", family.file("delta"), family.dir / "old.raw"}).exit_code == 0);
  CHECK(read_file(family.dir / "old.raw") == read_file(family.dir / "delta.raw"));
  CHECK(json_of(tool({"info", "--json", family.file("delta")})).at("parent").at("name") == "other.varve");
  REQUIRE(family.rebase({"-b", ""}).exit_code == 0);
  REQUIRE(tool({"snapshot", "revert", "-f", "varve", family.file("delta"), "old"}).exit_code == 0);
  CHECK(json_of(tool({"info", "--json", family.file("delta")})).at("parent").at("name") == "base.varve");
  CHECK(family.reads_as("delta", "delta.raw"));
  CHECK(tool({"check", "--data", family.file("delta")}).exit_code == 0);
}

TEST_CASE("nothing is committed to a snapshot; the error says how to go on, and that works") {
  const Family family("varve");
  REQUIRE(tool({"snapshot", "create", "-f", "varve", family.file("base"), "s"}).exit_code == 0);
  REQUIRE(tool({"convert", "-b", "base.varve@s", family.dir / "delta.raw", family.file("pinned")}).exit_code == 0);
  const std::string before = read_file(family.file("base"));
  const RunResult refused = tool({"commit", "-f", "varve", family.file("pinned")});
  CHECK(refused.exit_code == 1);
  CHECK(is_one_line_error(refused));
  CHECK(contains(refused.err, "lies over a snapshot"));
  CHECK(read_file(family.file("base")) == before);
  REQUIRE(tool({"rebase", "-f", "varve", "-b", "base.varve", family.file("pinned")}).exit_code == 0);
  CHECK(tool({"commit", "-f", "varve", family.file("pinned")}).exit_code == 0);
  CHECK(family.reads_as("base", "delta.raw"));
  CHECK(family.reads_as("pinned", "delta.raw"));
}

TEST_CASE("an image that is in use is neither rebased nor committed, nor is a parent in use written to") {
  NEED_TOOL("qemu-io");
  const Family family("vmdk");
  {
    Background qemu({"qemu-io", "-f", "vmdk", family.file("base")}, true);
    REQUIRE(eventually([&] { return tool({"map", family.file("base")}).exit_code == 1; }));
    const RunResult commit = tool({"commit", "-f", "vmdk", family.file("delta")});
    INFO(commit.err);
    CHECK(commit.exit_code == 1);
    CHECK(is_one_line_error(commit));
  }
  CHECK(family.reads_as("delta", "delta.raw"));
}

TEST_CASE("QEMU reads what rebase and commit leave in VMDK and VHDX as we do") {
  NEED_TOOL("qemu-img");
  for (const std::string format : {"vmdk", "vhdx"}) {
    const Family family(format);
    const auto qemu_agrees = [&](const std::string& name) {
      const RunResult result = run({"qemu-img", "compare", "-f", format, "-F", "raw", family.file(name), family.dir / "delta.raw"});
      INFO(format << " " << name << ": " << result.out << result.err);
      CHECK(result.exit_code == 0);
    };
    REQUIRE(family.rebase({"-b", "other." + format}).exit_code == 0);
    if (format == "vmdk") qemu_agrees("delta");  // QEMU has no differencing VHDX
    REQUIRE(tool({"commit", "-f", format, family.file("delta")}).exit_code == 0);
    qemu_agrees("other");
    if (format == "vmdk") qemu_agrees("delta");
    REQUIRE(family.rebase({"-b", ""}).exit_code == 0);
    qemu_agrees("delta");
    const std::string longer = std::string(200, 'x') + "." + format;
    REQUIRE(varve_sh(R"(cp "$1" "$2")", {family.file("base"), family.dir / longer}).exit_code == 0);
    REQUIRE(family.rebase({"-b", longer}).exit_code == 0);
    CHECK(json_of(tool({"info", "--json", family.file("delta")})).at("parent").at("name") == longer);
    CHECK(tool({"check", family.file("delta")}).exit_code == 0);
    if (format == "vmdk") qemu_agrees("delta");
  }
}

TEST_CASE("rebase onto a snapshot of the parent keeps the disk, whatever becomes of the parent's disk then") {
  const Family family("varve");
  const std::string other = family.file("other");
  REQUIRE(tool({"snapshot", "create", "-f", "varve", other, "kept"}).exit_code == 0);
  REQUIRE(family.rebase({"-b", "other.varve@kept"}).exit_code == 0);
  CHECK(family.reads_as("delta", "delta.raw"));
  REQUIRE(tool({"bench", "-f", "varve", "-w", "-c", "8", other}).exit_code == 0);
  CHECK(family.reads_as("delta", "delta.raw"));
  const RunResult held = tool({"snapshot", "delete", "-f", "varve", other, "kept"});
  CHECK(held.exit_code == 1);
  CHECK(is_one_line_error(held));
  CHECK(family.rebase({"-b", "other.varve@missing"}).exit_code == 1);
  CHECK(family.reads_as("delta", "delta.raw"));
}

TEST_CASE("measure tells of an image or of a size what its conversion takes, as text and as JSON") {
  const Family family("vmdk");
  const Json document = json_of(tool({"measure", "--json", "-O", "vhdx", "-o", "block_size=1M", family.file("delta")}));
  CHECK(keys_of(document) == std::vector<std::string>{"format", "fully_allocated", "required", "virtual_size"});
  REQUIRE(tool({"convert", "-o", "block_size=1M", family.file("delta"), family.dir / "out.vhdx"}).exit_code == 0);
  CHECK(document.at("required") >= read_file(family.dir / "out.vhdx").size());
  const RunResult text = tool({"measure", "-O", "raw", "--size", "1G"});
  CHECK(text.out == "required:        0 bytes\nfully allocated: 1 GiB (1073741824 bytes)\n");
  const RunResult bad = tool({"measure", "-O", "vmdk", "-o", "grain_size=3K", "--size", "1G"});
  CHECK(bad.exit_code == 1);
  CHECK(is_one_line_error(bad));
  CHECK(tool({"measure", "-O", "raw", family.dir / "missing"}).exit_code == 1);
}
