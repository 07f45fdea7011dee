// Cache::none: what passes by the page cache is the same bytes, and does pass by it.
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/fsuid.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <filesystem>
#include <optional>
#include <string>
#include <thread>

#include "base/aligned_buffer.h"
#include "io/file_system.h"
#include "io/posix_storage.h"
#include "support/bytes.h"
#include "support/host.h"
#include "support/pattern.h"
#include "support/process.h"
#include "support/storage_work.h"
#include "support/test.h"

using namespace varve::test;
using varve::Access;
using varve::AlignedBuffer;
using varve::Cache;
using varve::ConstBytes;
using varve::Errc;
using varve::FileOpen;
using varve::host_file_system;
using varve::Storage;
using varve::UniqueFd;

namespace {

const FileOpen kDirect = {.access = Access::read_write, .cache = Cache::none};

std::shared_ptr<Storage> make(const std::string& path, Cache cache = Cache::none) {
  auto file = host_file_system().create(path, {.replace = false, .mode = {}, .durable = true, .cache = cache});
  file->publish();
  return file->storage();
}

/// How many pages of the file the page cache holds.
size_t resident_pages(const std::string& path) {
  const UniqueFd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  REQUIRE(fd);
  const auto size = static_cast<size_t>(std::filesystem::file_size(path));
  void* const map = mmap(nullptr, size, PROT_READ, MAP_SHARED, fd.get(), 0);
  REQUIRE(map != MAP_FAILED);  // NOLINT
  std::vector<unsigned char> pages((size + AlignedBuffer::kPage - 1) / AlignedBuffer::kPage);
  const int result = mincore(map, size, pages.data());
  munmap(map, size);
  REQUIRE(result == 0);
  return static_cast<size_t>(std::count_if(pages.begin(), pages.end(), [](unsigned char page) { return (page & 1) != 0; }));
}

void drop_from_cache(const std::string& path) {
  const UniqueFd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  REQUIRE(fdatasync(fd.get()) == 0);
  REQUIRE(posix_fadvise(fd.get(), 0, 0, POSIX_FADV_DONTNEED) == 0);
}

std::optional<uint64_t> place_of_failed_read(Storage& storage, uint64_t offset, size_t length) {
  try {
    read(storage, offset, length);
  } catch (const varve::Error& error) {
    return error.offset();
  }
  return std::nullopt;
}

/// This process's descriptors with O_DIRECT on that file.
std::vector<int> direct_descriptors(const std::string& path) {
  struct stat file = {};
  REQUIRE(stat(path.c_str(), &file) == 0);
  std::vector<int> found;
  for (int fd = 0; fd < 1024; ++fd) {
    struct stat st = {};
    const int flags = fcntl(fd, F_GETFL);
    if (flags >= 0 && (flags & O_DIRECT) != 0 && fstat(fd, &st) == 0 && st.st_ino == file.st_ino && st.st_dev == file.st_dev)
      found.push_back(fd);
  }
  return found;
}

/// From here on the kernel refuses this thread's pread and pwrite of `fd` at `limit` and behind with EINVAL. Not to be undone.
bool refuse_from(int fd, uint32_t limit) {
  constexpr auto argument = [](size_t i) { return static_cast<uint32_t>(offsetof(struct seccomp_data, args) + i * sizeof(uint64_t)); };
  std::array<sock_filter, 9> filter = {{
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_pread64, 1, 0),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_pwrite64, 0, 5),
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, argument(0)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, static_cast<uint32_t>(fd), 0, 3),
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, argument(3)),
      BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, limit, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EINVAL),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  }};
  const sock_fprog program = {static_cast<unsigned short>(filter.size()), filter.data()};
  return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

}  // namespace

TEST_CASE("a file past the page cache holds what its shadow holds, whatever is written, read, zeroed and resized") {
  const TempDir dir;
  SKIP_IF_ANY(why_no_direct_io(dir.path()));
  Rng rng("direct storage");
  SHOW_SEED(rng);
  auto file = make(dir / "a");
  std::vector<std::byte> shadow;
  CHECK(work_against_shadow(*file, shadow, rng, scaled(4000)) == "");
  file.reset();
  CHECK(bytes_of_file(dir / "a") == shadow);
  file = host_file_system().open(dir / "a", kDirect);
  CHECK(work_against_shadow(*file, shadow, rng, scaled(1000)) == "");
  file.reset();
  CHECK(bytes_of_file(dir / "a") == shadow);
}

TEST_CASE("threads: writers of ranges that meet within blocks leave each other's bytes alone, past the page cache") {
  const TempDir dir;
  SKIP_IF_ANY(why_no_direct_io(dir.path()));
  auto file = make(dir / "a");
  file->resize(2 << 20);
  CHECK(work_of_neighbours(*file, 2 << 20, 6, static_cast<unsigned>(scaled(20))) == "");
}

