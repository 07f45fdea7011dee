// Checks, repairs, copies, new sizes.
#include <algorithm>
#include <fstream>

#include "capi/kit.h"
#include "support/test.h"

using namespace varve::test;

namespace {

constexpr uint64_t kSize = 8 << 20;

struct Seen {
  struct One {
    std::string message;
    uint32_t severity;
    bool repaired;
    uint64_t disk_offset;
    uint64_t disk_length;
  };
  std::vector<One> findings;
  unsigned calls = 0;
  uint64_t last_done = 0;
  uint64_t last_total = 0;
  unsigned cancel_at = 0;  ///< the call that ends the work; 0: none

  static void finding(void* user, const varve_finding* one) {
    static_cast<Seen*>(user)->findings.push_back({one->message, one->severity, one->repaired != 0, one->disk_offset, one->disk_length});
  }
  static int progress(void* user, uint64_t done, uint64_t total) {
    Seen& self = *static_cast<Seen*>(user);
    CHECK(done >= self.last_done);
    CHECK(done <= total);
    self.last_done = done;
    self.last_total = total;
    return ++self.calls == self.cancel_at ? 1 : 0;
  }
};

varve_check_report check(const Disk& disk, const char* repair, Seen& seen) {
  varve_check_report report = {};
  Told told;
  must(varve_check(disk.get(), repair, 1, Seen::finding, Seen::progress, &seen, &report, told), told);
  return report;
}

Options reading() { return options({{"format", "varve"}}); }
Options writing() { return options({{"format", "varve"}, {"read-only", "off"}}); }

void make(const std::string& path) {
  Disk disk = create(path, kSize, reading());
  write(disk, 0, pattern(0, kSize / 2));
  close(std::move(disk));
}

/// Changes a stored byte of the cluster at `offset`.
void damage(const std::string& path, uint64_t offset) {
  varve_extent extent;
  Told told;
  must(varve_extent_at(open(path, reading()).get(), offset, &extent, told), told);
  std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
  file.seekp(static_cast<std::streamoff>(extent.host_offset + 100));
  file.write("damage", 6);
}

bool is_there(const std::string& path) { return std::ifstream(path).good(); }

}  // namespace

TEST_CASE("a sound image has no findings, and its data are looked at to the end") {
  const TempDir dir;
  make(dir / "a.varve");
  Seen seen;
  const varve_check_report report = check(open(dir / "a.varve", reading()), "none", seen);
  CHECK(report.damages == 0);
  CHECK(report.leaks == 0);
  CHECK(report.allocated_bytes >= kSize / 2);
  CHECK(seen.findings.empty());
  CHECK(seen.calls > 0);
  CHECK(seen.last_done >= kSize / 2);
}

TEST_CASE("damage is a finding with its place on the disk, and a repair mends what it may") {
  const TempDir dir;
  make(dir / "a.varve");
  damage(dir / "a.varve", 3 * 65536);
  Seen seen;
  varve_check_report report = check(open(dir / "a.varve", reading()), "none", seen);
  CHECK(report.damages == 1);
  REQUIRE(seen.findings.size() == 1);
  CHECK(seen.findings[0].severity == VARVE_DAMAGE);
  CHECK_FALSE(seen.findings[0].repaired);
  CHECK(seen.findings[0].disk_offset == 3 * 65536);
  CHECK(seen.findings[0].disk_length > 0);
  CHECK(seen.findings[0].message.find('\n') == std::string::npos);
  Told told;
  CHECK(refused(varve_check(open(dir / "a.varve", reading()).get(), "all", 1, nullptr, nullptr, nullptr, nullptr, told), told) ==
        VARVE_PERMISSION);
  const Disk disk = open(dir / "a.varve", writing());
  CHECK(refused(varve_check(disk.get(), "some", 1, nullptr, nullptr, nullptr, nullptr, told), told) == VARVE_INVALID_ARGUMENT);
}

TEST_CASE("a repair of a damaged VMDK is told as such, and nothing is left to be found") {
  const TempDir dir;
  const std::string path = dir / "a.vmdk";
  Disk disk = create(path, kSize, options({{"format", "vmdk"}}));
  write(disk, 0, pattern(0, 65536));
  close(std::move(disk));
  {
    // A grain more at the end of the file that nothing refers to.
    std::ofstream file(path, std::ios::binary | std::ios::app);
    file << std::string(65536, 'x');
  }
  Seen seen;
  disk = open(path, options({{"format", "vmdk"}, {"read-only", "off"}}));
  CHECK(check(disk, "none", seen).leaks == 1);
  REQUIRE(seen.findings.size() == 1);
  CHECK(seen.findings[0].severity == VARVE_LEAK);
}

TEST_CASE("a check ends when its progress function says so") {
  const TempDir dir;
  make(dir / "a.varve");
  Seen seen;
  seen.cancel_at = 1;
  Told told;
  const Disk disk = open(dir / "a.varve", reading());
  CHECK(refused(varve_check(disk.get(), "none", 1, nullptr, Seen::progress, &seen, nullptr, told), told) == VARVE_CANCELLED);
  CHECK(read(disk, 0, 512) == pattern(0, 512));
}

