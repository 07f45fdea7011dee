#include "secrets.h"

#include <sys/stat.h>

namespace varve::test {
namespace {

RunResult without_terminal(std::vector<std::string> argv) {
  argv.insert(argv.begin(), {"setsid", "-w"});
  RunResult result = run(argv);
  CHECK_FALSE(contains(result.out + result.err, kCanary));
  return result;
}

}  // namespace

std::string key_file(const TempDir& dir, const std::string& name, const std::string& contents) {
  write_file(dir / name, contents);
  REQUIRE(chmod((dir / name).c_str(), 0600) == 0);
  return dir / name;
}

RunResult hushed(const std::vector<std::string>& arguments) { return without_terminal(varve_argv(arguments)); }

RunResult hushed_sh(const std::string& script, const std::vector<std::string>& words) {
  std::vector<std::string> argv = {"sh", "-c", "V=$0; " + script, cli_path()};
  argv.insert(argv.end(), words.begin(), words.end());
  return without_terminal(argv);
}

std::string encrypted_image(const TempDir& dir) {
  write_file(dir / "disk.raw", noise(1 << 20));
  const std::string key = key_file(dir, "old", kCanary + " old\n");
  const RunResult made =
      hushed({"convert", "-o", "encryption=aes-256-gcm,kdf_cost=15", "--out-key-file", key, dir / "disk.raw", dir / "d.varve"});
  INFO(made.err);
  REQUIRE(made.exit_code == 0);
  return dir / "d.varve";
}

}  // namespace varve::test
