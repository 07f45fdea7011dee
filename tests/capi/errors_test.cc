// Each code reaches the caller, and with it what went wrong and where.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <fstream>

#include "capi/kit.h"
#include "support/test.h"

using namespace varve::test;

namespace {

constexpr uint64_t kSize = 1 << 20;

/// Changes one byte of a file.
void change_byte(const std::string& path, uint64_t offset) {
  std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
  file.seekg(static_cast<std::streamoff>(offset));
  const int before = file.get();
  file.seekp(static_cast<std::streamoff>(offset));
  file.put(static_cast<char>(before ^ 0x40));
}

int refusal_to_open(const std::string& path, const Options& how, Told& told) {
  varve_image* image = nullptr;
  const int code = refused(varve_open(path.c_str(), how.get(), &image, told), told);
  CHECK(image == nullptr);
  return code;
}

}  // namespace

TEST_CASE("every code has a name and an errno value, other numbers have \"unknown\" and EIO") {
  struct Row {
    int code;
    const char* name;
    int error;
  };
  constexpr Row kRows[] = {{VARVE_OK, "ok", 0},
                           {VARVE_CORRUPT, "corrupt", EIO},
                           {VARVE_UNSUPPORTED, "unsupported", ENOTSUP},
                           {VARVE_INVALID_ARGUMENT, "invalid_argument", EINVAL},
                           {VARVE_IO, "io", EIO},
                           {VARVE_NO_SPACE, "no_space", ENOSPC},
                           {VARVE_LOCKED, "locked", EBUSY},
                           {VARVE_NOT_FOUND, "not_found", ENOENT},
                           {VARVE_EXISTS, "exists", EEXIST},
                           {VARVE_PERMISSION, "permission", EPERM},
                           {VARVE_AUTHENTICATION, "authentication", EACCES},
                           {VARVE_LIMIT, "limit", EFBIG},
                           {VARVE_CANCELLED, "cancelled", ECANCELED},
                           {VARVE_NO_MEMORY, "no_memory", ENOMEM},
                           {VARVE_AGAIN, "again", EAGAIN},
                           {VARVE_INTERNAL, "internal", EIO},
                           {1, "unknown", EIO},
                           {-16, "unknown", EIO},
                           {-257, "unknown", EIO},
                           {INT_MAX, "unknown", EIO},
                           {INT_MIN, "unknown", EIO}};
  for (const Row& row : kRows) {
    CAPTURE(row.code);
    CHECK(varve_code_name(row.code) == std::string(row.name));
    CHECK(varve_code_errno(row.code) == row.error);
  }
}

TEST_CASE("the accessors take NULL for no error") {
  uint64_t offset = 7;
  CHECK(varve_error_code(nullptr) == VARVE_OK);
  CHECK(varve_error_message(nullptr) == std::string());
  CHECK(varve_error_path(nullptr) == std::string());
  CHECK(varve_error_file_offset(nullptr, &offset) == 0);
  CHECK(varve_error_disk_offset(nullptr, &offset) == 0);
  CHECK(offset == 7);
}

TEST_CASE("a missing file is not_found, and the error names it") {
  const TempDir dir;
  Told told;
  CHECK(refusal_to_open(dir / "none.vmdk", options({{"format", "vmdk"}}), told) == VARVE_NOT_FOUND);
  CHECK(told.path() == dir / "none.vmdk");
  CHECK(told.message().find(dir / "none.vmdk") != std::string::npos);
  CHECK_FALSE(told.file_offset());
  CHECK_FALSE(told.disk_offset());
}

TEST_CASE("a name that is taken is exists, and force replaces it") {
  const TempDir dir;
  close(create(dir / "a.raw", kSize, options({{"format", "raw"}})));
  varve_image* image = nullptr;
  Told told;
  CHECK(refused(varve_create((dir / "a.raw").c_str(), kSize, options({{"format", "raw"}}).get(), &image, told), told) == VARVE_EXISTS);
  close(create(dir / "a.raw", 2 * kSize, options({{"format", "raw"}, {"force", "on"}})));
  CHECK(varve_size(open(dir / "a.raw", options({{"format", "raw"}})).get()) == 2 * kSize);
}

TEST_CASE("corrupt tells the place in the file") {
  const TempDir dir;
  {
    Disk disk = create(dir / "a.varve", kSize, options({{"format", "varve"}}));
    write(disk, 0, pattern(0, kSize));
    close(std::move(disk));
  }
  varve_extent extent = {};
  Told told;
  {
    const Disk disk = open(dir / "a.varve", options({{"format", "varve"}}));
    must(varve_extent_at(disk.get(), 65536, &extent, told), told);
    REQUIRE((extent.flags & VARVE_EXTENT_HAS_HOST_OFFSET) != 0);
  }
  change_byte(dir / "a.varve", extent.host_offset + 10);
  const Disk disk = open(dir / "a.varve", options({{"format", "varve"}}));
  Block some(4096);
  REQUIRE(refused(varve_read(disk.get(), 65536, some.data(), some.size(), told), told) == VARVE_CORRUPT);
  CHECK(told.path() == dir / "a.varve");
  CHECK(told.file_offset() == extent.host_offset);
  CHECK(told.disk_offset() == 65536);
}

