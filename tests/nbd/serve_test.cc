// varve serve, from end to end.
#include <signal.h>
#include <sys/stat.h>

#include "cli/cli.h"
#include "cli/terminal.h"
#include "nbd/disks.h"

using namespace varve::test;  // NOLINT

namespace {

std::vector<std::string> over_socket(const ServedDisk& disk, std::vector<std::string> more = {}) {
  more.insert(more.end(), {"--socket", "@SOCKET@"});
  return disk.serve_argv(more);
}

RunResult serve(const ServedDisk& disk, const std::vector<std::string>& more) {
  return run(disk.serve_argv(more), {}, std::chrono::seconds(20));
}

/// A port that nobody listens on at the moment.
std::string free_port() {
  return must_run({"python3", "-c", "import socket; s = socket.socket(); s.bind(('127.0.0.1', 0)); print(s.getsockname()[1], end='')"});
}

bool answers(const std::string& uri) { return run({"nbdinfo", "--size", uri}).exit_code == 0; }

void copies(const std::string& uri, const ServedDisk& disk) {
  const RunResult result = run({"nbdcopy", uri, disk / "copy.raw"});
  INFO(result.err);
  CHECK(result.exit_code == 0);
  CHECK(same_bytes(disk / "copy.raw", disk.raw()));
}

}  // namespace

TEST_CASE("'varve serve' serves every format at a socket that only its user may use, and ends when told") {
  NEED_TOOL("nbdkit");
  NEED_TOOL("nbdcopy");
  for (const DiskKind& kind : disk_kinds()) {
    for (const int signal : {2, 15}) {
      INFO(kind.name << ", signal " << signal);
      const ServedDisk disk(kind);
      NbdServer server(over_socket(disk));
      struct stat status {};
      REQUIRE(stat(server.socket().c_str(), &status) == 0);
      CHECK((status.st_mode & 022) == 0);  // to connect is to write
      copies(server.uri(), disk);
      CHECK(run({"qemu-io", "-f", "raw", "-c", "write -P 3 0 1M", server.uri()}).exit_code == 0);
      CHECK(server.stop(signal) == 0);
      CHECK(server.said() == "");
      CHECK_FALSE(exists(server.socket()));
      disk.must_be_clean();
    }
  }
}

TEST_CASE("'varve serve' listens at an address, and serves for reading when told") {
  NEED_TOOL("nbdkit");
  NEED_TOOL("nbdcopy");
  NEED_TOOL("python3");
  const ServedDisk disk(disk_kinds().at(2));
  const std::string place = "127.0.0.1:" + free_port();
  Background server(disk.serve_argv({"--read-only", "--listen", place}));
  REQUIRE(eventually([&] { return answers("nbd://" + place); }));
  copies("nbd://" + place, disk);
  CHECK(run({"qemu-io", "-f", "raw", "-c", "write 0 4k", "nbd://" + place}).exit_code != 0);
  CHECK(server.stop() == 0);
}

TEST_CASE("'varve serve' with keys of users wants TLS, and lets nobody else in") {
  NEED_TOOL("nbdkit");
  NEED_TOOL("nbdcopy");
  NEED_TOOL("python3");
  NEED_TOOL("psktool");
  const ServedDisk disk(disk_kinds().at(1));
  must_run({"psktool", "-u", "alice", "-p", disk / "keys.psk"});
  const std::string place = "127.0.0.1:" + free_port();
  Background server(disk.serve_argv({"--tls-psk", disk / "keys.psk", "--listen", place}));
  const std::string uri = "nbds://alice@" + place + "/?tls-psk-file=" + (disk / "keys.psk");
  REQUIRE(eventually([&] { return answers(uri); }));
  copies(uri, disk);
  CHECK_FALSE(answers("nbd://" + place));
  must_run({"psktool", "-u", "mallory", "-p", disk / "other.psk"});
  CHECK_FALSE(answers("nbds://mallory@" + place + "/?tls-psk-file=" + (disk / "other.psk")));
  CHECK(server.stop() == 0);
}

