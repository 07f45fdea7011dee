// What the plugin does not do: guess, open what an image names, show secrets.
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

#include "cli/cli.h"
#include "nbd/disks.h"
#include "support/host.h"

using namespace varve::test;  // NOLINT

namespace {

const DiskKind& plain_kind() { return disk_kinds().at(1); }
const DiskKind& encrypted_kind() { return disk_kinds().back(); }

/// Of an encrypted disk, without its key.
ServeHow without_key(const ServedDisk& disk) {
  ServeHow how = disk.how();
  std::erase_if(how.parameters, [](const std::string& word) { return word.starts_with("key-file="); });
  return how;
}

ServeHow with(ServeHow how, const std::vector<std::string>& more) {
  how.parameters.insert(how.parameters.end(), more.begin(), more.end());
  return how;
}

std::string private_file(const std::string& path, const std::string& contents) {
  write_file(path, contents);
  REQUIRE(chmod(path.c_str(), 0600) == 0);
  return path;
}

void serves(const ServeHow& how) {
  const RunResult result = serve_and_run(how, "nbdinfo --size \"$uri\"");
  INFO(result.err);
  CHECK(result.exit_code == 0);
  CHECK(result.err.empty());
}

}  // namespace

TEST_CASE("an image whose format is not named is refused, and auto is for reading alone") {
  NEED_TOOL("nbdkit");
  NEED_TOOL("nbdinfo");
  const ServedDisk disk(plain_kind());
  CHECK(contains(refused_start({{}, {disk.image()}}), "the format must be named"));
  CHECK(contains(refused_start({{}, {disk.image(), "format=auto"}}), "format=auto is for reading"));
  CHECK(contains(refused_start({{"-r"}, {disk.image(), "format=auto"}}), "read-only=on"));
  CHECK(contains(refused_start({{}, {disk.image(), "format=vmkd"}}), "vmkd"));
  serves({{}, {disk.image(), "format=auto", "read-only=on"}});
}

TEST_CASE("parameters that nobody knows, or whose values make no sense, are refused with one line that names them") {
  NEED_TOOL("nbdkit");
  const ServedDisk disk(plain_kind());
  CHECK(contains(refused_start({{}, {"format=vmdk"}}), "no image"));
  for (const char* wrong : {"colour=blue", "references=some", "read-only=perhaps", "cache=fast", "threads=1000", "key-format=hex",
                            "key-fd=x", "key-fd=1", "key-fd=77", "key-file=/nonexistent/key", "snapshot=s", "require-encryption=on"}) {
    INFO(std::string(wrong));
    const std::string name = std::string(wrong).substr(0, std::string(wrong).find('='));
    const std::string line = refused_start(with(disk.how(), {wrong}));
    CHECK((contains(line, name) || contains(line, "/nonexistent/key") || contains(line, "snapshot") || contains(line, "not encrypted")));
  }
  CHECK(contains(refused_start({{}, {disk / "no.vmdk", "format=vmdk"}}), "no.vmdk"));
}

TEST_CASE(
    "an encrypted image is served with the right passphrase or key, and refused without it, with a wrong one, and with the key of another "
    "kind") {
  NEED_TOOL("nbdkit");
  NEED_TOOL("nbdinfo");
  const ServedDisk disk(encrypted_kind());
  const std::string wrong = private_file(disk / "wrong", "incorrect horse\n");
  const std::string raw = private_file(disk / "raw-key", noise(32));
  serves(disk.how());
  serves(with(without_key(disk), {"key-file=" + wrong, "key-file=" + (disk / "key")}));
  serves(with(without_key(disk), {"passphrase=+" + (disk / "key")}));
  CHECK(contains(refused_start(without_key(disk)), "image.varve"));
  CHECK(contains(refused_start(with(without_key(disk), {"key-file=" + wrong})), "image.varve"));
  refused_start(with(without_key(disk), {"key-file=" + raw, "key-format=raw"}));
  refused_start(with(without_key(disk), {"key-file=" + wrong, "key-format=raw"}));

  REQUIRE(disk.varve({"key", "add", disk.image(), "--out-key-file", raw, "--out-key-format=raw"}).exit_code == 0);
  serves(with(without_key(disk), {"key-file=" + raw, "key-format=raw"}));
}

TEST_CASE("a key comes from a descriptor, too") {
  NEED_TOOL("nbdkit");
  NEED_TOOL("nbdinfo");
  const ServedDisk disk(encrypted_kind());
  std::vector<std::string> argv = nbdkit_argv(with(without_key(disk), {"key-fd=9", "--run", "nbdinfo --size \"$uri\""}));
  argv.insert(argv.begin() + 1, {"-U", "-"});
  argv.insert(argv.begin(), {"sh", "-c", "exec \"$@\" 9<\"$0\"", disk / "key"});
  const RunResult result = run(argv);
  INFO(result.err);
  CHECK(result.exit_code == 0);
}

