// Every way into the library, tried on one hostile image.
#ifndef VARVE_TESTS_HOSTILE_ENTRY_POINTS_H
#define VARVE_TESTS_HOSTILE_ENTRY_POINTS_H

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "hostile/vmdk_builder.h"
#include "io/memory_file_system.h"
#include "support/test.h"
#include "varve/image.h"
#include "varve/ops.h"

namespace varve::test {

inline constexpr const char* kDisk = "dir/disk.vmdk";

/// A file system with the image as dir/disk.vmdk.
struct HostileWorld {
  /// With VARVE_TEST_HOSTILE_SHELF=DIRECTORY the image is put into a file there, too: tests/nbd serves them all.
  explicit HostileWorld(ConstBytes image);

  Image open(Access access = Access::read_only, References references = References::inside, const std::string& format = "vmdk");
  /// Everything below the call names what was opened or asked for.
  std::string touched() const;

  MemoryFileSystem files;
  OpenOptions options;  ///< what open() starts from
};

struct EntryPoint {
  std::string name;
  std::function<void(HostileWorld&)> call;
};

/// open, info, check, map, compare, convert, resize, repair, a parent of a new image, ...: all that take an existing image.
const std::vector<EntryPoint>& entry_points();

/// Each of them fails with this code, and leaves the image's bytes alone and no new file.
void every_entry_point_fails(ConstBytes image, Errc code, const std::vector<std::pair<std::string, Bytes>>& more_files = {});

/// Opening fails with the code, or opening works and reading [offset, offset + length) does.
void reading_fails(ConstBytes image, Errc code, uint64_t offset = 0, uint64_t length = 512);

/// check() finds damage, whether or not the image opens.
void check_finds_damage(ConstBytes image);

}  // namespace varve::test

#endif