TEST_CASE("'varve serve' recognizes the format where that is safe, and leaves an image that it refuses alone") {
  NEED_TOOL("nbdkit");
  NEED_TOOL("nbdinfo");
  for (const DiskKind& kind : disk_kinds()) {
    INFO(kind.name);
    const ServedDisk disk(kind, 8 << 20);
    std::vector<std::string> argv = over_socket(disk);
    std::erase(argv, "-f");
    std::erase(argv, kind.format);
    const std::string before = read_file(disk.image());
    argv.insert(argv.begin() + 2, "--read-only");
    NbdServer server(argv);
    CHECK(answers(server.uri()));
    CHECK(server.stop() == 0);
    argv.erase(argv.begin() + 2);
    const RunResult writing = run({"timeout", "1", argv.at(0), argv.at(1), "--socket", disk / "s", disk.image()});
    CHECK(is_one_line_error(writing));
    CHECK(contains(writing.err, "the format must be named"));
    CHECK(read_file(disk.image()) == before);
  }
}

TEST_CASE("'varve serve' hands over what a command prints, and what opens the parents, as key") {
  NEED_TOOL("nbdkit");
  NEED_TOOL("nbdcopy");
  const ServedDisk parent(disk_kinds().back());
  write_file(parent / "other", "another passphrase");
  REQUIRE(chmod((parent / "other").c_str(), 0600) == 0);
  const std::string child = parent / "child.varve";
  REQUIRE(tool({"create", "-f", "varve", "-b", "image.varve", "-o", "encryption=aes-256-gcm,kdf_cost=15", "--key-file", parent / "key",
                "--out-key-file", parent / "other", child})
              .exit_code == 0);
  NbdServer by_command(varve_argv(
      {"serve", "-f", "varve", "--key-command", "cat \"" + (parent / "key") + "\"; echo more", "--socket", "@SOCKET@", parent.image()}));
  copies(by_command.uri(), parent);
  CHECK(by_command.stop() == 0);
  NbdServer by_files(varve_argv({"serve", "-f", "varve", "--references=inside", "--key-file", parent / "key", "--key-file",
                                 parent / "other", "--socket", "@SOCKET@", child}));
  copies(by_files.uri(), parent);
  const std::string nbdkit = must_run({"pgrep", "-P", std::to_string(by_files.pid())});
  const std::string words = read_file("/proc/" + nbdkit.substr(0, nbdkit.find('\n')) + "/cmdline");
  CHECK(contains(words, "key-fd="));
  CHECK_FALSE(contains(words, "passphrase"));
  CHECK(by_files.stop() == 0);
}

TEST_CASE("'varve serve' asks for the passphrase at the terminal, and hands over the one that was right") {
  NEED_TOOL("nbdkit");
  NEED_TOOL("nbdcopy");
  NEED_TOOL("setsid");
  const ServedDisk disk(disk_kinds().back());
  const std::string uri = "nbd+unix:///?socket=" + (disk / "s");
  AtTerminal server(varve_argv({"serve", "-f", "varve", "--socket", disk / "s", disk.image()}));
  REQUIRE(server.shows("Passphrase for " + disk.image() + ": "));
  CHECK_FALSE(exists(disk / "s"));
  server.type("incorrect horse\n");
  REQUIRE(server.shows("wrong passphrase, try again"));
  REQUIRE(server.shows("Passphrase for "));
  server.type("correct horse battery\n");
  REQUIRE(eventually([&] { return listens(disk / "s"); }));
  copies(uri, disk);
  CHECK(kill(server.pid(), SIGTERM) == 0);
  CHECK(server.wait() == 0);
  CHECK_FALSE(contains(server.screen(), "battery"));
  disk.must_be_clean();
}

