// Words, help, manual pages and standard streams.
#include "cli.h"

using namespace varve::test;  // NOLINT

namespace {

const std::vector<std::string> kCommands = {"create", "info",     "convert",    "check", "map",   "compare", "measure", "resize", "rebase",
                                            "commit", "snapshot", "attachment", "key",   "serve", "bench",   "formats", "help"};

/// $3 is a fifo whose reader takes some bytes and goes away; $2 gets the exit code of what writes to it.
RunResult with_short_reader(const std::string& prefix, const std::string& command, const std::string& image) {
  const TempDir dir;
  const std::string script = prefix + R"( mkfifo "$3"; head -c 10 "$3" >"$4" & )" + command + R"( >"$3"; echo $? >"$2"; wait)";
  RunResult result = varve_sh(script, {image, dir / "code", dir / "fifo", dir / "head"});
  CHECK(read_file(dir / "head").size() == 10);
  result.exit_code = std::stoi("0" + read_file(dir / "code"));
  return result;
}

}  // namespace

TEST_CASE("without a command the tool says so and exits 64") {
  const RunResult result = tool({});
  CHECK(result.exit_code == 64);
  CHECK(is_one_line_error(result));
}

TEST_CASE("--version prints the name and a number") {
  const RunResult result = tool({"--version"});
  CHECK(result.exit_code == 0);
  CHECK(result.out.starts_with("varve 0."));
  CHECK(result.err.empty());
}

TEST_CASE("help lists every command, and 'help X' says the same as 'X --help'") {
  const RunResult overview = tool({"help"});
  CHECK(overview.exit_code == 0);
  CHECK(tool({"--help"}).out == overview.out);
  for (const std::string& command : kCommands) {
    INFO(command);
    CHECK(contains(overview.out, "  " + command + " "));
    const RunResult help = tool({"help", command});
    CHECK(help.exit_code == 0);
    CHECK(help.out.starts_with("usage: varve " + command));
    CHECK(tool({command, "--help"}).out == help.out);
  }
}

TEST_CASE("an unknown command, option or format is one line with the nearest right one, and exit code 64") {
  const std::vector<std::pair<std::vector<std::string>, std::string>> cases = {
      {{"convrt", "a", "b"}, "did you mean 'convert'?"},
      {{"--verison"}, "unknown option"},
      {{"help", "chekc"}, "did you mean 'check'?"},
      {{"convert", "--forse", "a", "b"}, "did you mean '--force'?"},
      {{"info", "--max-virtual-sise=1", "a"}, "did you mean '--max-virtual-size'?"},
      {{"info", "-Z", "a"}, "'-Z'"},
      {{"create", "-f", "rwa", "a", "1M"}, "did you mean 'raw'?"},
  };
  for (const auto& [words, expected] : cases) {
    const RunResult result = tool(words);
    INFO(result.err);
    CHECK(result.exit_code == 64);
    CHECK(is_one_line_error(result));
    CHECK(contains(result.err, expected));
  }
}

TEST_CASE("abbreviated options are refused, even if they are unambiguous") {
  for (const char* option : {"--jso", "--ref=any", "--max-virt=1M"}) {
    const RunResult result = tool({"info", option, "a"});
    INFO(result.err);
    CHECK(result.exit_code == 64);
    CHECK(contains(result.err, "unknown option"));
  }
}

TEST_CASE("a wrong value, a missing one and a wrong number of operands are usage errors") {
  const std::vector<std::vector<std::string>> cases = {
      {"info"},
      {"info", "a", "b"},
      {"convert", "a"},
      {"create", "a.raw"},
      {"create", "a.raw", "10Q"},
      {"create", "a.raw", "-1"},
      {"create", "a", "1M"},
      {"create", "-f"},
      {"create", "-F", "raw", "a.raw", "1M"},
      {"create", "-o", "novalue", "a.raw", "1M"},
      {"check", "--repair=maybe", "a"},
      {"check", "--repair=safe", "-U", "a"},
      {"convert", "-j", "0", "a", "b.raw"},
      {"convert", "-j", "many", "a", "b.raw"},
      {"convert", "--target-is-zero", "a", "b.raw"},
      {"convert", "-n", "--force", "a", "b.raw"},
      {"convert", "--sync=some", "a", "b.raw"},
      {"convert", "--json", "-O", "raw", "a", "-"},
      {"info", "--parent", "p", "--ignore-parent", "a"},
      {"info", "--max-virtual-size=much", "a"},
      {"formats", "--json=yes"},
      {"measure", "a"},
      {"measure", "-O", "raw"},
      {"measure", "-O", "raw", "--size", "1G", "a"},
      {"measure", "-O", "raw", "--size", "1G", "-l", "s"},
      {"rebase", "a"},
      {"rebase", "-b", "", "-F", "raw", "a"},
      {"rebase", "-b", "b", "--unsafe", "--parent", "c", "a"},
      {"commit"},
      {"commit", "--ignore-parent", "a"},
  };
  for (const auto& words : cases) {
    const RunResult result = tool(words);
    INFO(words.front() << " " << words.back() << ": " << result.err);
    CHECK(result.exit_code == 64);
    CHECK(is_one_line_error(result));
  }
}