TEST_CASE("threads: a file that several writers let grow past the page cache has all that they wrote") {
  const TempDir dir;
  SKIP_IF_ANY(why_no_direct_io(dir.path()));
  auto file = make(dir / "a");
  constexpr uint64_t kPiece = 10007;
  std::vector<std::thread> writers;
  for (uint64_t self = 0; self < 4; ++self) {
    writers.emplace_back([&, self] {
      for (uint64_t i = self; i < 100; i += 4) file->write_at(i * kPiece, pattern(i * kPiece, 1, kPiece));
    });
  }
  for (std::thread& writer : writers) writer.join();
  CHECK(file->size() == 100 * kPiece);
  CHECK(describe_difference(0, read(*file, 0, 100 * kPiece), pattern(0, 1, 100 * kPiece)) == "");
}

TEST_CASE("past the page cache a write behind the end leaves zeros before it and nothing after it") {
  const TempDir dir;
  SKIP_IF_ANY(why_no_direct_io(dir.path()));
  auto file = make(dir / "a");
  file->write_at(100, bytes(50, 1));
  file->write_at(8192, bytes(4096, 2));
  CHECK(file->size() == 12288);
  file->write_at(20000, bytes(9000, 3));
  CHECK(file->size() == 29000);
  std::vector<std::byte> expected(29000);
  std::fill_n(expected.begin() + 100, 50, std::byte{1});
  std::fill_n(expected.begin() + 8192, 4096, std::byte{2});
  std::fill_n(expected.begin() + 20000, 9000, std::byte{3});
  CHECK(read(*file, 0, 29000) == expected);
  CHECK(bytes_of_file(dir / "a") == expected);
}

TEST_CASE("past the page cache a file is read up to an odd end, and behind it is corrupt, with the place of the end") {
  const TempDir dir;
  SKIP_IF_ANY(why_no_direct_io(dir.path()));
  auto file = make(dir / "a");
  const auto all = pattern(0, 1, 10000);
  file->write_at(0, all);
  CHECK(read(*file, 0, 10000) == all);
  CHECK(read(*file, 8192, 1808) == std::vector<std::byte>(all.begin() + 8192, all.end()));
  for (const uint64_t offset : {0, 8192, 9000, 12288, 20000}) {
    CAPTURE(offset);
    CHECK_ERRC(read(*file, offset, 16384), Errc::corrupt);
    CHECK(place_of_failed_read(*file, offset, 16384) == std::max<uint64_t>(offset, 10000));
  }
  CHECK_ERRC(read(*file, UINT64_MAX - 1, 1), Errc::corrupt);
  CHECK_ERRC(file->write_at(UINT64_MAX - 1, bytes(1, 1)), Errc::limit);
}

TEST_CASE("with Cache::none whole blocks stay out of the page cache, and of parts of blocks only those blocks get there") {
  const TempDir dir;
  SKIP_IF_ANY(why_no_direct_io(dir.path()));
  constexpr size_t kSize = 4 << 20;
  const auto all = pattern(0, 1, kSize);
  auto file = make(dir / "a");
  for (const size_t shift : {0, 3}) {
    AlignedBuffer memory(kSize + 4096);
    std::copy(all.begin(), all.end(), memory.data() + shift);
    file->write_at(0, memory.bytes().subspan(shift, kSize));
    CHECK(resident_pages(dir / "a") == 0);
    const varve::MutableBytes out = memory.bytes().subspan(shift, kSize);
    std::fill(out.begin(), out.end(), std::byte{0});
    file->read_at(0, out);
    CHECK(describe_difference(0, out, all) == "");
    CHECK(resident_pages(dir / "a") == 0);
  }
  read(*file, 5000, 2 << 20);
  CHECK(resident_pages(dir / "a") == 2);
  // Nor is anything read ahead of them.
  drop_from_cache(dir / "a");
  read(*file, 7, 100);
  CHECK(resident_pages(dir / "a") == 1);
  file.reset();
  drop_from_cache(dir / "a");
  read(*host_file_system().open(dir / "a", {}), 0, kSize);
  CHECK(resident_pages(dir / "a") == kSize / 4096);
}

TEST_CASE("what the kernel refuses as direct I/O goes through the page cache, from the place where it refused") {
  const TempDir dir;
  SKIP_IF_ANY(why_no_direct_io(dir.path()));
  constexpr size_t kSize = (3 << 20) + 777;
  auto file = make(dir / "a");
  file->resize(kSize + 5000);
  const std::vector<int> direct = direct_descriptors(dir / "a");
  REQUIRE(direct.size() == 1);
  const auto data = pattern(1000, 1, kSize);
  std::vector<std::byte> back(kSize);
  bool refused = false;
  std::string wrong = "nothing was done";
  std::thread([&] {
    refused = refuse_from(direct.front(), 2 << 20);
    if (!refused) return;
    try {
      file->write_at(1000, data);
      file->read_at(1000, back);
      wrong = describe_difference(1000, back, data);
    } catch (const varve::Error& error) {
      wrong = error.what();
    }
  }).join();
  if (!refused) SKIP_TEST("the kernel filters no system calls here");
  CHECK(wrong == "");
  CHECK(read(*file, 1000, kSize) == data);
  // The cache has what lies behind that place, and was not asked before it but for the part of a block at the start.
  CHECK(resident_pages(dir / "a") > (1 << 20) / 4096);
  CHECK(resident_pages(dir / "a") < (2 << 20) / 4096);
}

