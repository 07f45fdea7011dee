// A file system whose files can share blocks: XFS in a file, mounted through a loop device.
#include <sys/statvfs.h>

#include <filesystem>
#include <sstream>

#include "interop/exchange.h"
#include "io/file_system.h"
#include "support/host.h"
#include "support/test.h"

namespace varve::test {
namespace {

constexpr uint64_t kXfsSize = uint64_t{320} << 20;  // mkfs.xfs makes none below 300 MiB
constexpr uint64_t kDiskSize = uint64_t{32} << 20;

/// A new XFS, unmounted at the end. `error` says why there is none.
class Xfs {
 public:
  Xfs() {
    auto backing = host_file_system().create(dir_ / "backing", {});
    backing->storage()->resize(kXfsSize);
    backing->publish();
    std::filesystem::create_directory(dir_ / "mount");
    must_run({"mkfs.xfs", "-q", "-m", "reflink=1", dir_ / "backing"});
    const RunResult mounted = run({"mount", "-t", "xfs", "-o", "loop", dir_ / "backing", dir_ / "mount"});
    if (mounted.exit_code != 0) error = mounted.err;
  }
  Xfs(const Xfs&) = delete;
  Xfs& operator=(const Xfs&) = delete;
  ~Xfs() {
    if (error.empty()) run({"umount", dir_ / "mount"});
  }

  std::string operator/(const std::string& name) const { return dir_ / ("mount/" + name); }
  /// When all that was written is on its blocks.
  uint64_t free_bytes() const {
    must_run({"sync", "-f", dir_ / "mount"});
    struct statvfs status = {};
    REQUIRE(statvfs((dir_ / "mount").c_str(), &status) == 0);
    return uint64_t{status.f_bfree} * status.f_frsize;
  }

  std::string error;

 private:
  const TempDir dir_;
};

struct Blocks {
  unsigned runs = 0;
  unsigned shared = 0;
};

/// The runs of blocks that a file consists of.
Blocks blocks_of(const std::string& path) {
  Blocks blocks;
  std::istringstream lines(must_run({"filefrag", "-v", path}));
  for (std::string line; std::getline(lines, line);) {
    // "   0:        0..      24:         48..        72:     25:             shared"
    if (line.find("..") == std::string::npos) continue;
    ++blocks.runs;
    if (line.find("shared") != std::string::npos) ++blocks.shared;
  }
  return blocks;
}

TEST_CASE("raw to raw on XFS shares every block, takes no space for them, and reads the same; what is converted shares none") {
  for (const char* tool : {"mkfs.xfs", "mount", "filefrag"}) NEED_TOOL(tool);
  SKIP_IF_ANY(why_no_loop_device());
  const Xfs xfs;
  if (!xfs.error.empty()) {
    SKIP_IF_ANY(why_no_mount("xfs"));
    FAIL(xfs.error);
  }
  Rng rng("reflink");
  SHOW_SEED(rng);
  make_raw_file(xfs / "a.raw", kDiskSize, rng);
  const uint64_t before = xfs.free_bytes();

  convert_file(xfs / "a.raw", "raw", xfs / "b.raw", "raw");
  const Blocks shared = blocks_of(xfs / "b.raw");
  CHECK(shared.runs > 10);
  CHECK(shared.shared == shared.runs);
  CHECK(before < xfs.free_bytes() + (1 << 20));  // XFS may also get back what it had set aside for the source
  CHECK(bytes_of_file(xfs / "b.raw") == bytes_of_file(xfs / "a.raw"));

  convert_file(xfs / "a.raw", "raw", xfs / "c.vmdk", "vmdk");
  const uint64_t between = xfs.free_bytes();
  convert_file(xfs / "c.vmdk", "vmdk", xfs / "c.raw", "raw");
  CHECK(blocks_of(xfs / "c.raw").shared == 0);
  CHECK(between > xfs.free_bytes() + kDiskSize / 8);
}

TEST_CASE("a raw disk on XFS that ends within a block, converted to raw, reads the same, and its copy goes its own way") {
  for (const char* tool : {"mkfs.xfs", "mount"}) NEED_TOOL(tool);
  SKIP_IF_ANY(why_no_loop_device());
  const Xfs xfs;
  if (!xfs.error.empty()) {
    SKIP_IF_ANY(why_no_mount("xfs"));
    FAIL(xfs.error);
  }
  Rng rng("reflink, odd");
  SHOW_SEED(rng);
  make_raw_file(xfs / "a.raw", kDiskSize + 1536, rng);
  const auto before = bytes_of_file(xfs / "a.raw");
  convert_file(xfs / "a.raw", "raw", xfs / "b.raw", "raw");
  CHECK(bytes_of_file(xfs / "b.raw") == before);
  OpenOptions how;
  how.access = Access::read_write;
  how.format = "raw";
  Image copy = Image::open(xfs / "b.raw", how);
  copy.write_at(0, bytes(1 << 20, 7));
  copy.close();
  CHECK(bytes_of_file(xfs / "a.raw") == before);
}

}  // namespace
}  // namespace varve::test
