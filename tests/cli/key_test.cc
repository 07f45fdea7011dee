// Options that name secrets, and the slots of encrypted images.
#include <sys/stat.h>

#include "secrets.h"

using namespace varve::test;  // NOLINT

namespace {

/// Of an image that is not encrypted: the file is read first, and if that goes well there is no slot to keep.
RunResult read_as_key(const TempDir& dir, const std::string& file, const std::vector<std::string>& more = {}) {
  std::vector<std::string> words = {"key", "rotate", "-f", "varve", "--also-key-file", file, dir / "plain.varve"};
  words.insert(words.end(), more.begin(), more.end());
  return hushed(words);
}

constexpr const char* kReadWell = "the image is not encrypted";

}  // namespace

TEST_CASE("options of keys that contradict each other, or can't be, are usage errors, and nothing is opened or made") {
  NEED_TOOL("setsid");
  const TempDir dir;
  const std::string k = key_file(dir, "k", kCanary);
  const std::vector<std::vector<std::string>> cases = {
      {"info", "--key-file", k, "--key-fd", "0", "a"},
      {"info", "--key-file", k, "--key-command", "true", "a"},
      {"info", "--key-fd", "0", "--key-command", "true", "a"},
      {"info", "--key-slot", "16", "a"},
      {"info", "--key-slot", "-1", "a"},
      {"info", "--key-slot", "one", "a"},
      {"info", "--key-fd", "many", "a"},
      {"info", "--key-fd", "99", "a"},
      {"info", "--key-fd", "3", "a"},  // ours, but not given to us
      {"info", "--key-format", "raw", "a"},
      {"info", "--key-format", "hex", "a"},
      {"info", "--min-generation", "last", "a"},
      {"create", "-o", "encryption=aes-256-gcm", "--out-key-file", k, "--out-key-fd", "0", dir / "a.varve", "1M"},
      {"create", "-o", "encryption=aes-256-gcm", "--out-key-format", "raw", dir / "a.varve", "1M"},
      {"create", "--out-key-file", k, dir / "a.varve", "1M"},
      {"create", "--key-slot", "1", dir / "a.varve", "1M"},
      {"convert", "-n", "-O", "raw", "--out-key-file", k, "a", "b"},
      {"convert", "-f", "raw", "-o", "encryption=aes-256-gcm", "--out-key-fd", "0", "-", dir / "a.varve"},
      {"attachment", "put", "-f", "varve", "--key-fd", "0", "a", "name", "-"},
      {"snapshot", "list", "--out-key-file", k, "a"},
      {"measure", "-O", "varve", "--size", "1M", "--key-file", k},
      {"key", "add", "--key-fd", "0", "--out-key-fd", "0", "a"},
      {"key", "add", "--kdf", "md5", "a"},
      {"key", "add", "--kdf-cost", "64", "a"},
      {"key", "add", "--kdf", "pbkdf2", "--out-key-format", "raw", "--out-key-file", k, "a"},
      {"key", "add", "a", "1"},
      {"key", "add", "--drop-others", "a"},
      {"key", "remove", "a", "16"},
      {"key", "remove", "--kdf", "scrypt", "a"},
      {"key", "list", "--key-file", k, "a"},
      {"key", "rotate", "--out-key-file", k, "a"},
      {"key", "rotate", "-U", "a"},
      {"key", "lst", "a"},
      {"key", "list"},
  };
  for (const auto& words : cases) {
    const RunResult result = hushed(words);
    INFO(words.at(0) << " " << words.at(1) << " " << words.back() << ": " << result.err);
    CHECK(result.exit_code == 64);
    CHECK(is_one_line_error(result));
  }
  CHECK(names_in(dir.path()) == std::vector<std::string>{"k"});
}