TEST_CASE("a file system without direct I/O is unsupported with Cache::none, in one line that says what to do") {
  const auto refused = [](const std::string& path) {
    try {
      host_file_system().open(path, {.lock = false, .cache = Cache::none});
      FAIL("opened " << path);
    } catch (const varve::Error& error) {
      CHECK(error.code() == Errc::unsupported);
      CHECK(std::string(error.what()).starts_with(path + ": the file system has no direct I/O (O_DIRECT): "));
      CHECK(error.hint() == "use cache=writeback");
    }
  };
  refused("/proc/version");
  // Linux takes O_DIRECT on a tmpfs since 6.6.
  if (access("/dev/shm", W_OK) != 0 || UniqueFd(open("/dev/shm", O_TMPFILE | O_RDWR | O_DIRECT | O_CLOEXEC, 0600))) return;
  const TempDir dir("/dev/shm");
  CHECK_ERRC(make(dir / "a"), Errc::unsupported);
  CHECK(std::filesystem::is_empty(dir.path()));
  make(dir / "b", Cache::writeback);
  refused(dir / "b");
}

TEST_CASE("a new file that its owner may not write, or not read, is written past the page cache and keeps its permissions") {
  const TempDir dir;
  SKIP_IF_ANY(why_no_direct_io(dir.path()));
  REQUIRE(chmod(dir.path().c_str(), 0777) == 0);
  for (const uint32_t mode : {0400U, 0200U, 0644U}) {
    CAPTURE(mode);
    const std::string path = dir / std::to_string(mode);
    std::exception_ptr failed;
    // An ordinary user, also if the test is run by root: this thread alone.
    std::thread([&] {
      setfsuid(geteuid() == 0 ? 65534 : geteuid());
      try {
        auto file = host_file_system().create(path, {.replace = false, .mode = mode, .durable = false, .cache = Cache::none});
        file->storage()->write_at(10, bytes(10000, 1));
        file->publish();
      } catch (...) {
        failed = std::current_exception();
      }
    }).join();
    CHECK_NOTHROW(failed ? std::rethrow_exception(failed) : void());
    struct stat st = {};
    REQUIRE(stat(path.c_str(), &st) == 0);
    CHECK((st.st_mode & 0700) == (mode & 0700));
    CHECK(st.st_size == 10010);
  }
}

TEST_CASE("a storage over the caller's descriptor leaves it open, locks nothing, and moves parts of blocks also with O_DIRECT") {
  const TempDir dir;
  SKIP_IF_ANY(why_no_direct_io(dir.path()));
  auto locked = make(dir / "a", Cache::writeback);
  for (const int flags : {0, O_DIRECT}) {
    for (const Cache cache : {Cache::writeback, Cache::none}) {
      CAPTURE(flags);
      CAPTURE(static_cast<int>(cache));
      const UniqueFd fd(open((dir / "a").c_str(), O_RDWR | O_CLOEXEC | flags));
      REQUIRE(ftruncate(fd.get(), 0) == 0);
      auto storage = varve::storage_of_descriptor(fd.get(), "mine", true, cache);
      CHECK(storage->name() == "mine");
      storage->write_at(33, pattern(33, 1, 100001));
      storage->flush();
      CHECK(read(*storage, 33, 100001) == pattern(33, 1, 100001));
      CHECK(storage->size() == 100034);
      CHECK(storage->id() == locked->id());
      CHECK(direct_descriptors(dir / "a").size() == (flags != 0) + (cache == Cache::none));
      storage.reset();
      CHECK(fcntl(fd.get(), F_GETFL) >= 0);
      CHECK(direct_descriptors(dir / "a").size() == (flags != 0));
    }
  }
}

TEST_CASE("a descriptor that is no file to read and write at any place makes no storage") {
  const TempDir dir;
  make(dir / "a", Cache::writeback);
  const auto open_a = [&](int flags) { return UniqueFd(open((dir / "a").c_str(), flags | O_CLOEXEC)); };
  const auto storage_of = [](int fd) { return varve::storage_of_descriptor(fd, "mine", true, Cache::writeback); };
  CHECK_NOTHROW(storage_of(open_a(O_RDONLY).get()));
  for (const int flags : {O_WRONLY, O_RDWR | O_APPEND, O_PATH}) CHECK_ERRC(storage_of(open_a(flags).get()), Errc::invalid_argument);
  CHECK_ERRC(storage_of(UniqueFd(open(dir.path().c_str(), O_RDONLY | O_CLOEXEC)).get()), Errc::invalid_argument);
  CHECK_ERRC(storage_of(UniqueFd(open("/dev/null", O_RDWR | O_CLOEXEC)).get()), Errc::invalid_argument);
  CHECK_ERRC(storage_of(-1), Errc::invalid_argument);
  const UniqueFd proc(open("/proc/version", O_RDONLY | O_CLOEXEC));
  CHECK_ERRC(varve::storage_of_descriptor(proc.get(), "mine", true, Cache::none), Errc::unsupported);
}
