// A block device, for which a loop device serves; needs the right to make one.
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <filesystem>
#include <thread>

#include "io/file_system.h"
#include "io/unique_fd.h"
#include "support/bytes.h"
#include "support/host.h"
#include "support/pattern.h"
#include "support/process.h"
#include "support/storage_work.h"
#include "support/test.h"

using varve::Access;
using varve::Errc;
using varve::FileOpen;
using varve::host_file_system;
using varve::UniqueFd;
using varve::test::bytes;
using varve::test::read;
using varve::test::run;
using varve::test::TempDir;
using varve::test::why_no_loop_device;

namespace {

const FileOpen kWrite = {.access = Access::read_write};
const FileOpen kDirect = {.access = Access::read_write, .cache = varve::Cache::none};

/// A loop device over a new file of 8 MiB.
class LoopDevice {
 public:
  LoopDevice() {
    auto backing = host_file_system().create(file, {});
    backing->storage()->resize(8 << 20);
    backing->publish();
    const varve::test::RunResult made = run({"losetup", "--find", "--show", file});
    REQUIRE_MESSAGE(made.exit_code == 0, made.err);
    path = made.out.substr(0, made.out.find('\n'));
  }
  LoopDevice(const LoopDevice&) = delete;
  LoopDevice& operator=(const LoopDevice&) = delete;
  ~LoopDevice() { run({"losetup", "--detach", path}); }

  TempDir dir;
  std::string file = dir / "backing";
  std::string path;
};

}  // namespace

TEST_CASE("a block device is read, written and zeroed in place, by any of its names, and keeps its size") {
  NEED_TOOL("losetup");
  SKIP_IF_ANY(why_no_loop_device());
  const LoopDevice loop;
  std::filesystem::create_symlink(loop.path, loop.dir / "by-id");
  auto device = host_file_system().open(loop.dir / "by-id", kWrite);
  CHECK(device->size() == 8 << 20);
  CHECK(device->limits().fixed_size);
  CHECK(device->id() != std::nullopt);
  device->write_at(4096, bytes(1 << 20, 7));
  CHECK(read(*device, 4096, 1 << 20) == bytes(1 << 20, 7));
  device->flush();
  CHECK_FALSE(device->extent_at(0).hole);
  CHECK(device->extent_at(0).length == 8 << 20);
  if (device->punch_hole(8192, 65536)) CHECK(read(*device, 8192, 65536) == bytes(65536, 0));
  CHECK_FALSE(device->punch_hole(100, 100));
  CHECK(read(*device, 4096, 4096) == bytes(4096, 7));
  CHECK_ERRC(device->resize(4 << 20), Errc::unsupported);
  CHECK_ERRC(device->write_at((8 << 20) - 512, bytes(1024, 1)), Errc::no_space);
  CHECK_ERRC(read(*device, (8 << 20) - 512, 1024), Errc::corrupt);
}

TEST_CASE("a block device that something else has claimed is locked, and one is refused where only files are allowed") {
  NEED_TOOL("losetup");
  SKIP_IF_ANY(why_no_loop_device());
  const LoopDevice loop;
  {
    const UniqueFd claim(open(loop.path.c_str(), O_RDONLY | O_EXCL | O_CLOEXEC));
    REQUIRE(claim);
    CHECK_ERRC(host_file_system().open(loop.path, kWrite), Errc::locked);
    CHECK_NOTHROW(host_file_system().open(loop.path, {}));
  }
  CHECK_NOTHROW(host_file_system().open(loop.path, kWrite));
  CHECK_ERRC(host_file_system().open(loop.path, {.allow_device = false}), Errc::permission);
  CHECK_ERRC(host_file_system().open_beneath("/dev", loop.path.substr(5), {}), Errc::permission);
  CHECK_ERRC(host_file_system().create(loop.path, {.replace = true, .mode = {}}), Errc::invalid_argument);
}

TEST_CASE("past the page cache a block device holds what its shadow holds, and takes no bytes behind its end") {
  NEED_TOOL("losetup");
  SKIP_IF_ANY(why_no_loop_device());
  const LoopDevice loop;
  auto device = host_file_system().open(loop.path, kDirect);
  varve::test::Rng rng("direct device");
  SHOW_SEED(rng);
  std::vector<std::byte> shadow(8 << 20);
  CHECK(varve::test::work_against_shadow(*device, shadow, rng, varve::test::scaled(2000)) == "");
  device->flush();
  CHECK_ERRC(device->write_at((8 << 20) - 8192, bytes(16384, 1)), Errc::no_space);
  CHECK_ERRC(read(*device, (8 << 20) - 8192, 16384), Errc::corrupt);
  device.reset();
  std::fill(shadow.end() - 8192, shadow.end(), std::byte{1});
  CHECK(read(*host_file_system().open(loop.path, {}), 0, 8 << 20) == shadow);
}

TEST_CASE("threads: writers of ranges that meet within blocks of a device leave each other's bytes alone, past the page cache") {
  NEED_TOOL("losetup");
  SKIP_IF_ANY(why_no_loop_device());
  const LoopDevice loop;
  auto device = host_file_system().open(loop.path, kDirect);
  CHECK(varve::test::work_of_neighbours(*device, 1 << 20, 6, static_cast<unsigned>(varve::test::scaled(40))) == "");
  device.reset();
  device = host_file_system().open(loop.path, {});
  CHECK(varve::test::describe_difference(0, read(*device, 0, 1 << 20), varve::test::pattern(0, varve::test::scaled(40), 1 << 20)) == "");
}

TEST_CASE("threads: past the page cache a write to part of a device's block brings nothing back that was beside it before") {
  NEED_TOOL("losetup");
  SKIP_IF_ANY(why_no_loop_device());
  const LoopDevice loop;
  auto device = host_file_system().open(loop.path, kDirect);
  constexpr size_t kPart = 100;
  std::atomic<bool> done = false;
  std::thread parts([&] {
    while (!done) device->write_at(8192, bytes(kPart, 1));
  });
  std::string wrong;
  for (uint64_t round = 1; round <= varve::test::scaled(6000) && wrong.empty(); ++round) {
    const auto whole = varve::test::pattern(8192, round, 4096);
    device->write_at(8192, whole);
    const auto now = read(*device, 8192, 4096);
    wrong = varve::test::describe_difference(8192 + kPart, varve::ConstBytes(now).subspan(kPart), varve::ConstBytes(whole).subspan(kPart));
  }
  done = true;
  parts.join();
  CHECK(wrong == "");
}