TEST_CASE("a file whose name begins with a dash comes after --") {
  const TempDir dir;
  const RunResult result = varve_sh(R"(cd "$1" && "$V" create -f raw -- -x 1M && "$V" info -f raw -- -x)", {dir.path()});
  INFO(result.err);
  CHECK(result.exit_code == 0);
  CHECK(exists(dir / "-x"));
}

TEST_CASE("results that can't be written are a failure: a full device, a closed descriptor") {
  const TempDir dir;
  REQUIRE(tool({"create", dir / "a.raw", "1M"}).exit_code == 0);
  for (const std::string& script : std::vector<std::string>{R"("$V" info "$1" >/dev/full)", R"("$V" map --json "$1" >/dev/full)",
                                                            R"("$V" info "$1" >&-)", R"("$V" help >/dev/full)"}) {
    const RunResult result = varve_sh(script, {dir / "a.raw"});
    INFO(script << ": " << result.err);
    CHECK(result.exit_code == 1);
    CHECK(is_one_line_error(result));
    CHECK(contains(result.err, "standard output"));
  }
}

TEST_CASE("a reader of the results that goes away ends the tool by SIGPIPE and without a word; where SIGPIPE is ignored, with a line") {
  const TempDir dir;
  // A map that is larger than what a pipe takes: 4000 runs.
  std::string disk(4000 * 8192, '\0');
  for (size_t at = 0; at < disk.size(); at += 8192) disk[at] = 'x';
  write_file(dir / "disk.raw", disk);
  REQUIRE(tool({"convert", "--sync=none", "-o", "grain_size=4K", dir / "disk.raw", dir / "disk.vmdk"}).exit_code == 0);
  const std::vector<std::string> commands = {R"("$V" map "$1")", R"("$V" map --json "$1")", R"("$V" convert -O raw "$1" -)"};
  for (const std::string& command : commands) {
    INFO(command);
    const RunResult gone = with_short_reader("", command, dir / "disk.vmdk");
    CHECK(gone.exit_code == 141);
    CHECK(gone.err.empty());
    const RunResult ignored = with_short_reader("trap '' PIPE;", command, dir / "disk.vmdk");
    CHECK(ignored.exit_code == 1);
    CHECK(ignored.err == "varve: standard output: cannot write: Broken pipe\n");
  }
}

TEST_CASE("a failure that has nothing to do with standard output is told, also when nobody reads that") {
  const TempDir dir;
  const RunResult result = varve_sh(R"({ sleep 0.3; "$V" info "$1"; echo $? >"$2"; } | true; while [ ! -s "$2" ]; do sleep 0.05; done)",
                                    {dir / "missing", dir / "code"});
  CHECK(read_file(dir / "code") == "1\n");
  CHECK(is_one_line_error(result));
}

TEST_CASE("an image never takes the place of a closed standard stream") {
  const TempDir dir;
  CHECK(varve_sh(R"("$V" create "$1" 1M <&- >&- 2>&-)", {dir / "a.raw"}).exit_code == 0);
  CHECK(read_file(dir / "a.raw") == std::string(1 << 20, '\0'));
  CHECK(varve_sh(R"("$V" convert "$1" "$2" <&- >&- 2>&-)", {dir / "missing", dir / "b.raw"}).exit_code == 1);
  CHECK(names_in(dir.path()) == std::vector<std::string>{"a.raw"});
}

TEST_CASE("formats tells of each format what it can do, as text and as JSON") {
  const RunResult text = tool({"formats"});
  CHECK(text.exit_code == 0);
  CHECK(contains(text.out, "raw: "));
  CHECK(contains(text.out, "vmdk: "));
  const Json document = json_of(tool({"formats", "--json"}));
  CHECK(document.at("formats").size() >= 2);
  for (const Json& format : document.at("formats")) {
    CHECK(keys_of(format) == std::vector<std::string>{"can", "description", "extensions", "name", "options"});
    CHECK(keys_of(format.at("can")) == std::vector<std::string>{"check", "create", "discard", "encryption", "generations", "parent",
                                                                "repair", "resize", "snapshots", "stream_in", "stream_out", "write",
                                                                "zero"});
    for (const Json& option : format.at("options")) CHECK(option.contains("help"));
  }
}

TEST_CASE("every manual page has the sections that readers look for, and roff has no complaint") {
  for (const std::string& command : kCommands) {
    const RunResult page = tool({"help", "--man", command});
    INFO(command);
    CHECK(page.exit_code == 0);
    for (const char* section : {".TH ", ".SH NAME", ".SH SYNOPSIS", ".SH DESCRIPTION", ".SH OPTIONS", ".SH EXIT STATUS"})
      CHECK(contains(page.out, section));
  }
  CHECK(contains(tool({"help", "--man"}).out, ".SH COMMANDS"));
  NEED_TOOL("groff");
  for (const std::string& command : kCommands) {
    const RunResult page = varve_sh(R"("$V" help --man "$1" | groff -ww -man -Tascii -z)", {command});
    INFO(command << ": " << page.err);
    CHECK(page.exit_code == 0);
    CHECK(page.err.empty());
  }
}
