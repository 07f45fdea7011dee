// Our locks against QEMU's: a running QEMU holds a file while we try, and we hold it while QEMU tries.
#include <sys/stat.h>

#include <fstream>
#include <set>
#include <sstream>

#include "io/file_system.h"
#include "support/process.h"
#include "support/test.h"

using varve::Access;
using varve::Errc;
using varve::FileOpen;
using varve::host_file_system;
using varve::test::Background;
using varve::test::eventually;
using varve::test::run;
using varve::test::TempDir;

namespace {

const FileOpen kRead = {.access = Access::read_only};
const FileOpen kWrite = {.access = Access::read_write};
const FileOpen kReadAnyway = {.access = Access::read_only, .lock = false};

using Command = std::vector<std::string>;

Command guest(const std::string& drive) {
  return {"qemu-system-x86_64",
          "-accel",
          "tcg",
          "-m",
          "32",
          "-display",
          "none",
          "-nodefaults",
          "-S",
          "-drive",
          drive + ",if=none,id=d",
          "-device",
          "virtio-blk-pci,drive=d"};
}

/// The bytes on which `path` bears a lock of anyone, from the kernel's own list.
std::set<int> locked_bytes(const std::string& path) {
  struct stat st = {};
  REQUIRE(stat(path.c_str(), &st) == 0);
  const std::string inode = ":" + std::to_string(st.st_ino);
  std::set<int> bytes;
  std::ifstream locks("/proc/locks");
  for (std::string line; std::getline(locks, line);) {
    std::istringstream words(line);
    std::string number, kind, advisory, access, pid, file, first, last;
    words >> number >> kind >> advisory >> access >> pid >> file >> first >> last;
    if (kind != "OFDLCK" || !file.ends_with(inode)) continue;
    for (int byte = std::stoi(first); byte <= std::stoi(last); ++byte) bytes.insert(byte);
  }
  return bytes;
}

struct Images {
  TempDir dir;
  std::string raw = dir / "disk.raw";
  std::string vmdk = dir / "disk.vmdk";
  std::string delta = dir / "delta.vmdk";
  Images() {
    REQUIRE(run({"qemu-img", "create", "-q", "-f", "raw", raw, "16M"}).exit_code == 0);
    REQUIRE(run({"qemu-img", "create", "-q", "-f", "vmdk", vmdk, "16M"}).exit_code == 0);
    REQUIRE(run({"qemu-img", "create", "-q", "-f", "vmdk", "-b", vmdk, "-F", "vmdk", delta}).exit_code == 0);
  }
};

/// Until the kernel lists these locks and nothing else: the holder has come up.
bool holds(const std::string& path, const std::set<int>& bytes) {
  return eventually([&] { return locked_bytes(path) == bytes; });
}

void check_that_it_keeps_us_out(const std::string& path) {
  CHECK_ERRC(host_file_system().open(path, kRead), Errc::locked);
  CHECK_ERRC(host_file_system().open(path, kWrite), Errc::locked);
  CHECK_ERRC(host_file_system().create(path, {.replace = true, .mode = {}}), Errc::locked);
  CHECK_NOTHROW(host_file_system().open(path, kReadAnyway));
}

void check_that_we_may_only_read(const std::string& path) {
  CHECK_NOTHROW(host_file_system().open(path, kRead));
  CHECK_ERRC(host_file_system().open(path, kWrite), Errc::locked);
}

}  // namespace

TEST_CASE("a virtual machine that uses a VMDK keeps us out, but for reading on the user's word") {
  NEED_TOOL("qemu-system-x86_64");
  NEED_TOOL("qemu-img");
  const Images images;
  Background machine(guest("file=" + images.vmdk + ",format=vmdk"));
  REQUIRE(holds(images.vmdk, {100, 101, 103, 201, 203}));
  check_that_it_keeps_us_out(images.vmdk);
  machine.stop();
  CHECK_NOTHROW(host_file_system().open(images.vmdk, kWrite));
}

TEST_CASE("a virtual machine that uses a raw disk keeps us out, but for reading on the user's word") {
  NEED_TOOL("qemu-system-x86_64");
  NEED_TOOL("qemu-img");
  const Images images;
  Background machine(guest("file=" + images.raw + ",format=raw"));
  REQUIRE(holds(images.raw, {100, 101, 201}));
  check_that_it_keeps_us_out(images.raw);
}

