// Bash completion, asked the way Bash asks.
#include <cstdlib>

#include "cli.h"

using namespace varve::test;  // NOLINT

namespace {

/// What is offered for the last of the words.
std::string completions(const std::vector<std::string>& words) {
  const char* file = std::getenv("VARVE_TEST_COMPLETION");
  REQUIRE(file != nullptr);
  const std::string script =
      R"(compopt() { :; }; . "$0"; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMPREPLY=(); _varve; printf '%s\n' "${COMPREPLY[@]}")";
  std::vector<std::string> argv = {"bash", "-c", script, file, cli_path()};
  argv.insert(argv.end(), words.begin(), words.end());
  const RunResult result = run(argv);
  CHECK(result.err.empty());
  return result.out;
}

}  // namespace

TEST_CASE("completion offers commands, options, values, formats and creation options") {
  NEED_TOOL("bash");
  CHECK(completions({"con"}) == "convert\n");
  CHECK(completions({"check", "--da"}) == "--data\n");
  CHECK(completions({"check", "--rep"}) == "--repair=safe\n--repair=all\n");
  CHECK(completions({"create", "-f", "ra"}) == "raw\n");
  CHECK(completions({"help", "inf"}) == "info\n");
  CHECK(completions({"key", "--out-key-fo"}) == "--out-key-format=passphrase\n--out-key-format=raw\n");
  const TempDir dir;
  write_file(dir / "secret of mine", "");
  CHECK(completions({"info", "--key-file=" + dir.path() + "/se"}) == dir.path() + "/secret of mine\n");
  CHECK(contains(completions({"convert", "-O", "vmdk", "-o", "subf"}), "subformat=monolithicSparse\n"));
  CHECK(contains(completions({"convert", "-O", "vmdk", "-o", "hwversion=14,subf"}), "hwversion=14,subformat=monolithicFlat\n"));
}
