// What clients see of an exported image, and that the bytes are the same both ways.
#include <sstream>

#include "cli/cli.h"
#include "nbd/disks.h"

using namespace varve::test;  // NOLINT

namespace {

Json first_export(const std::string& uri) {
  const Json document = json_of(run({"nbdinfo", "--json", uri}));
  REQUIRE(document.at("exports").size() == 1);
  return document.at("exports").at(0);
}

struct Run {
  uint64_t offset = 0;
  uint64_t length = 0;
  int type = 0;  // as NBD says it: 1 hole, 2 zero
  bool operator==(const Run&) const = default;
};

std::ostream& operator<<(std::ostream& out, const Run& run) { return out << run.offset << "+" << run.length << ":" << run.type; }

/// Neighbours of one type are one run.
std::vector<Run> merged(const std::vector<Run>& runs) {
  std::vector<Run> all;
  for (const Run& run : runs) {
    if (!all.empty() && all.back().type == run.type)
      all.back().length += run.length;
    else
      all.push_back(run);
  }
  return all;
}

std::vector<Run> runs_by_nbd(const std::string& uri) {
  const Json map = json_of(run({"nbdinfo", "--map", "--json", uri}));
  std::vector<Run> runs;
  for (const Json& run : map) runs.push_back({run.at("offset"), run.at("length"), run.at("type")});
  return merged(runs);
}

std::vector<Run> runs_by_tool(const ServedDisk& disk) {
  const Json map = json_of(disk.varve({"map", "--json", disk.image()}));
  std::vector<Run> runs;
  for (const Json& run : map.at("extents")) {
    const std::string kind = run.at("kind");
    runs.push_back({run.at("offset"), run.at("length"), kind == "data" ? 0 : kind == "zero" ? 2 : 3});
  }
  return merged(runs);
}

std::string text_of(const std::vector<Run>& runs) {
  std::ostringstream text;
  for (const Run& run : runs) text << run << " ";
  return text.str();
}

void must_run_quietly(const std::vector<std::string>& argv) {
  const RunResult result = run(argv);
  INFO(argv.front() << ": " << result.out << result.err);
  CHECK(result.exit_code == 0);
}

}  // namespace

TEST_CASE("an export has the disk's size, and all abilities that the library has") {
  NEED_TOOL("nbdkit");
  NEED_TOOL("nbdinfo");
  for (const DiskKind& kind : disk_kinds()) {
    INFO(kind.name);
    const ServedDisk disk(kind, 10 << 20);
    NbdServer server(disk.how());
    const Json seen = first_export(server.uri());
    CHECK(seen.at("export-size") == 10 << 20);
    CHECK(seen.at("is_read_only") == false);
    for (const char* ability : {"can_flush", "can_fua", "can_multi_conn", "can_trim", "can_zero", "can_cache"}) {
      INFO(std::string(ability));
      CHECK(seen.at(ability) == true);
    }
    CHECK(seen.at("can_fast_zero") == false);
    CHECK(seen.at("contexts") == Json::array({"base:allocation"}));
    CHECK(seen.at("block_size_minimum") == 1);
    CHECK(seen.at("block_size_preferred") == 4096);
    CHECK(server.stop() == 0);
    CHECK(server.said() == "");
    disk.must_be_clean();
  }
}

TEST_CASE("read-only exports say so, by nbdkit -r or by read-only=on, and refuse to be written") {
  NEED_TOOL("nbdkit");
  NEED_TOOL("nbdinfo");
  NEED_TOOL("qemu-io");
  for (const DiskKind& kind : disk_kinds()) {
    const ServedDisk disk(kind);
    const std::string before = read_file(disk.image());
    for (const bool by_option : {true, false}) {
      INFO(kind.name << (by_option ? " -r" : " read-only=on"));
      ServeHow how = disk.how(by_option ? std::vector<std::string>{"-r"} : std::vector<std::string>{});
      if (!by_option) how.parameters.emplace_back("read-only=on");
      NbdServer server(how);
      const Json seen = first_export(server.uri());
      CHECK(seen.at("is_read_only") == true);
      CHECK(seen.at("can_multi_conn") == true);
      // qemu-io opens it for writing, and the write is what fails.
      CHECK(run({"qemu-io", "-f", "raw", "-c", "write 0 4k", server.uri()}).exit_code != 0);
      CHECK(run({"nbdcopy", disk.raw(), server.uri()}).exit_code != 0);
      CHECK(server.stop() == 0);
    }
    CHECK(read_file(disk.image()) == before);
  }
}

TEST_CASE("an image that nobody may write to can be served for reading") {
  NEED_TOOL("nbdkit");
  NEED_TOOL("nbdcopy");
  const ServedDisk disk(disk_kinds().at(1));
  must_run_quietly({"chmod", "0444", disk.image()});
  NbdServer server(disk.how({"-r"}));
  must_run_quietly({"nbdcopy", server.uri(), disk / "copy.raw"});
  CHECK(same_bytes(disk / "copy.raw", disk.raw()));
}

TEST_CASE("what is read over NBD is the disk, byte by byte, and qemu-img reads the same") {
  NEED_TOOL("nbdkit");
  NEED_TOOL("nbdcopy");
  NEED_TOOL("qemu-img");
  for (const DiskKind& kind : disk_kinds()) {
    INFO(kind.name);
    const ServedDisk disk(kind);
    NbdServer server(disk.how({"-r"}));
    must_run_quietly({"nbdcopy", server.uri(), disk / "copy.raw"});
    CHECK(same_bytes(disk / "copy.raw", disk.raw()));
    must_run_quietly({"qemu-img", "compare", "-f", "raw", "-F", "raw", server.uri(), disk.raw()});
    CHECK(server.stop() == 0);
    CHECK(server.said() == "");
  }
}