TEST_CASE("threads: a conversion tells its progress, and its result holds the same disk") {
  const TempDir dir;
  make(dir / "a.varve");
  for (const std::string format : {"raw", "vmdk", "vhdx", "varve"}) {
    CAPTURE(format);
    Seen seen;
    Told told;
    const Options to = options({{"format", format}, {"threads", "2"}});
    must(varve_convert((dir / "a.varve").c_str(), reading().get(), (dir / format).c_str(), to.get(), Seen::progress, &seen, told), told);
    CHECK(seen.calls > 0);
    CHECK(seen.last_done == seen.last_total);
    const Disk copy = open(dir / format, to);
    CHECK(read(copy, 0, kSize / 2) == pattern(0, kSize / 2));
    CHECK(read(copy, kSize / 2, kSize / 2) == Block(kSize / 2));
  }
}

TEST_CASE("threads: a conversion that is cancelled, or whose name is taken, leaves what was there") {
  const TempDir dir;
  make(dir / "a.varve");
  Seen seen;
  seen.cancel_at = 1;
  Told told;
  const std::string from = dir / "a.varve";
  const std::string to = dir / "b.vmdk";
  const Options vmdk = options({{"format", "vmdk"}});
  CHECK(refused(varve_convert(from.c_str(), reading().get(), to.c_str(), vmdk.get(), Seen::progress, &seen, told), told) ==
        VARVE_CANCELLED);
  CHECK_FALSE(is_there(to));
  std::ofstream(to) << "mine";
  CHECK(refused(varve_convert(from.c_str(), reading().get(), to.c_str(), vmdk.get(), nullptr, nullptr, told), told) == VARVE_EXISTS);
  must(varve_options_set(vmdk.get(), "force", "on", told), told);
  must(varve_convert(from.c_str(), reading().get(), to.c_str(), vmdk.get(), nullptr, nullptr, told), told);
  CHECK(read(open(to, vmdk), 0, 65536) == pattern(0, 65536));
}

TEST_CASE("threads: an open image is copied into another, whose rest becomes zeros; too small a one is refused") {
  const TempDir dir;
  make(dir / "a.varve");
  const Disk source = open(dir / "a.varve", reading());
  MemoryFile memory;
  const File file = memory.storage("copy.vhdx");
  Disk target = create(file, 2 * kSize, options({{"format", "vhdx"}}));
  write(target, kSize, pattern(0, kSize, 1));
  Seen seen;
  Told told;
  must(varve_copy(source.get(), target.get(), Seen::progress, &seen, told), told);
  CHECK(seen.last_done == seen.last_total);
  close(std::move(target));
  target = open(file, options({{"format", "vhdx"}}));
  CHECK(read(target, 0, kSize / 2) == pattern(0, kSize / 2));
  CHECK(read(target, kSize / 2, 2 * kSize - kSize / 2) == Block(2 * kSize - kSize / 2));
  const Disk small = create(dir / "small.raw", kSize / 2, options({{"format", "raw"}}));
  CHECK(refused(varve_copy(source.get(), small.get(), nullptr, nullptr, told), told) == VARVE_INVALID_ARGUMENT);
  CHECK(refused(varve_copy(source.get(), source.get(), nullptr, nullptr, told), told) == VARVE_INVALID_ARGUMENT);
  const Disk other = create(dir / "other.varve", kSize, reading());
  seen = {};
  seen.cancel_at = 1;
  CHECK(refused(varve_copy(source.get(), other.get(), Seen::progress, &seen, told), told) == VARVE_CANCELLED);
}

TEST_CASE("a disk grows with zeros, shrinks only when that is said, and keeps the rest") {
  const TempDir dir;
  for (const std::string format : {"raw", "vhdx", "varve"}) {
    CAPTURE(format);
    Disk disk = create(dir / format, kSize, options({{"format", format}}));
    write(disk, 0, pattern(0, kSize));
    close(std::move(disk));
    disk = open(dir / format, options({{"format", format}, {"read-only", "off"}}));
    Told told;
    must(varve_resize(disk.get(), 2 * kSize, 0, told), told);
    CHECK(varve_size(disk.get()) == 2 * kSize);
    CHECK(read(disk, kSize, kSize) == Block(kSize));
    CHECK(refused(varve_resize(disk.get(), kSize / 2, 0, told), told) == VARVE_INVALID_ARGUMENT);
    CHECK(varve_size(disk.get()) == 2 * kSize);
    must(varve_resize(disk.get(), kSize / 2, 1, told), told);
    CHECK(varve_size(disk.get()) == kSize / 2);
    CHECK(read(disk, 0, kSize / 2) == pattern(0, kSize / 2));
    must(varve_resize(disk.get(), kSize, 0, told), told);
    CHECK(read(disk, kSize / 2, kSize / 2) == Block(kSize / 2));
  }
}