TEST_CASE("a passphrase on the command line is refused without being repeated") {
  NEED_TOOL("nbdkit");
  const ServedDisk disk(encrypted_kind());
  const std::string line = refused_start(with(without_key(disk), {"passphrase=correct horse battery"}));
  CHECK(contains(line, "seen by everybody"));
  CHECK_FALSE(contains(line, "horse"));
}

TEST_CASE("a server in the background has the secret, and holds the image by its absolute name") {
  NEED_TOOL("nbdkit");
  NEED_TOOL("nbdcopy");
  const ServedDisk disk(encrypted_kind());
  ServeHow how{{"-U", disk / "socket", "-P", disk / "pid"}, {"image.varve", "format=varve", "key-file=key", "read-only=off"}};
  std::vector<std::string> argv = nbdkit_argv(how);
  std::erase(argv, "--exit-with-parent");  // it would stay in the foreground
  argv.insert(argv.begin(), {"sh", "-c", "cd \"$0\" && exec \"$@\" >/dev/null 2>&1", disk / "."});
  REQUIRE(run(argv).exit_code == 0);
  REQUIRE(eventually([&] { return contains(read_file(disk / "pid"), "\n"); }));
  const RunResult copied = run({"nbdcopy", "nbd+unix:///?socket=" + (disk / "socket"), disk / "copy.raw"});
  const pid_t pid = std::stoi(read_file(disk / "pid"));
  CHECK(kill(pid, SIGTERM) == 0);
  CHECK(eventually([&] { return kill(pid, 0) != 0; }));
  INFO(copied.err);
  CHECK(copied.exit_code == 0);
  CHECK(same_bytes(disk / "copy.raw", disk.raw()));
  disk.must_be_clean();
}

TEST_CASE("a parent is refused unless the parameters allow references") {
  NEED_TOOL("nbdkit");
  NEED_TOOL("nbdcopy");
  for (const size_t index : {1, 2, 3}) {
    const DiskKind& kind = disk_kinds().at(index);
    INFO(kind.name);
    const ServedDisk parent(kind);
    const std::string child = parent / ("child." + kind.format);
    REQUIRE(tool({"create", "-f", kind.format, "-b", "image." + kind.format, child}).exit_code == 0);
    const ServeHow how{{}, {"file=" + child, "format=" + kind.format}};
    const std::string line = refused_start(how);
    CHECK(contains(line, "image." + kind.format));
    CHECK(contains(line, "no other file may be opened"));
    const std::string script = "nbdcopy \"$uri\" \"" + (parent / "copy.raw") + "\"";
    for (const std::string& allowing : {std::string("references=inside"), "parent=" + parent.image()}) {
      const RunResult result = serve_and_run(with(how, {allowing}), script);
      INFO(allowing << ": " << result.err);
      CHECK(result.exit_code == 0);
      CHECK(same_bytes(parent / "copy.raw", parent.raw()));
      CHECK(unlink((parent / "copy.raw").c_str()) == 0);
    }
  }
}

TEST_CASE("an image that is served for writing is locked, and one that is written elsewhere is not served") {
  NEED_TOOL("nbdkit");
  const ServedDisk disk(plain_kind());
  NbdServer server(with(disk.how(), {"read-only=off"}));
  CHECK(disk.varve({"info", disk.image()}).exit_code == 1);
  CHECK(contains(refused_start(disk.how({"-r"})), "image.vmdk"));
  CHECK(server.stop() == 0);
  CHECK(disk.varve({"info", disk.image()}).exit_code == 0);
}

TEST_CASE("a snapshot is served as it was, and never for writing") {
  NEED_TOOL("nbdkit");
  NEED_TOOL("nbdcopy");
  const ServedDisk disk(disk_kinds().at(3));
  REQUIRE(disk.varve({"snapshot", "create", disk.image(), "then"}).exit_code == 0);
  {
    NbdServer server(disk.how());
    REQUIRE(run({"qemu-io", "-f", "raw", "-c", "write -P 5 0 20M", server.uri()}).exit_code == 0);
  }
  NbdServer server(with(disk.how(), {"snapshot=then", "read-only=on"}));
  CHECK(run({"nbdcopy", server.uri(), disk / "copy.raw"}).exit_code == 0);
  CHECK(same_bytes(disk / "copy.raw", disk.raw()));
  CHECK(server.stop() == 0);
  NbdServer writable(with(disk.how(), {"snapshot=then"}));
  CHECK(run({"nbdinfo", writable.uri()}).exit_code != 0);
  CHECK(contains(writable.said(), "snapshot"));
}

TEST_CASE("the plugin tells the library's version") {
  NEED_TOOL("nbdkit");
  const std::string dump = must_run({"nbdkit", "--dump-plugin", nbdkit_plugin()});
  const std::string version = tool({"--version"}).out;  // "varve 0.1.0"
  CHECK(contains(dump, "varve_version=" + version.substr(version.find(' ') + 1)));
  CHECK(contains(dump, "max_thread_model=parallel"));
}
