// What survives: flushes, FUA, a server that is killed; and many random requests at once.
#include "cli/cli.h"
#include "nbd/disks.h"

using namespace varve::test;  // NOLINT

namespace {

/// A qemu-io that runs these commands and then stays connected, so that nothing else flushes.
class StayingClient {
 public:
  StayingClient(const std::string& uri, const std::vector<std::string>& commands, const std::string& output)
      : output_(output), process_(argv(uri, commands, output)) {}

  /// Waits until all commands have ended.
  void must_be_done() const {
    REQUIRE_MESSAGE(eventually([&] { return contains(said(), "read 1024/1024"); }), said());  // the last one
    CHECK_FALSE(contains(said(), "failed"));
  }
  std::string said() const { return read_file(output_); }

 private:
  static std::vector<std::string> argv(const std::string& uri, const std::vector<std::string>& commands, const std::string& output) {
    std::vector<std::string> words = {"sh", "-c", "exec \"$@\" >\"$0\" 2>&1", output, "stdbuf", "-oL", "qemu-io", "-f", "raw"};
    for (const std::string& command : commands) words.insert(words.end(), {"-c", command});
    words.insert(words.end(), {"-c", "read -P 0 15M 1k", "-c", "sleep 600000", uri});
    return words;
  }

  const std::string output_;
  Background process_;
};

/// The disk as another server shows it holds this byte in the range.
void holds(const ServedDisk& disk, const std::vector<std::string>& reads) {
  std::vector<std::string> words = {"qemu-io", "-r", "-f", "raw"};
  for (const std::string& read : reads) words.insert(words.end(), {"-c", read});
  NbdServer server(disk.how({"-r"}));
  words.push_back(server.uri());
  const RunResult result = run(words);
  INFO(disk.kind().name << ": " << result.out << result.err);
  CHECK(result.exit_code == 0);
  CHECK_FALSE(contains(result.out, "verification failed"));
}

/// There is not even a note of an unclean end.
void must_have_been_closed(const ServedDisk& disk) {
  const RunResult check = disk.varve({"check", "--data", disk.image()});
  INFO(check.out << check.err);
  CHECK(check.exit_code == (disk.kind().format == "raw" ? 63 : 0));
  CHECK_FALSE(contains(check.out, "note"));
}

}  // namespace

TEST_CASE("data that was flushed, and data that was written with FUA, is there after the server was killed, and the image is sound") {
  NEED_TOOL("nbdkit");
  NEED_TOOL("qemu-io");
  for (const DiskKind& kind : disk_kinds()) {
    INFO(kind.name);
    const ServedDisk disk(kind, 16 << 20);
    NbdServer server(disk.how());
    StayingClient client(server.uri(), {"write -P 7 1M 3M", "write -z -u 2M 64k", "flush", "write -f -P 9 8M 100k"}, disk / "said");
    client.must_be_done();
    CHECK(server.stop(9) == 128 + 9);
    disk.must_be_clean();
    holds(disk, {"read -P 7 1M 1M", "read -P 0 2M 64k", "read -P 7 2112k 1984k", "read -P 9 8M 100k"});
  }
}

TEST_CASE("a server that is told to end makes everything durable and closes the image cleanly, once its clients have gone") {
  NEED_TOOL("nbdkit");
  NEED_TOOL("qemu-io");
  for (const DiskKind& kind : disk_kinds()) {
    for (const int signal : {2, 15}) {
      INFO(kind.name << ", signal " << signal);
      const ServedDisk disk(kind, 16 << 20);
      NbdServer server(disk.how());
      // The client is killed: it flushes nothing.
      { StayingClient(server.uri(), {"write -P 7 1M 3M"}, disk / "said").must_be_done(); }
      CHECK(server.stop(signal) == 0);
      must_have_been_closed(disk);
      holds(disk, {"read -P 7 1M 3M"});
    }
  }
}

TEST_CASE("'varve serve' that is told to end closes the image cleanly and ends, though a client is connected; killed, so does its server") {
  NEED_TOOL("nbdkit");
  NEED_TOOL("qemu-io");
  for (const DiskKind& kind : disk_kinds()) {
    for (const int signal : {2, 15, 9}) {
      INFO(kind.name << ", signal " << signal);
      const ServedDisk disk(kind, 16 << 20);
      NbdServer server(disk.serve_argv({"--socket", "@SOCKET@"}));
      StayingClient client(server.uri(), {"write -P 7 1M 3M"}, disk / "said");
      client.must_be_done();
      CHECK(server.stop(signal) == (signal == 9 ? 128 + 9 : 0));
      CHECK(eventually([&] { return disk.varve({"info", disk.image()}).exit_code == 0; }));  // nobody has it locked any more
      CHECK(server.said() == "");
      CHECK((signal == 9 || !exists(server.socket())));
      must_have_been_closed(disk);
      holds(disk, {"read -P 7 1M 3M"});
    }
  }
}

TEST_CASE("threads: fio's random writes verify, and the image is sound then") {
  NEED_TOOL("nbdkit");
  NEED_TOOL("fio");
  for (const DiskKind& kind : disk_kinds()) {
    for (const char* pattern : {"randwrite", "randrw"}) {
      INFO(kind.name << ", " << std::string(pattern));
      const ServedDisk disk(kind, 64 << 20);
      NbdServer server(disk.how());
      const RunResult result =
          run({"fio", "--name=verify", "--ioengine=nbd", "--uri=" + server.uri(), "--rw=" + std::string(pattern), "--bsrange=4k-128k",
               "--iodepth=16", "--size=48m", "--verify=crc32c", "--verify_fatal=1", "--fsync=64", "--verify_backlog=512", "--time_based=1",
               "--runtime=3", "--randrepeat=1", "--aux-path=" + (disk / "."), "--output=" + (disk / "fio.log")});
      INFO(result.out << result.err << read_file(disk / "fio.log").substr(0, 1000));
      CHECK(result.exit_code == 0);
      CHECK(contains(read_file(disk / "fio.log"), "err= 0"));
      CHECK(server.stop() == 0);
      CHECK(server.said() == "");
      disk.must_be_clean();
    }
  }
}