TEST_CASE("threads: what is written over NBD, by several connections at once, is what the image holds then") {
  NEED_TOOL("nbdkit");
  NEED_TOOL("nbdcopy");
  NEED_TOOL("qemu-img");
  for (const DiskKind& kind : disk_kinds()) {
    for (const char* more : {"--connections=4", "--allocated"}) {
      INFO(kind.name << " " << std::string(more));
      const ServedDisk source(kind);
      const ServedDisk disk(kind, ServedDisk::kSize);
      NbdServer server(disk.how());
      must_run_quietly({"nbdcopy", more, "--request-size=65536", "--flush", source.raw(), server.uri()});
      CHECK(server.stop() == 0);
      CHECK(server.said() == "");
      disk.must_be_clean();
      CHECK(same_bytes(disk.as_raw("back.raw"), source.raw()));
      if (kind.qemu.empty()) continue;
      must_run_quietly({"qemu-img", "compare", "-f", kind.qemu, "-F", "raw", disk.image(), source.raw()});
    }
  }
}

TEST_CASE("threads: past the page cache, and without waiting for the medium, the bytes are the same") {
  NEED_TOOL("nbdkit");
  NEED_TOOL("nbdcopy");
  for (const DiskKind& kind : disk_kinds()) {
    for (const char* cache : {"cache=none", "cache=unsafe"}) {
      INFO(kind.name << " " << std::string(cache));
      const ServedDisk source(kind);
      const ServedDisk disk(kind, ServedDisk::kSize);
      ServeHow how = disk.how();
      how.parameters.emplace_back(cache);
      NbdServer server(how);
      must_run_quietly({"nbdcopy", "--flush", source.raw(), server.uri()});
      must_run_quietly({"nbdcopy", server.uri(), disk / "copy.raw"});
      CHECK(same_bytes(disk / "copy.raw", source.raw()));
      CHECK(server.stop() == 0);
      CHECK(server.said() == "");
      disk.must_be_clean();
      CHECK(same_bytes(disk.as_raw("back.raw"), source.raw()));
    }
  }
}

TEST_CASE("the runs that NBD clients are told are those of 'varve map'") {
  NEED_TOOL("nbdkit");
  NEED_TOOL("nbdinfo");
  for (const DiskKind& kind : disk_kinds()) {
    INFO(kind.name);
    const ServedDisk disk(kind);
    const std::vector<Run> expected = runs_by_tool(disk);
    NbdServer server(disk.how({"-r"}));
    CHECK(text_of(runs_by_nbd(server.uri())) == text_of(expected));
    CHECK(expected.size() >= 3);
    CHECK(server.stop() == 0);
  }
}

TEST_CASE("zeros take space where the client wants that, and none where it does not care; what is trimmed reads as zeros or as before") {
  NEED_TOOL("nbdkit");
  NEED_TOOL("nbdinfo");
  NEED_TOOL("qemu-io");
  const ServedDisk disk(disk_kinds().at(0), 8 << 20);
  NbdServer server(disk.how());
  must_run_quietly({"qemu-io", "-f", "raw", "-c", "write -P 1 0 4M", "-c", "write -z -u 0 1M", "-c", "write -z 1M 1M", "-c",
                    "discard 2M 1M", "-c", "read -P 0 0 2M", "-c", "read -P 1 3M 1M", "-c", "flush", server.uri()});
  const std::vector<Run> runs = runs_by_nbd(server.uri());
  REQUIRE(runs.size() >= 2);
  CHECK(runs.at(0) == Run{0, 1 << 20, 3});
  CHECK(runs.at(1).offset == 1 << 20);
  CHECK(runs.at(1).type == 0);
}

TEST_CASE("threads: two clients use one disk, and each sees what the other has written") {
  NEED_TOOL("nbdkit");
  NEED_TOOL("qemu-io");
  for (const DiskKind& kind : disk_kinds()) {
    INFO(kind.name);
    const ServedDisk disk(kind, 16 << 20);
    NbdServer server(disk.how());
    const std::string script = R"(
      for i in 0 1 2 3 4 5 6 7; do qemu-io -f raw -c "write -P $((i + 1)) $((2 * i))M 1M" "$0" >/dev/null & first="$first $!"; done
      for i in 0 1 2 3 4 5 6 7; do qemu-io -f raw -c "write -P $((i + 101)) $((2 * i + 1))M 1M" "$0" >/dev/null & first="$first $!"; done
      for pid in $first; do wait $pid || exit 1; done
      for i in 0 1 2 3 4 5 6 7; do
        qemu-io -f raw -c "read -P $((i + 1)) $((2 * i))M 1M" -c "read -P $((i + 101)) $((2 * i + 1))M 1M" "$0" || exit 1
      done)";
    const RunResult result = run({"sh", "-c", script, server.uri()});
    INFO(result.out << result.err);
    CHECK(result.exit_code == 0);
    CHECK_FALSE(contains(result.out, "verification failed"));
    CHECK(server.stop() == 0);
    CHECK(server.said() == "");
    disk.must_be_clean();
  }
}
