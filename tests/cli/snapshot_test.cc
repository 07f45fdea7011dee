// snapshot: create, list, delete, revert, rename, and reading one with -l.
#include "cli.h"

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

}  // namespace
