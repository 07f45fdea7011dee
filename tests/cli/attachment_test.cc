// attachment: list, put, get, delete, of the image and of a snapshot.
#include "cli.h"

using namespace varve::test;  // NOLINT

namespace {

RunResult attachment(const TempDir& dir, std::vector<std::string> words, const std::string& input = {}) {
  words.insert(words.begin(), {"attachment"});
  words.insert(words.begin() + 2, {"-f", "varve", dir / "d.varve"});
  return tool(words, input);
}

TEST_CASE("what is put comes back, from files and pipes, of the image and of a snapshot") {
  const TempDir dir;
  REQUIRE(tool({"create", "-o", "compression=zstd", dir / "d.varve", "1M"}).exit_code == 0);
  REQUIRE(tool({"snapshot", "create", "-f", "varve", dir / "d.varve", "one"}).exit_code == 0);
  const std::string memory = noise(500000);
  write_file(dir / "memory", memory);
  CHECK(attachment(dir, {"put", "state", dir / "memory", "-l", "one"}).exit_code == 0);
  CHECK(attachment(dir, {"put", "state", "-"}, "a note").exit_code == 0);
  CHECK(attachment(dir, {"get", "state", "-"}).out == "a note");
  CHECK(attachment(dir, {"get", "state", dir / "out", "-l", "one"}).exit_code == 0);
  CHECK(read_file(dir / "out") == memory);

  const RunResult listed = tool({"attachment", "list", dir / "d.varve"});
  CHECK(contains(listed.out, "state  20"));
  CHECK(contains(listed.out, "  6 bytes\n"));
  CHECK(contains(listed.out, "(500000 bytes)  one\n"));
  const Json json = json_of(tool({"attachment", "list", "--json", dir / "d.varve"}));
  REQUIRE(json["attachments"].size() == 2);
  CHECK(json["attachments"][0]["snapshot"] == "one");
  CHECK(json["attachments"][0]["size"] == 500000);
  CHECK(json["attachments"][1]["snapshot"] == nullptr);
  CHECK(json_of(tool({"attachment", "list", "--json", "-l", "one", dir / "d.varve"}))["attachments"].size() == 1);
  CHECK(tool({"check", "--data", dir / "d.varve"}).exit_code == 0);

  CHECK(tool({"snapshot", "delete", "-f", "varve", dir / "d.varve", "one"}).exit_code == 0);
  CHECK(json_of(tool({"attachment", "list", "--json", dir / "d.varve"}))["attachments"].size() == 1);
  CHECK(attachment(dir, {"delete", "state"}).exit_code == 0);
  CHECK(tool({"attachment", "list", dir / "d.varve"}).out.empty());
}

TEST_CASE("nothing is replaced without --force, neither in the image nor beside it") {
  const TempDir dir;
  REQUIRE(tool({"create", dir / "d.varve", "1M"}).exit_code == 0);
  CHECK(attachment(dir, {"put", "note", "-"}, "first").exit_code == 0);
  const RunResult taken = attachment(dir, {"put", "note", "-"}, "second");
  CHECK(taken.exit_code == 1);
  CHECK(is_one_line_error(taken));
  CHECK(attachment(dir, {"get", "note", "-"}).out == "first");
  CHECK(attachment(dir, {"put", "--force", "note", "-"}, "second").exit_code == 0);
  CHECK(attachment(dir, {"get", "note", dir / "out"}).exit_code == 0);
  write_file(dir / "out", "mine");
  const RunResult clash = attachment(dir, {"get", "note", dir / "out"});
  CHECK(clash.exit_code == 1);
  CHECK(is_one_line_error(clash));
  CHECK(read_file(dir / "out") == "mine");
  CHECK(attachment(dir, {"get", "--force", "note", dir / "out"}).exit_code == 0);
  CHECK(read_file(dir / "out") == "second");
}

TEST_CASE("attachment says in one line what is wrong, and changes nothing") {
  const TempDir dir;
  REQUIRE(tool({"create", dir / "d.varve", "1M"}).exit_code == 0);
  REQUIRE(attachment(dir, {"put", "note", "-"}, "four").exit_code == 0);
  const std::string before = read_file(dir / "d.varve");
  const std::vector<std::pair<std::vector<std::string>, int>> cases = {
      {{"get", "none", dir / "out"}, 1},
      {{"get", "none", "-"}, 1},
      {{"get", "note", "-", "--max-output-bytes", "3"}, 1},
      {{"get", "note", dir / "out", "--max-output-bytes", "3"}, 1},
      {{"delete", "none"}, 1},
      {{"put", "a", dir / "missing"}, 1},
      {{"put", "a", dir.path()}, 1},
      {{"put", "a", "-", "-l", "none"}, 1},
      {{"put", "", "-"}, 1},
      {{"put", "-U", "a", "-"}, 64},
      {{"put", "a"}, 64},
      {{"get", "a"}, 64},
      {{"lst"}, 64},
      {{"get", "--json", "a", "-"}, 64},
  };
  for (const auto& one : cases) {
    const std::vector<std::string>& words = one.first;
    const RunResult result = attachment(dir, words, "x");
    INFO(words.front() << " " << words.back() << ": " << result.err);
    CHECK(result.exit_code == one.second);
    CHECK(is_one_line_error(result));
    CHECK(result.out.empty());
  }
  CHECK(read_file(dir / "d.varve") == before);
  CHECK_FALSE(exists(dir / "out"));
  CHECK(tool({"attachment", "put", dir / "d.varve", "a", "-"}, "x").exit_code == 1);  // the format is not certain
  REQUIRE(tool({"create", dir / "d.raw", "1M"}).exit_code == 0);
  CHECK(contains(tool({"attachment", "list", dir / "d.raw"}).err, "format raw has no attachments"));
}

}  // namespace