TEST_CASE("'varve serve' begins anew where a server that was killed has left its socket, and not where one still serves") {
  NEED_TOOL("nbdkit");
  NEED_TOOL("nbdinfo");
  const ServedDisk disk(disk_kinds().at(0));
  const ServedDisk other(disk_kinds().at(0));
  NbdServer first(over_socket(disk));
  const RunResult second = serve(other, {"--socket", first.socket()});
  CHECK(second.exit_code == 1);
  CHECK(answers(first.uri()));
  CHECK(first.stop(9) == 128 + 9);
  CHECK(eventually([&] { return !listens(first.socket()); }));
  CHECK(exists(first.socket()));
  Background third(other.serve_argv({"--socket", first.socket()}));
  CHECK(eventually([&] { return answers(first.uri()); }));
  CHECK(third.stop() == 0);
}

TEST_CASE("'varve serve' tells in one line what is missing or wrong, before anybody can connect") {
  NEED_TOOL("nbdkit");
  const ServedDisk disk(disk_kinds().back());
  const ServedDisk plain(disk_kinds().at(1));
  write_file(disk / "wrong", "incorrect horse");
  REQUIRE(chmod((disk / "wrong").c_str(), 0600) == 0);
  struct Case {
    std::vector<std::string> argv;
    std::string told;
  };
  std::vector<std::string> serving = plain.serve_argv({"--socket", plain / "s"});
  const auto with_environment = [&](const std::string& setting) {
    std::vector<std::string> argv = serving;
    argv.insert(argv.begin(), {"env", setting});
    return argv;
  };
  const std::vector<Case> cases = {
      {with_environment("PATH=" + (plain / ".")), "apt install nbdkit"},
      {with_environment("PATH="), "apt install nbdkit"},
      {with_environment("VARVE_NBDKIT_PLUGIN=/nonexistent/plugin.so"), "plugin for nbdkit is not there"},
      {varve_argv({"serve", "-f", "varve", "--key-file", disk / "wrong", "--socket", disk / "s", disk.image()}), "image.varve"},
      {varve_argv({"serve", "-f", "vmdk", "--socket", disk / "s", disk / "missing"}), "missing"},
  };
  for (const Case& one : cases) {
    const RunResult result = run(one.argv, {}, std::chrono::seconds(20));
    INFO(one.told << ": " << result.err);
    CHECK(result.exit_code == 1);
    CHECK(is_one_line_error(result));
    CHECK(contains(result.err, one.told));
  }
  const std::vector<std::vector<std::string>> wrong = {
      {},
      {"--socket", "s", "--listen", "127.0.0.1:1"},
      {"--listen", "127.0.0.1"},
      {"--listen", "::1:10809"},
      {"--listen", "127.0.0.1:0"},
      {"--socket", "s", "-l", "snapshot"},
      {"--socket", "s", "-U"},
      {"--socket", "s", "--tls=require"},
      {"--socket", "s", "--tls=off", "--tls-psk", "k"},
      {"--socket", "s", "--tls-certificates", "d", "--tls-psk", "k"},
      {"--socket", "s", "--tls-verify-peer"},
  };
  for (const auto& words : wrong) {
    const RunResult result = serve(plain, words);
    INFO((words.empty() ? "nothing" : words.back()) << ": " << result.err);
    CHECK(result.exit_code == 64);
    CHECK(is_one_line_error(result));
  }
}

TEST_CASE("'varve serve' opens no parent unless it is allowed to") {
  NEED_TOOL("nbdkit");
  const ServedDisk parent(disk_kinds().at(1));
  const std::string child = parent / "child.vmdk";
  REQUIRE(tool({"create", "-f", "vmdk", "-b", "image.vmdk", child}).exit_code == 0);
  const RunResult result = tool({"serve", "-f", "vmdk", "--socket", parent / "s", child});
  CHECK(result.exit_code == 1);
  CHECK(is_one_line_error(result));
  CHECK(contains(result.err, "no other file may be opened"));
  NbdServer server(varve_argv({"serve", "-f", "vmdk", "--references=inside", "--socket", "@SOCKET@", child}));
  copies(server.uri(), parent);
}
