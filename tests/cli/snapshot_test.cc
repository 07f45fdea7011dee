// snapshot: create, list, delete, revert, rename, diff, export, and reading one with -l; children over one.
#include "cli.h"
#include "varve/image.h"

using namespace varve::test;  // NOLINT

namespace {

/// A disk of the native format whose first bytes are these.
void fill(const TempDir& dir, const std::string& text) {
  std::string bytes = text;
  bytes.resize(1 << 20, '\0');
  write_file(dir / "a.raw", bytes);
  if (exists(dir / "d.varve"))
    REQUIRE(tool({"convert", "-n", "-f", "raw", "-O", "varve", dir / "a.raw", dir / "d.varve"}).exit_code == 0);
  else
    REQUIRE(tool({"convert", "-f", "raw", dir / "a.raw", dir / "d.varve"}).exit_code == 0);
}

std::string shown(const TempDir& dir, const std::string& snapshot) {
  std::vector<std::string> words = {"convert", "--force", dir / "d.varve", dir / "out.raw"};
  if (!snapshot.empty()) words.insert(words.begin() + 1, {"-l", snapshot});
  REQUIRE(tool(words).exit_code == 0);
  return read_file(dir / "out.raw").substr(0, 5);
}

RunResult snapshot(const TempDir& dir, std::vector<std::string> words) {
  words.insert(words.begin(), {"snapshot"});
  words.insert(words.begin() + 2, {"-f", "varve", dir / "d.varve"});
  return tool(words);
}

TEST_CASE("snapshots are kept, listed as a tree, read, reverted to, renamed and deleted") {
  const TempDir dir;
  fill(dir, "first");
  CHECK(snapshot(dir, {"create", "one"}).exit_code == 0);
  fill(dir, "later");
  CHECK(snapshot(dir, {"create", "two"}).exit_code == 0);
  fill(dir, "third");
  CHECK(shown(dir, "one") == "first");
  CHECK(shown(dir, "two") == "later");
  CHECK(shown(dir, "") == "third");

  const RunResult listed = tool({"snapshot", "list", dir / "d.varve"});
  CHECK(listed.exit_code == 0);
  CHECK(contains(listed.out, "one  "));
  CHECK(contains(listed.out, "\n  two  "));
  CHECK(contains(listed.out, "<- the disk is based on this"));
  const Json json = json_of(tool({"snapshot", "list", "--json", dir / "d.varve"}));
  REQUIRE(json["snapshots"].size() == 2);
  CHECK(json["snapshots"][0]["name"] == "one");
  CHECK(json["snapshots"][1]["parent"] == json["snapshots"][0]["id"]);
  CHECK(json["snapshots"][1]["current"] == true);
  CHECK(json["snapshots"][0]["virtual_size"] == 1 << 20);

  CHECK(snapshot(dir, {"revert", "one"}).exit_code == 0);
  CHECK(shown(dir, "") == "first");
  CHECK(snapshot(dir, {"rename", "two", "2"}).exit_code == 0);
  CHECK(shown(dir, "2") == "later");
  CHECK(snapshot(dir, {"delete", "2"}).exit_code == 0);
  CHECK(snapshot(dir, {"delete", "one"}).exit_code == 0);
  CHECK(shown(dir, "") == "first");
  CHECK(tool({"check", "--data", dir / "d.varve"}).exit_code == 0);
}

TEST_CASE("snapshot says in one line what is wrong") {
  const TempDir dir;
  fill(dir, "first");
  CHECK(snapshot(dir, {"create", "one"}).exit_code == 0);
  const RunResult taken = snapshot(dir, {"create", "one"});
  CHECK(taken.exit_code == 1);
  CHECK(contains(taken.err, "there is a snapshot 'one' already"));
  const RunResult missing = snapshot(dir, {"revert", "two"});
  CHECK(missing.exit_code == 1);
  CHECK(contains(missing.err, "there is no snapshot 'two'"));
  CHECK(snapshot(dir, {"creat", "x"}).exit_code == 64);
  CHECK(snapshot(dir, {"create", "x", "y"}).exit_code == 64);
  CHECK(tool({"snapshot", "create", dir / "d.varve", "x"}).exit_code == 1);  // the format is not certain
  CHECK(tool({"convert", "-l", "none", dir / "d.varve", dir / "x.raw"}).exit_code == 1);
  CHECK_FALSE(exists(dir / "x.raw"));
  const RunResult without = tool({"snapshot", "list", dir / "a.raw"});
  CHECK(without.exit_code == 1);
  CHECK(contains(without.err, "format raw has no snapshots"));
}

TEST_CASE("info shows the snapshots as a tree") {
  const TempDir dir;
  fill(dir, "first");
  CHECK(snapshot(dir, {"create", "one"}).exit_code == 0);
  CHECK(snapshot(dir, {"create", "two"}).exit_code == 0);
  const RunResult text = tool({"info", dir / "d.varve"});
  CHECK(contains(text.out, "\n  one  20"));
  CHECK(contains(text.out, "\n    two  20"));
  CHECK(contains(text.out, " its own"));
  const Json json = json_of(tool({"info", "--json", dir / "d.varve"}));
  REQUIRE(json["snapshots"].size() == 2);
  CHECK(json["snapshots"] == json_of(tool({"snapshot", "list", "--json", dir / "d.varve"}))["snapshots"]);
  CHECK(json_of(tool({"info", "--chain", "--json", dir / "d.varve"}))["layers"][0]["snapshots"].size() == 2);
  CHECK_FALSE(json_of(tool({"info", "--json", dir / "a.raw"})).contains("snapshots"));
}

TEST_CASE("diff lists where two snapshots, or one and the disk, differ") {
  const TempDir dir;
  fill(dir, "first");
  CHECK(snapshot(dir, {"create", "one"}).exit_code == 0);
  CHECK(tool({"snapshot", "diff", dir / "d.varve", "one"}).out.find('\n') ==
        tool({"snapshot", "diff", dir / "d.varve", "one"}).out.size() - 1);
  fill(dir, std::string(70000, 'x'));
  CHECK(snapshot(dir, {"create", "two"}).exit_code == 0);
  fill(dir, "");
  const RunResult text = tool({"snapshot", "diff", dir / "d.varve", "one", "two"});
  CHECK(text.exit_code == 0);
  CHECK(contains(text.out, "                   0              131072  data\n"));
  const Json json = json_of(tool({"snapshot", "diff", "--json", dir / "d.varve", "two"}));
  CHECK(json["from"] == "two");
  CHECK(json["to"] == nullptr);
  CHECK(json["virtual_size"] == 1 << 20);
  CHECK(json["changed_bytes"] == 131072);
  REQUIRE(json["ranges"].size() == 1);
  CHECK(json["ranges"][0]["offset"] == 0);
  CHECK(json["ranges"][0]["length"] == 131072);
  CHECK(json["ranges"][0]["kind"] != "data");
  CHECK(json_of(tool({"snapshot", "diff", "--json", dir / "d.varve", "two", "two"}))["ranges"].empty());
  const RunResult missing = tool({"snapshot", "diff", dir / "d.varve", "none"});
  CHECK(missing.exit_code == 1);
  CHECK(is_one_line_error(tool({"snapshot", "diff", dir / "d.varve", "one", "none"})));
  CHECK(tool({"snapshot", "diff", dir / "d.varve"}).exit_code == 64);
  CHECK(tool({"snapshot", "diff", "--force", dir / "d.varve", "one"}).exit_code == 64);
  CHECK(tool({"compare", "-l", "one", "--snapshot-b", "two", dir / "d.varve", dir / "d.varve"}).exit_code == 1);
  CHECK(tool({"compare", "-l", "two", "--snapshot-b", "two", dir / "d.varve", dir / "d.varve"}).exit_code == 0);
  CHECK(tool({"compare", "-l", "two", dir / "d.varve", dir / "a.raw"}).exit_code == 1);
  CHECK(tool({"compare", dir / "d.varve", dir / "a.raw"}).exit_code == 0);
  CHECK(contains(tool({"map", "-l", "two", dir / "d.varve"}).out, "data"));
}

TEST_CASE("export writes a snapshot, or what changed since another one, into a file of its own") {
  const TempDir dir;
  fill(dir, "first");
  CHECK(snapshot(dir, {"create", "one"}).exit_code == 0);
  fill(dir, noise(300000));
  CHECK(snapshot(dir, {"create", "two"}).exit_code == 0);
  fill(dir, "third");
  const Json whole = json_of(tool({"snapshot", "export", "--json", dir / "d.varve", "one", dir / "one.raw"}));
  CHECK(whole["since"] == nullptr);
  CHECK(whole["virtual_size"] == 1 << 20);
  CHECK(read_file(dir / "one.raw").substr(0, 5) == "first");
  CHECK(tool({"snapshot", "export", dir / "d.varve", "one", dir / "one.raw"}).exit_code == 1);
  CHECK(tool({"snapshot", "export", "--force", dir / "d.varve", "two", dir / "one.raw"}).exit_code == 0);

  // Below the image's directory, and named from another one.
  const RunResult made =
      varve_sh(R"(cd "$1" && mkdir sub && "$V" snapshot export --json --since one d.varve two sub/two.varve)", {dir.path()});
  INFO(made.err);
  CHECK(made.exit_code == 0);
  CHECK(json_of(made)["since"] == "one");
  CHECK(json_of(tool({"info", "--json", dir / "sub/two.varve"}))["parent"]["name"] == "../d.varve");
  CHECK(tool({"compare", "--references=any", "--snapshot-b", "two", dir / "sub/two.varve", dir / "d.varve"}).exit_code == 0);
  CHECK(tool({"snapshot", "export", "--since", "two", dir / "d.varve", "one", dir / "back.varve"}).exit_code == 0);
  CHECK(tool({"compare", "--snapshot-b", "one", dir / "back.varve", dir / "d.varve"}).exit_code == 0);
  const RunResult vmdk = tool({"snapshot", "export", "--since", "one", dir / "d.varve", "two", dir / "x.vmdk"});
  CHECK(vmdk.exit_code == 1);
  CHECK(contains(vmdk.err, "can't lie over a snapshot"));
  CHECK(tool({"snapshot", "export", "--since", "none", dir / "d.varve", "two", dir / "x.varve"}).exit_code == 1);
  CHECK_FALSE(exists(dir / "x.varve"));
  CHECK_FALSE(exists(dir / "x.vmdk"));
}

TEST_CASE("a child over PARENT@SNAPSHOT holds the snapshot; a file of that whole name comes first") {
  const TempDir dir;
  fill(dir, "first");
  CHECK(snapshot(dir, {"create", "gold@1"}).exit_code == 0);
  fill(dir, "later");
  CHECK(tool({"create", "-b", "d.varve@gold@1", dir / "child.varve"}).exit_code == 0);
  CHECK(tool({"compare", "--snapshot-b", "gold@1", dir / "child.varve", dir / "d.varve"}).exit_code == 0);
  CHECK(contains(tool({"snapshot", "list", dir / "d.varve"}).out, ", held"));
  CHECK(json_of(tool({"snapshot", "list", "--json", dir / "d.varve"}))["snapshots"][0]["held"] == true);
  CHECK(snapshot(dir, {"rename", "gold@1", "gold"}).exit_code == 0);
  CHECK(tool({"convert", "-b", "d.varve@gold", dir / "a.raw", dir / "delta.varve"}).exit_code == 0);
  CHECK(tool({"compare", dir / "delta.varve", dir / "a.raw"}).exit_code == 0);
  // Source and parent are the same file.
  CHECK(tool({"convert", "-l", "gold", "-b", "d.varve@gold", dir / "d.varve", dir / "same.varve"}).exit_code == 0);

  const RunResult refused = snapshot(dir, {"delete", "gold"});
  CHECK(refused.exit_code == 1);
  CHECK(is_one_line_error(refused));
  CHECK(contains(refused.err, "is held"));
  CHECK(snapshot(dir, {"delete", "--force", "gold"}).exit_code == 0);
  const RunResult orphan = tool({"map", dir / "child.varve"});
  CHECK(orphan.exit_code == 1);
  CHECK(is_one_line_error(orphan));

  CHECK(tool({"create", dir / "d.varve@gold", "1M", "-f", "varve"}).exit_code == 0);
  CHECK(tool({"create", "-b", "d.varve@gold", dir / "other.varve"}).exit_code == 0);
  CHECK(json_of(tool({"info", "--json", dir / "other.varve"}))["parent"]["name"] == "d.varve@gold");
  const RunResult neither = tool({"create", "-b", "e.varve@gold", dir / "x.varve"});
  CHECK(neither.exit_code == 1);
  CHECK(contains(neither.err, "e.varve@gold"));
}

TEST_CASE("a parent that can't be written to gives a child and a warning") {
  const TempDir dir;
  fill(dir, "first");
  CHECK(snapshot(dir, {"create", "one"}).exit_code == 0);
  const varve::Image reader = varve::Image::open(dir / "d.varve");
  const RunResult made = tool({"create", "-b", "d.varve@one", dir / "child.varve"});
  CHECK(made.exit_code == 0);
  CHECK(contains(made.err, "can't be marked as held"));
  CHECK(tool({"compare", "--snapshot-b", "one", dir / "child.varve", dir / "d.varve"}).exit_code == 0);
}

}  // namespace
