// A machine whose only disk is an image of ours, served by nbdkit. It makes a file system on it, and finds all that it had synced after
// machine and server were killed, again and again. The machine is QEMU's, without KVM; its kernel is the host's cloud kernel.
#include <filesystem>
#include <thread>

#include "cli/cli.h"
#include "nbd/disks.h"
#include "support/seeds.h"

using namespace varve::test;  // NOLINT

namespace {

constexpr uint64_t kMiB = 1 << 20;
constexpr uint64_t kDiskSize = 192 * kMiB;
constexpr uint64_t kRootBegin = 1 * kMiB;
constexpr uint64_t kRootSize = 47 * kMiB;
constexpr uint64_t kDataBegin = 48 * kMiB;
constexpr auto kBootTime = std::chrono::seconds(120);  // some 4 s on an idle host

/// What the machine runs. Round n begins by verifying what all rounds before have synced, then adds files of its own, syncs, says so, and
/// goes on writing what nobody relies on until it is killed; the last one ends in order.
constexpr const char* kInit = R"sh(#!/bin/busybox sh
export PATH=/bin
/bin/busybox --install -s /bin
mount -t devtmpfs dev /dev
mount -t proc proc /proc
round=$(sed -n 's/.*round=\([0-9]*\).*/\1/p' /proc/cmdline)
fail() { echo "GUEST FAILED: $*"; poweroff -f; }
if [ "$round" = 1 ]; then
  LD_LIBRARY_PATH=/lib /lib/ld.so /sbin/mke2fs -q -F -t ext4 /dev/nvme0n1p2 || fail mke2fs
fi
mount -t ext4 /dev/nvme0n1p2 /mnt || fail mount
cd /mnt
for sums in *.sums; do
  [ ! -f "$sums" ] || sha256sum -c "$sums" >/dev/null || fail "$sums"
done
n=$(ls | grep -c 'sums$')
[ "$n" = $((round - 1)) ] || fail "$n rounds are here before round $round"
if [ "$round" = LAST ]; then
  rm -f junk*
  cd /
  umount /mnt || fail umount
  mount -o remount,ro / || fail "remount of the root"
  echo "GUEST VERIFIED"
  poweroff -f
fi
for i in 1 2 3 4 5 6; do
  dd if=/dev/urandom of=r$round-$i bs=37k count=$((i * 9)) conv=fsync 2>/dev/null || fail dd
done
dd if=/dev/zero of=r$round-zeros bs=64k count=40 2>/dev/null || fail dd
sha256sum r$round-* >r$round.sums || fail sha256sum
echo "round $round" >>/rounds
sync
echo "GUEST SYNCED $round"
while true; do
  dd if=/dev/urandom of=junk bs=64k count=100 2>/dev/null
  dd if=/dev/urandom of=junk2 bs=4k count=50 conv=fsync 2>/dev/null
  rm -f junk
done
)sh";
constexpr int kRounds = 3;

std::string kernel() {
  std::string newest;
  for (const auto& entry : std::filesystem::directory_iterator("/boot")) {
    const std::string name = entry.path().string();
    if (contains(name, "/vmlinuz-") && contains(name, "cloud-amd64")) newest = std::max(newest, name);
  }
  return newest;
}

/// A partition of type Linux.
void put_partition(std::string& sector, size_t number, uint64_t begin, uint64_t size) {
  const auto put = [&](size_t at, uint64_t value) {
    for (int i = 0; i < 4; ++i) sector[at + static_cast<size_t>(i)] = static_cast<char>(value >> (8 * i));
  };
  const size_t entry = 446 + 16 * number;
  sector[entry + 4] = '\x83';
  put(entry + 8, begin / 512);
  put(entry + 12, size / 512);
}

/// "root/": busybox, mke2fs with the libraries it needs, and init.
void make_root(const TempDir& dir) {
  std::string init = kInit;
  init.replace(init.find("LAST"), 4, std::to_string(kRounds + 1));
  write_file(dir / "init", init);
  must_run({"sh", "-ec",
            "cd $0\n"
            "mkdir -p root/bin root/dev root/proc root/mnt root/lib root/sbin\n"
            "install -m 755 init root/init\n"
            "install -m 755 $(command -v busybox) root/bin/busybox\n"
            "tool=$(PATH=$PATH:/usr/sbin:/sbin command -v mke2fs)\n"
            "cp $tool root/sbin/mke2fs\n"
            "cp $(ldd $tool | sed -n 's/.*=> \\(\\/[^ ]*\\).*/\\1/p') root/lib/\n"
            "cp $(ldd $tool | sed -n 's/^[[:space:]]*\\(\\/[^ ]*ld-[^ ]*\\).*/\\1/p') root/lib/ld.so",
            dir.path()});
}