TEST_CASE("a signature that belongs to no format, or to another one, is refused") {
  const TempDir dir;
  std::ofstream(dir / "a.vmdk") << std::string(4096, 'x');
  Told told;
  CHECK(refusal_to_open(dir / "a.vmdk", options({{"format", "vhdx"}}), told) == VARVE_CORRUPT);
  CHECK(refusal_to_open(dir / "a.vmdk", options({{"format", "qcow17"}}), told) == VARVE_INVALID_ARGUMENT);
}

TEST_CASE("a second writer is locked out, and so is a reader unless it says lock off") {
  const TempDir dir;
  close(create(dir / "a.raw", kSize, options({{"format", "raw"}})));
  const Disk first = open(dir / "a.raw", options({{"format", "raw"}, {"read-only", "off"}}));
  Told told;
  CHECK(refusal_to_open(dir / "a.raw", options({{"format", "raw"}, {"read-only", "off"}}), told) == VARVE_LOCKED);
  CHECK(refusal_to_open(dir / "a.raw", options({{"format", "raw"}}), told) == VARVE_LOCKED);
  CHECK(open(dir / "a.raw", options({{"format", "raw"}, {"lock", "off"}})) != nullptr);
}

TEST_CASE("a write to an image that is open for reading only is a matter of permission") {
  const TempDir dir;
  close(create(dir / "a.raw", kSize, options({{"format", "raw"}})));
  const Disk disk = open(dir / "a.raw", options({{"format", "raw"}}));
  CHECK(varve_is_writable(disk.get()) == 0);
  Told told;
  CHECK(refused(varve_write(disk.get(), 0, "x", 1, 0, told), told) == VARVE_PERMISSION);
  CHECK(refused(varve_zero(disk.get(), 0, 512, 0, told), told) == VARVE_PERMISSION);
  CHECK(refused(varve_resize(disk.get(), 2 * kSize, 0, told), told) == VARVE_PERMISSION);
}

TEST_CASE("what a format does not do is unsupported") {
  const TempDir dir;
  const Disk disk = create(dir / "a.raw", kSize, options({{"format", "raw"}}));
  Told told;
  CHECK(refused(varve_snapshot_create(disk.get(), "one", 0, told), told) == VARVE_UNSUPPORTED);
}

TEST_CASE("what is larger than the caller's bound is limit") {
  const TempDir dir;
  close(create(dir / "a.varve", kSize, options({{"format", "varve"}})));
  Told told;
  CHECK(refusal_to_open(dir / "a.varve", options({{"format", "varve"}, {"max-virtual-size", "512K"}}), told) == VARVE_LIMIT);
}

TEST_CASE("ranges that leave the disk, and flags that are not known, are invalid arguments") {
  const TempDir dir;
  const Disk disk = create(dir / "a.varve", kSize, options({{"format", "varve"}}));
  Block some(1024);
  Told told;
  CHECK(refused(varve_read(disk.get(), kSize - 1023, some.data(), 1024, told), told) == VARVE_INVALID_ARGUMENT);
  CHECK(refused(varve_read(disk.get(), UINT64_MAX, some.data(), 1024, told), told) == VARVE_INVALID_ARGUMENT);
  CHECK(refused(varve_write(disk.get(), kSize, some.data(), 1, 0, told), told) == VARVE_INVALID_ARGUMENT);
  CHECK(refused(varve_zero(disk.get(), 1, UINT64_MAX, 0, told), told) == VARVE_INVALID_ARGUMENT);
  CHECK(refused(varve_write(disk.get(), 0, some.data(), 1, 2, told), told) == VARVE_INVALID_ARGUMENT);
  CHECK(refused(varve_zero(disk.get(), 0, 1, 0x80000001, told), told) == VARVE_INVALID_ARGUMENT);
  CHECK(refused(varve_discard(disk.get(), 0, 1, 4, told), told) == VARVE_INVALID_ARGUMENT);
  varve_extent extent;
  CHECK(refused(varve_extent_at(disk.get(), kSize, &extent, told), told) == VARVE_INVALID_ARGUMENT);
}

TEST_CASE("without a place for the error the code alone tells") {
  varve_image* image = nullptr;
  CHECK(varve_open("/nonexistent/disk.raw", options({{"format", "raw"}}).get(), &image, nullptr) == VARVE_NOT_FOUND);
  CHECK(image == nullptr);
}

TEST_CASE("an error lives longer than the image that it is about") {
  const TempDir dir;
  Disk disk = create(dir / "a.raw", kSize, options({{"format", "raw"}}));
  Told told;
  refused(varve_read(disk.get(), kSize, disk.get(), 1, told), told);
  disk.reset();
  CHECK(told.message().find("a.raw") != std::string::npos);
}