TEST_CASE("a virtual machine lets us read its backing file and its read-only disk, not write them") {
  NEED_TOOL("qemu-system-x86_64");
  NEED_TOOL("qemu-img");
  const Images images;
  Background machine(guest("file=" + images.delta + ",format=vmdk"));
  REQUIRE(holds(images.delta, {100, 101, 103, 201, 203}));
  REQUIRE(holds(images.vmdk, {100, 201, 203}));
  check_that_it_keeps_us_out(images.delta);
  check_that_we_may_only_read(images.vmdk);
  Background reader(guest("file=" + images.raw + ",format=raw,read-only=on"));
  REQUIRE(holds(images.raw, {100, 201}));
  check_that_we_may_only_read(images.raw);
}

TEST_CASE("qemu-nbd and qemu-io that write keep us out; those that read let us read") {
  NEED_TOOL("qemu-nbd");
  NEED_TOOL("qemu-io");
  NEED_TOOL("qemu-img");
  const Images images;
  const std::string socket = images.dir / "socket";
  {
    Background server({"qemu-nbd", "-k", socket, "-t", "-f", "vmdk", images.vmdk});
    REQUIRE(holds(images.vmdk, {100, 101, 103, 201, 203}));
    check_that_it_keeps_us_out(images.vmdk);
  }
  {
    Background server({"qemu-nbd", "-r", "-k", socket, "-t", "-f", "vmdk", images.vmdk});
    REQUIRE(holds(images.vmdk, {100, 201, 203}));
    check_that_we_may_only_read(images.vmdk);
  }
  Background shell({"qemu-io", "-f", "vmdk", images.vmdk}, true);
  REQUIRE(holds(images.vmdk, {100, 101, 103, 201, 203}));
  check_that_it_keeps_us_out(images.vmdk);
}

TEST_CASE("while we read, a virtual machine starts all the same") {
  NEED_TOOL("qemu-system-x86_64");
  NEED_TOOL("qemu-img");
  const Images images;
  auto vmdk = host_file_system().open(images.vmdk, kRead);
  auto delta = host_file_system().open(images.delta, kRead);
  auto raw = host_file_system().open(images.raw, kRead);
  CHECK(locked_bytes(images.vmdk) == std::set<int>{100, 300});
  for (const std::string& drive :
       {"file=" + images.vmdk + ",format=vmdk", "file=" + images.raw + ",format=raw", "file=" + images.delta + ",format=vmdk"}) {
    CAPTURE(drive);
    const std::string path = drive.substr(5, drive.find(',') - 5);
    Background machine(guest(drive));
    CHECK(eventually([&] { return locked_bytes(path).contains(101); }));
    CHECK(machine.running());
    machine.stop();
  }
  CHECK(run({"qemu-io", "-f", "vmdk", "-c", "write 0 64k", images.vmdk}).exit_code == 0);
}

TEST_CASE("while we write, neither a virtual machine nor qemu-io nor qemu-img opens the file") {
  NEED_TOOL("qemu-system-x86_64");
  NEED_TOOL("qemu-io");
  NEED_TOOL("qemu-img");
  const Images images;
  auto vmdk = host_file_system().open(images.vmdk, kWrite);
  CHECK(locked_bytes(images.vmdk) == std::set<int>{100, 101, 103, 201, 203});
  const auto machine = run(guest("file=" + images.vmdk + ",format=vmdk"), {}, std::chrono::seconds(20));
  CHECK_FALSE(machine.timed_out);
  CHECK(machine.exit_code == 1);
  CHECK(machine.err.find("lock") != std::string::npos);
  CHECK(run({"qemu-io", "-f", "vmdk", "-c", "write 0 64k", images.vmdk}).exit_code != 0);
  CHECK(run({"qemu-img", "info", images.vmdk}).exit_code != 0);
  CHECK(run({"qemu-img", "info", "-U", images.vmdk}).exit_code == 0);
  vmdk.reset();
  CHECK(run({"qemu-img", "info", images.vmdk}).exit_code == 0);
}

TEST_CASE("a file that we create is locked from the moment it has its name") {
  NEED_TOOL("qemu-io");
  const TempDir dir;
  const Command write = {"qemu-io", "-f", "raw", "-c", "write 0 512", dir / "a"};
  auto file = host_file_system().create(dir / "a", {});
  file->storage()->resize(1 << 20);
  file->publish();
  CHECK(run(write).exit_code != 0);
  file.reset();
  CHECK(run(write).exit_code == 0);
}