/// "disk.raw": two partitions, the first with a file system that the machine boots from.
void make_disk(const TempDir& dir) {
  std::string sector(512, '\0');
  put_partition(sector, 0, kRootBegin, kRootSize);
  put_partition(sector, 1, kDataBegin, kDiskSize - kDataBegin);
  sector[510] = '\x55';
  sector[511] = '\xaa';
  write_file(dir / "disk.raw", sector);
  std::filesystem::resize_file(dir / "disk.raw", kDiskSize);
  must_run({"sh", "-ec", "PATH=$PATH:/usr/sbin:/sbin mkfs.ext4 -q -F -E offset=$1 -d $0/root $0/disk.raw $2k", dir.path(),
            std::to_string(kRootBegin), std::to_string(kRootSize / 1024)});
}

/// The machine in this round; what it says is in `log`.
std::vector<std::string> machine(const std::string& socket, int round, const std::string& log) {
  return {"sh",
          "-c",
          "exec \"$@\" >\"$0\" 2>&1",
          log,
          "qemu-system-x86_64",
          "-accel",
          "tcg",
          "-m",
          "256",
          "-nodefaults",
          "-no-user-config",
          "-nographic",
          "-serial",
          "stdio",
          "-no-reboot",
          "-kernel",
          kernel(),
          "-append",
          "console=ttyS0 quiet panic=-1 no_timer_check root=/dev/nvme0n1p1 rw init=/init round=" + std::to_string(round),
          "-drive",
          "file=nbd:unix:" + socket + ",format=raw,if=none,id=d0,cache=writeback,discard=unmap",
          "-device",
          "nvme,drive=d0,serial=1,ioeventfd=off"};
}

/// Boots, waits until the machine has said `expected`, and lets it run on for `more`.
void boot(Background& qemu, const std::string& log, const std::string& expected, std::chrono::milliseconds more) {
  const auto said = [&] { return read_file(log); };
  REQUIRE_MESSAGE(eventually([&] { return contains(said(), expected) || contains(said(), "FAILED") || !qemu.running(); }, kBootTime),
                  said());
  REQUIRE_MESSAGE(contains(said(), expected), said());
  std::this_thread::sleep_for(more);
}

/// The file system of a partition of a raw disk has no fault.
void check_partition(const std::string& raw, uint64_t begin, uint64_t size) {
  const RunResult result =
      run({"sh", "-c", "PATH=$PATH:/usr/sbin:/sbin; dd if=$0 of=$0.part bs=1M skip=$1 count=$2 2>/dev/null && e2fsck -fn $0.part", raw,
           std::to_string(begin / kMiB), std::to_string(size / kMiB)});
  INFO(result.out << result.err);
  CHECK(result.exit_code == 0);
}

void boots_and_finds_what_it_synced(const DiskKind& kind) {
  for (const char* tool : {"nbdkit", "nbdcopy", "qemu-system-x86_64", "busybox", "ldd"}) NEED_TOOL(tool);
  if (kernel().empty()) return missing("linux-image-cloud-amd64");
  const TempDir dir;
  make_root(dir);
  make_disk(dir);
  const ServedDisk disk(kind, kDiskSize);
  {
    NbdServer server(disk.how());
    must_run({"nbdcopy", dir / "disk.raw", server.uri()});
    CHECK(server.stop() == 0);
  }
  Rng rng("guest on " + kind.name);
  for (int round = 1; round <= kRounds; ++round) {
    INFO("round " << round);
    NbdServer server(disk.how());
    Background qemu(machine(server.socket(), round, dir / "log"));
    boot(qemu, dir / "log", "GUEST SYNCED " + std::to_string(round), std::chrono::milliseconds(rng.below(700)));
    qemu.stop(9);
    CHECK(server.stop(9) == 128 + 9);
    disk.must_be_sound();
  }
  NbdServer server(disk.how());
  Background qemu(machine(server.socket(), kRounds + 1, dir / "log"));
  boot(qemu, dir / "log", "GUEST VERIFIED", std::chrono::milliseconds(0));
  CHECK(qemu.wait(std::chrono::seconds(60)));
  CHECK(server.stop() == 0);
  disk.must_be_sound();
  const std::string raw = disk.as_raw("after.raw");
  check_partition(raw, kRootBegin, kRootSize);
  check_partition(raw, kDataBegin, kDiskSize - kDataBegin);
}

const DiskKind& kind_named(const std::string& name) {
  for (const DiskKind& kind : disk_kinds())
    if (kind.name == name) return kind;
  FAIL("no such kind: " << name);
  return disk_kinds().front();
}

}  // namespace

TEST_CASE("a machine boots from a raw disk, is killed with its server, and finds what it synced") {
  boots_and_finds_what_it_synced(kind_named("raw"));
}

TEST_CASE("a machine boots from a VMDK, is killed with its server, and finds what it synced") {
  boots_and_finds_what_it_synced(kind_named("vmdk"));
}

TEST_CASE("a machine boots from a VHDX, is killed with its server, and finds what it synced") {
  boots_and_finds_what_it_synced(kind_named("vhdx"));
}

TEST_CASE("a machine boots from an encrypted, compressed varve image, is killed with its server, and finds what it synced") {
  boots_and_finds_what_it_synced(kind_named("varve, encrypted and compressed"));
}
