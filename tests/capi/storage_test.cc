// Images in a descriptor or behind the caller's functions.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "capi/kit.h"
#include "support/host.h"
#include "support/test.h"

using namespace varve::test;

namespace {

constexpr uint64_t kSize = 4 << 20;
using Operation = MemoryFile::Operation;

/// The same for every image: some data, a hole, a zeroed range.
void fill(const Disk& disk) {
  write(disk, 0, pattern(0, 300000));
  write(disk, kSize - 5000, pattern(kSize - 5000, 5000));
  Told told;
  must(varve_zero(disk.get(), 70000, 70000, 0, told), told);
}

Block disk_bytes(const Disk& disk) { return read(disk, 0, kSize); }

Block file_bytes(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

int refusal_of_ops(const varve_storage_ops& ops, MemoryFile& file) {
  varve_storage* made = nullptr;
  Told told;
  const int code = refused(varve_storage_from_ops(&ops, &file, "a.raw", &made, told), told);
  CHECK(made == nullptr);
  return code;
}

File from_fd(int fd, const char* cache) {
  varve_storage* made = nullptr;
  Told told;
  must(varve_storage_from_fd(fd, "by descriptor", cache, &made, told), told);
  return File(made);
}

}  // namespace

TEST_CASE("an image behind the caller's functions holds what one at a path holds") {
  for (const std::string format : {"raw", "vmdk", "vhdx", "varve"}) {
    CAPTURE(format);
    const TempDir dir;
    const Options how = options({{"format", format}});
    const Options writing = options({{"format", format}, {"read-only", "off"}});
    MemoryFile memory;
    const File file = memory.storage("memory.img");
    Disk there = create(file, kSize, how);
    Disk here = create(dir / "disk.img", kSize, how);
    fill(there);
    fill(here);
    close(std::move(there));
    close(std::move(here));
    const Block expected = disk_bytes(open(dir / "disk.img", how));
    CHECK(disk_bytes(open(file, how)) == expected);
    // Written to again, it is a file like any other.
    Disk again = open(file, writing);
    write(again, 1 << 20, pattern(0, 1000, 1));
    close(std::move(again));
    const Block bytes = memory.bytes();
    std::ofstream(dir / "copy.img", std::ios::binary).write(reinterpret_cast<const char*>(bytes.data()), static_cast<long>(bytes.size()));
    CHECK(read(open(dir / "copy.img", how), 1 << 20, 1000) == pattern(0, 1000, 1));
    varve_check_report report = {};
    Told told;
    if (format == "raw") continue;
    must(varve_check(open(dir / "copy.img", how).get(), "none", 1, nullptr, nullptr, nullptr, &report, told), told);
    CHECK(report.damages == 0);
  }
}

TEST_CASE("a storage of nothing but read and size is enough for reading") {
  MemoryFile memory;
  memory.set_bytes(pattern(0, kSize));
  varve_storage_ops ops = {};
  ops.struct_size = sizeof(ops);
  ops.read = memory.ops().read;
  ops.size = memory.ops().size;
  const File file = memory.storage("a.raw", ops);
  const Disk disk = open(file, options({{"format", "raw"}}));
  CHECK(disk_bytes(disk) == pattern(0, kSize));
  const Disk writable = open(file, options({{"format", "raw"}, {"read-only", "off"}}));
  Told told;
  CHECK(refused(varve_write(writable.get(), 0, "x", 1, 0, told), told) == VARVE_PERMISSION);
  CHECK(refused(varve_resize(writable.get(), 2 * kSize, 0, told), told) == VARVE_UNSUPPORTED);
  CHECK(memory.bytes() == pattern(0, kSize));
}

TEST_CASE("functions that are missing, and a struct_size that is not set, are refused; nothing is released") {
  MemoryFile memory;
  const varve_storage_ops all = memory.ops();
  varve_storage_ops ops = all;
  ops.read = nullptr;
  CHECK(refusal_of_ops(ops, memory) == VARVE_INVALID_ARGUMENT);
  ops = all;
  ops.size = nullptr;
  CHECK(refusal_of_ops(ops, memory) == VARVE_INVALID_ARGUMENT);
  ops = all;
  ops.flush = nullptr;
  CHECK(refusal_of_ops(ops, memory) == VARVE_INVALID_ARGUMENT);
  ops = all;
  ops.struct_size = 0;
  CHECK(refusal_of_ops(ops, memory) == VARVE_INVALID_ARGUMENT);
  ops.struct_size = sizeof(size_t);
  CHECK(refusal_of_ops(ops, memory) == VARVE_INVALID_ARGUMENT);
  CHECK(memory.released() == 0);
}

TEST_CASE("of an older caller's functions those that it did not know are not looked at, and of a newer one's the rest is left alone") {
  MemoryFile memory;
  memory.set_bytes(Block(kSize));
  varve_storage_ops older = memory.ops();
  older.struct_size = offsetof(varve_storage_ops, punch);
  older.punch = [](void*, uint64_t, uint64_t) { return EIO; };
  older.extent = [](void*, uint64_t, uint64_t*, int*) { return EIO; };
  older.release = [](void*) { FAIL_CHECK("called"); };
  {
    const Disk disk = open(memory.storage("a.raw", older), options({{"format", "raw"}, {"read-only", "off"}}));
    write(disk, 0, pattern(0, 8192));
    Told told;
    must(varve_zero(disk.get(), 0, 4096, 0, told), told);
    varve_extent extent;
    must(varve_extent_at(disk.get(), 0, &extent, told), told);
    CHECK(read(disk, 0, 4096) == Block(4096));
  }
  struct {
    varve_storage_ops known;
    void (*unknown)();
  } newer = {memory.ops(), nullptr};
  newer.known.struct_size = sizeof(newer);
  CHECK(memory.storage("a.raw", newer.known) != nullptr);
}

TEST_CASE("a storage is released once, when the last of the caller's reference and the images over it is gone") {
  MemoryFile memory;
  memory.set_bytes(Block(kSize));
  const Options how = options({{"format", "raw"}});
  SUBCASE("the image goes last") {
    File file = memory.storage("a.raw");
    Disk first = open(file, how);
    Disk second = open(file, how);
    file.reset();
    first.reset();
    CHECK(memory.released() == 0);
    CHECK(read(second, 0, 512) == Block(512));
    close(std::move(second));
  }
  SUBCASE("the caller's reference goes last") {
    File file = memory.storage("a.raw");
    close(open(file, how));
    CHECK(memory.released() == 0);
    file.reset();
  }
  SUBCASE("an image could not be opened over it") {
    File file = memory.storage("a.raw");
    varve_image* image = nullptr;
    CHECK(varve_open_storage(file.get(), options({{"format", "vhdx"}}).get(), &image, nullptr) == VARVE_CORRUPT);
    CHECK(memory.released() == 0);
    file.reset();
  }
  CHECK(memory.released() == 1);
}

TEST_CASE("what the caller's functions return reaches who asked for it, with the storage's name and the place") {
  struct Row {
    int error;
    int code;
  };
  constexpr Row kRows[] = {{EIO, VARVE_IO},           {ENOSPC, VARVE_NO_SPACE},  {EDQUOT, VARVE_NO_SPACE}, {EACCES, VARVE_PERMISSION},
                           {ENOENT, VARVE_NOT_FOUND}, {ESHUTDOWN, VARVE_IO},     {EBUSY, VARVE_LOCKED},    {EFBIG, VARVE_LIMIT},
                           {EEXIST, VARVE_EXISTS},    {EROFS, VARVE_PERMISSION}, {123456, VARVE_IO}};
  for (const Row& row : kRows) {
    CAPTURE(row.error);
    MemoryFile memory;
    memory.set_bytes(Block(kSize));
    const Disk disk = open(memory.storage("memory.raw"), options({{"format", "raw"}, {"read-only", "off"}}));
    Told told;
    Block some(512);
    memory.fail(Operation::read, row.error);
    CHECK(refused(varve_read(disk.get(), 1024, some.data(), some.size(), told), told) == row.code);
    CHECK(told.path() == "memory.raw");
    CHECK(told.file_offset() == 1024);
    memory.fail(Operation::write, row.error);
    CHECK(refused(varve_write(disk.get(), 1024, some.data(), some.size(), 0, told), told) == row.code);
    memory.fail(Operation::flush, row.error);
    CHECK(refused(varve_flush(disk.get(), told), told) == row.code);
  }
}

TEST_CASE("a storage that ends before its size says so is corrupt, and not zeros") {
  MemoryFile memory;
  memory.set_bytes(Block(kSize));
  const Disk disk = open(memory.storage("a.raw"), options({{"format", "raw"}}));
  memory.fail(Operation::read, EPIPE);
  Block some(512);
  Told told;
  CHECK(refused(varve_read(disk.get(), 0, some.data(), some.size(), told), told) == VARVE_CORRUPT);
}

TEST_CASE("a storage that cannot free a range gets zeros written") {
  MemoryFile memory;
  memory.set_bytes(pattern(0, kSize));
  memory.fail(Operation::punch, EOPNOTSUPP);
  const Disk disk = open(memory.storage("a.raw"), options({{"format", "raw"}, {"read-only", "off"}}));
  Told told;
  must(varve_zero(disk.get(), 65536, 65536, 0, told), told);
  CHECK(read(disk, 65536, 65536) == Block(65536));
  CHECK(memory.count(Operation::write) > 0);
}

TEST_CASE("a failed flush ends all writing") {
  MemoryFile memory;
  memory.set_bytes(Block(kSize));
  const Disk disk = open(memory.storage("a.raw"), options({{"format", "raw"}, {"read-only", "off"}}));
  write(disk, 0, pattern(0, 512));
  memory.fail(Operation::flush, EIO);
  Told told;
  CHECK(refused(varve_flush(disk.get(), told), told) == VARVE_IO);
  memory.fail(Operation::flush, 0);
  CHECK(refused(varve_write(disk.get(), 0, "x", 1, 0, told), told) == VARVE_IO);
  CHECK(refused(varve_close(disk.get(), told), told) == VARVE_IO);
}

TEST_CASE("a new image wants an empty storage, and is complete only when it was closed") {
  MemoryFile memory;
  memory.set_bytes(Block(1));
  const File file = memory.storage("a.vhdx");
  varve_image* image = nullptr;
  Told told;
  const Options how = options({{"format", "vhdx"}});
  CHECK(refused(varve_create_storage(file.get(), kSize, how.get(), &image, told), told) == VARVE_EXISTS);
  memory.set_bytes({});
  Disk disk = create(file, kSize, how);
  memory.fail(Operation::flush, ENOSPC);
  CHECK(refused(varve_close(disk.get(), told), told) == VARVE_NO_SPACE);
}

TEST_CASE("an image is used by descriptor after the caller has closed his own") {
  const TempDir dir;
  for (const char* cache : {static_cast<const char*>(nullptr), "writeback", "unsafe"}) {
    const int fd = ::open((dir / "disk").c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    REQUIRE(fd >= 0);
    const File file = from_fd(fd, cache);
    ::close(fd);
    Disk disk = create(file, kSize, options({{"format", "varve"}}));
    fill(disk);
    const Block expected = disk_bytes(disk);
    close(std::move(disk));
    CHECK(disk_bytes(open(file, options({{"format", "varve"}}))) == expected);
    CHECK(disk_bytes(open(dir / "disk", options({{"format", "varve"}}))) == expected);
  }
}

TEST_CASE("cache mode none is past the host's page cache, at a path and by descriptor, and says how memory should lie") {
  const TempDir dir;
  SKIP_IF_ANY(why_no_direct_io(dir.path()));
  const Options direct = options({{"format", "varve"}, {"cache", "none"}});
  Disk disk = create(dir / "disk", kSize, direct);
  fill(disk);
  const Block expected = disk_bytes(disk);
  close(std::move(disk));
  const int fd = ::open((dir / "disk").c_str(), O_RDONLY | O_CLOEXEC);
  const File file = from_fd(fd, "none");
  ::close(fd);
  CHECK(disk_bytes(open(file, direct)) == expected);
  for (const char* cache : {"none", "writeback"}) {
    const Disk again = open(dir / "disk", options({{"format", "varve"}, {"cache", cache}}));
    CHECK(disk_bytes(again) == expected);
    varve_limits limits;
    Told told;
    must(varve_get_limits(again.get(), &limits, told), told);
    CHECK(limits.memory_alignment == (std::string(cache) == "none" ? 4096 : 1));
  }
}

TEST_CASE("a descriptor for reading alone refuses writes") {
  const TempDir dir;
  close(create(dir / "a.raw", kSize, options({{"format", "raw"}})));
  const int fd = ::open((dir / "a.raw").c_str(), O_RDONLY | O_CLOEXEC);
  const File file = from_fd(fd, nullptr);
  ::close(fd);
  const Disk disk = open(file, options({{"format", "raw"}, {"read-only", "off"}}));
  Told told;
  CHECK(refused(varve_write(disk.get(), 0, "x", 1, 0, told), told) < 0);
  CHECK(told.message().find("by descriptor") != std::string::npos);
  CHECK(file_bytes(dir / "a.raw") == Block(kSize));
}

TEST_CASE("what is no descriptor of a file, or no cache mode, is refused") {
  varve_storage* made = nullptr;
  Told told;
  CHECK(refused(varve_storage_from_fd(-1, "a", nullptr, &made, told), told) == VARVE_INVALID_ARGUMENT);
  CHECK(refused(varve_storage_from_fd(0, "a", "writethrough", &made, told), told) == VARVE_INVALID_ARGUMENT);
  int ends[2];
  REQUIRE(pipe(ends) == 0);
  CHECK(refused(varve_storage_from_fd(ends[0], "a", nullptr, &made, told), told) == VARVE_INVALID_ARGUMENT);
  ::close(ends[0]);
  ::close(ends[1]);
  const TempDir dir;
  const int directory = ::open(dir.path().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  CHECK(refused(varve_storage_from_fd(directory, "a", nullptr, &made, told), told) == VARVE_INVALID_ARGUMENT);
  ::close(directory);
  CHECK(made == nullptr);
}