TEST_CASE("a key file holds 1 to 1024 bytes and one newline that does not count, or a raw key of 32 bytes; else one line says why") {
  NEED_TOOL("setsid");
  const TempDir dir;
  REQUIRE(tool({"create", dir / "plain.varve", "1M"}).exit_code == 0);
  const std::string longest = kCanary + std::string(1024 - kCanary.size(), 'x');
  const std::vector<std::string> raw = {"--key-format", "raw", "--key-command", "true"};
  struct Row {
    std::string contents;
    std::vector<std::string> more;
    std::string says;
  };
  const std::vector<Row> rows = {
      {"", {}, "the passphrase is empty"},
      {"\n", {}, "the passphrase is empty"},
      {"\r\n", {}, "the passphrase is empty"},
      {"\n\n", {}, kReadWell},
      {longest, {}, kReadWell},
      {longest + "\n", {}, kReadWell},
      {longest + "\r\n", {}, kReadWell},
      {longest + "x", {}, "longer than 1024 bytes"},
      {longest + "\n\n", {}, "longer than 1024 bytes"},
      {std::string(1 << 20, 'x'), {}, "longer than 1024 bytes"},
      {std::string(31, '\0'), raw, "exactly 32 bytes, and this is 31"},
      {std::string(32, '\n'), raw, kReadWell},
      {std::string(33, 'x'), raw, "exactly 32 bytes, and this is more"},
      {"", raw, "exactly 32 bytes, and this is 0"},
  };
  for (const Row& row : rows) {
    const RunResult result = read_as_key(dir, key_file(dir, "k", row.contents), row.more);
    INFO(row.contents.size() << " bytes: " << result.err);
    CHECK(result.exit_code == 1);
    CHECK(is_one_line_error(result));
    CHECK(contains(result.err, row.says));
  }
  for (const std::string& path : {dir / "missing", dir.path()}) {
    const RunResult result = read_as_key(dir, path);
    CHECK(result.exit_code == 1);
    CHECK(is_one_line_error(result));
    CHECK(contains(result.err, path));
  }
}

TEST_CASE("a key file that others have rights to is used with a warning") {
  NEED_TOOL("setsid");
  const TempDir dir;
  REQUIRE(tool({"create", dir / "plain.varve", "1M"}).exit_code == 0);
  const std::string k = key_file(dir, "k", kCanary);
  for (const mode_t mode : {0640, 0604, 0620}) {
    REQUIRE(chmod(k.c_str(), mode) == 0);
    const RunResult result = read_as_key(dir, k);
    CHECK(result.err.starts_with("varve: warning: " + k));
    CHECK(contains(result.err, kReadWell));
  }
}

TEST_CASE("a key for an image that is not encrypted is not looked at") {
  NEED_TOOL("setsid");
  const TempDir dir;
  REQUIRE(tool({"create", dir / "plain.varve", "1M"}).exit_code == 0);
  CHECK(hushed({"convert", "--key-file", dir / "missing", dir / "plain.varve", dir / "a.raw"}).exit_code == 0);
  CHECK(hushed({"map", "--key-command", "touch '" + (dir / "ran") + "'", dir / "plain.varve"}).exit_code == 0);
  CHECK_FALSE(exists(dir / "ran"));
}

TEST_CASE("--require-encryption refuses an image that is not, --min-generation an older one and one that counts none") {
  NEED_TOOL("setsid");
  const TempDir dir;
  REQUIRE(tool({"create", dir / "plain.varve", "1M"}).exit_code == 0);
  REQUIRE(tool({"create", dir / "plain.raw", "1M"}).exit_code == 0);
  for (const std::string command : {"info", "map", "check"}) {
    const RunResult plain = hushed({command, "--require-encryption", dir / "plain.varve"});
    CHECK(plain.exit_code == 1);
    CHECK(contains(plain.err, "the image is not encrypted"));
  }
  CHECK(hushed({"info", "--min-generation", "1", dir / "plain.raw"}).exit_code == 1);
}

TEST_CASE("key says of an image that is not encrypted that it has no keys") {
  NEED_TOOL("setsid");
  const TempDir dir;
  REQUIRE(tool({"create", dir / "plain.varve", "1M"}).exit_code == 0);
  const std::string before = read_file(dir / "plain.varve");
  const std::string k = key_file(dir, "k", kCanary);
  const std::vector<std::vector<std::string>> cases = {{"key", "list", dir / "plain.varve"},
                                                       {"key", "change", "-f", "varve", "--out-key-file", k, dir / "plain.varve"},
                                                       {"key", "remove", "-f", "varve", dir / "plain.varve", "0"},
                                                       {"key", "rotate", "-f", "varve", dir / "plain.varve"}};
  for (const auto& words : cases) {
    const RunResult result = hushed(words);
    INFO(words.at(1) << ": " << result.err);
    CHECK(result.exit_code == 1);
    CHECK(is_one_line_error(result));
    CHECK(contains(result.err, kReadWell));
  }
  CHECK(read_file(dir / "plain.varve") == before);
}
