// The host's file system: storages, publication, kinds of files, locks among ourselves.
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <thread>

#include "io/atomic_create.h"
#include "io/fd_stream.h"
#include "io/file_system.h"
#include "io/host_error.h"
#include "io/memory_storage.h"
#include "support/bytes.h"
#include "support/process.h"
#include "support/test.h"

using varve::Access;
using varve::Errc;
using varve::FileCreate;
using varve::FileOpen;
using varve::host_file_system;
using varve::Unnamed;
using varve::test::bytes;
using varve::test::read;
using varve::test::TempDir;

namespace {

std::shared_ptr<varve::Storage> make(const std::string& path, size_t n = 0, int value = 0) {
  auto file = host_file_system().create(path, {});
  if (n != 0) file->storage()->write_at(0, bytes(n, value));
  file->storage()->flush();
  file->publish();
  return file->storage();
}

size_t entries(const std::string& directory) {
  return static_cast<size_t>(std::distance(std::filesystem::directory_iterator(directory), std::filesystem::directory_iterator()));
}

uint32_t permissions(const std::string& path) {
  struct stat st = {};
  REQUIRE(stat(path.c_str(), &st) == 0);
  return st.st_mode & 07777;
}

std::string text_of(const std::string& path) {
  std::ifstream in(path);
  return {std::istreambuf_iterator<char>(in), {}};
}

}  // namespace

TEST_CASE("a host file gives back what was written, grows, shrinks and refuses to read past its end") {
  const TempDir dir;
  auto file = make(dir / "a");
  file->write_at(5000, bytes(3000, 7));
  CHECK(file->size() == 8000);
  CHECK(read(*file, 0, 5000) == bytes(5000, 0));
  CHECK(read(*file, 5000, 3000) == bytes(3000, 7));
  CHECK_ERRC(read(*file, 7999, 2), Errc::corrupt);
  CHECK_ERRC(read(*file, UINT64_MAX - 1, 1), Errc::corrupt);
  CHECK_ERRC(file->write_at(UINT64_MAX - 1, bytes(1, 1)), Errc::limit);
  file->resize(6000);
  file->resize(8000);
  CHECK(read(*file, 6000, 2000) == bytes(2000, 0));
  file->flush();
  CHECK(file->mode() == permissions(dir / "a"));
}

TEST_CASE("an error of the host names file, place, cause and operation") {
  const TempDir dir;
  auto file = make(dir / "a", 10);
  try {
    read(*file, 8, 4);
    FAIL("read past the end");
  } catch (const varve::Error& error) {
    CHECK(error.path() == dir / "a");
    CHECK(error.offset() == 10);
    CHECK(error.operation() == "read");
  }
  file.reset();
  auto reader = host_file_system().open(dir / "a", {});
  try {
    reader->write_at(3, bytes(1, 1));
    FAIL("wrote to a file open for reading");
  } catch (const varve::Error& error) {
    CHECK(error.code() == Errc::io);
    CHECK(error.cause() == "Bad file descriptor");
    CHECK(error.offset() == 3);
  }
}

TEST_CASE("errno has one translation") {
  CHECK(varve::errc_of_errno(ENOSPC) == Errc::no_space);
  CHECK(varve::errc_of_errno(EDQUOT) == Errc::no_space);
  CHECK(varve::errc_of_errno(EFBIG) == Errc::limit);
  CHECK(varve::errc_of_errno(EACCES) == Errc::permission);
  CHECK(varve::errc_of_errno(EROFS) == Errc::permission);
  CHECK(varve::errc_of_errno(ENOENT) == Errc::not_found);
  CHECK(varve::errc_of_errno(EEXIST) == Errc::exists);
  CHECK(varve::errc_of_errno(EBUSY) == Errc::locked);
  CHECK(varve::errc_of_errno(EIO) == Errc::io);
  CHECK(std::string(varve::host_error(EIO, "cannot read").what()) == "cannot read: Input/output error");
}

TEST_CASE("/dev/full is no image, and a real ENOSPC is one line with no_space") {
  CHECK_ERRC(host_file_system().open("/dev/full", {.access = Access::read_write}), Errc::invalid_argument);
  varve::PipeStorage full(open("/dev/full", O_WRONLY | O_CLOEXEC), "/dev/full");
  CHECK_ERRC(full.write_at(0, bytes(512, 1)), Errc::no_space);
}

TEST_CASE("holes of a host file are found, punched and keep the size") {
  const TempDir dir;
  auto file = make(dir / "a");
  file->write_at(1 << 20, bytes(1 << 20, 1));
  file->resize(4 << 20);
  if (!file->extent_at(0).hole) SKIP_TEST("the file system of TMPDIR reports no holes");
  CHECK(file->extent_at(0).length == 1 << 20);
  CHECK_FALSE(file->extent_at(1 << 20).hole);
  CHECK(file->extent_at(1 << 20).length == 1 << 20);
  CHECK(file->extent_at(2 << 20).hole);
  CHECK(file->extent_at(2 << 20).length == 2 << 20);
  CHECK(file->extent_at((4 << 20) - 1).length == 1);
  REQUIRE(file->punch_hole(1 << 20, 1 << 19));
  CHECK(read(*file, 1 << 20, 1 << 19) == bytes(1 << 19, 0));
  CHECK(read(*file, (1 << 20) + (1 << 19), 1 << 19) == bytes(1 << 19, 1));
  CHECK(file->extent_at(0).length == (1 << 20) + (1 << 19));
  REQUIRE(file->punch_hole((1 << 20) + 100, UINT64_MAX));
  CHECK(file->size() == 4 << 20);
  CHECK(read(*file, 1 << 20, 3 << 20) == bytes(3 << 20, 0));
  CHECK(file->allocated_bytes() < uint64_t{1} << 20);
}

TEST_CASE("blocks are shared between two host files where the file system can, and never half wrong") {
  const TempDir dir;
  auto source = make(dir / "a", 100000, 5);
  auto target = make(dir / "b");
  varve::MemoryStorage memory;
  CHECK(target->copy_from(memory, 0, 0, 1000) == 0);
  CHECK(target->copy_from(*source, 200000, 0, 1000) == 0);
  const uint64_t copied = target->copy_from(*source, 0, 1 << 20, 50000);
  if (copied == 0) SKIP_TEST("the file system of TMPDIR shares no blocks");
  CHECK(copied <= 50000);
  CHECK(read(*target, 1 << 20, copied) == bytes(copied, 5));
}

TEST_CASE("two names of one file have one id, two files have two") {
  const TempDir dir;
  make(dir / "a");
  make(dir / "b");
  std::filesystem::create_hard_link(dir / "a", dir / "c");
  std::filesystem::create_symlink("a", dir / "d");
  auto& files = host_file_system();
  CHECK(files.open(dir / "a", {})->id() == files.open(dir / "c", {})->id());
  CHECK(files.open(dir / "a", {})->id() == files.open(dir / "d", {})->id());
  CHECK(files.open(dir / "a", {})->id() != files.open(dir / "b", {})->id());
}

TEST_CASE("what is no file and no block device is invalid_argument and never hangs") {
  const TempDir dir;
  REQUIRE(mkfifo((dir / "fifo").c_str(), 0600) == 0);
  auto& files = host_file_system();
  for (const std::string& path : {dir / "fifo", dir.path(), std::string("/dev/null"), std::string("/dev/zero")}) {
    CAPTURE(path);
    CHECK_ERRC(files.open(path, {}), Errc::invalid_argument);
    CHECK_ERRC(files.open(path, {.access = Access::read_write}), Errc::invalid_argument);
  }
  CHECK_ERRC(files.open(dir / "none", {}), Errc::not_found);
  CHECK_ERRC(files.open(dir / "none/x", {}), Errc::not_found);
}

TEST_CASE("a new file has its name only when it is published, and leaves nothing otherwise") {
  const TempDir dir;
  for (const Unnamed unnamed : {Unnamed::where_possible, Unnamed::never}) {
    {
      auto file = varve::atomic_create(dir / "a", {}, unnamed);
      file->storage()->write_at(0, bytes(10, 1));
      CHECK_FALSE(std::filesystem::exists(dir / "a"));
      CHECK(entries(dir.path()) == (unnamed == Unnamed::never ? 1 : 0));
    }
    CHECK(entries(dir.path()) == 0);
    auto file = varve::atomic_create(dir / "a", {}, unnamed);
    file->storage()->write_at(0, bytes(10, 1));
    file->storage()->flush();
    file->publish();
    CHECK(std::filesystem::file_size(dir / "a") == 10);
    file->storage()->write_at(10, bytes(10, 2));
    CHECK(std::filesystem::file_size(dir / "a") == 20);
    file.reset();
    CHECK(entries(dir.path()) == 1);
    std::filesystem::remove(dir / "a");
  }
}

TEST_CASE("publishing never replaces a file, unless told to") {
  const TempDir dir;
  for (const Unnamed unnamed : {Unnamed::where_possible, Unnamed::never}) {
    auto file = varve::atomic_create(dir / "a", {}, unnamed);
    std::ofstream(dir / "a") << "precious";
    CHECK_ERRC(file->publish(), Errc::exists);
    file.reset();
    CHECK(text_of(dir / "a") == "precious");
    CHECK_ERRC(varve::atomic_create(dir / "a", {}, unnamed), Errc::exists);
    auto forced = varve::atomic_create(dir / "a", {.replace = true, .mode = {}}, unnamed);
    forced->storage()->write_at(0, bytes(3, 'x'));
    CHECK(text_of(dir / "a") == "precious");
    forced->publish();
    CHECK(text_of(dir / "a") == "xxx");
    CHECK(entries(dir.path()) == 1);
    forced.reset();
    std::filesystem::remove(dir / "a");
  }
}

TEST_CASE("of two that make the same file at once one gets exists and both leave no rest") {
  const TempDir dir;
  auto one = host_file_system().create(dir / "a", {});
  auto two = host_file_system().create(dir / "a", {});
  two->publish();
  CHECK_ERRC(one->publish(), Errc::exists);
  one.reset();
  CHECK(entries(dir.path()) == 1);
}

TEST_CASE("a symlink, a directory or a device is never replaced, nor written through") {
  const TempDir dir;
  std::filesystem::create_symlink("nowhere", dir / "dangling");
  std::filesystem::create_directory(dir / "folder");
  REQUIRE(mkfifo((dir / "fifo").c_str(), 0600) == 0);
  auto& files = host_file_system();
  for (const bool replace : {false, true}) {
    const FileCreate how = {.replace = replace, .mode = {}};
    CHECK_ERRC(files.create(dir / "dangling", how), Errc::exists);
    CHECK_ERRC(files.create(dir / "folder", how), replace ? Errc::invalid_argument : Errc::exists);
    CHECK_ERRC(files.create(dir / "fifo", how), replace ? Errc::invalid_argument : Errc::exists);
    CHECK_ERRC(files.create("/dev/null", how), replace ? Errc::invalid_argument : Errc::exists);
    CHECK_ERRC(files.create(dir / "folder/", how), Errc::invalid_argument);
    CHECK_ERRC(files.create(dir / "no/such", how), Errc::not_found);
  }
  CHECK_FALSE(std::filesystem::exists(dir / "nowhere"));
}

TEST_CASE("a new file is no more open than asked for and than the umask allows") {
  const TempDir dir;
  const mode_t old = umask(027);
  host_file_system().create(dir / "plain", {})->publish();
  host_file_system().create(dir / "narrow", {.mode = 0600})->publish();
  host_file_system().create(dir / "wide", {.mode = 0777})->publish();
  host_file_system().create(dir / "unreadable", {.mode = 0})->publish();
  umask(old);
  CHECK(permissions(dir / "plain") == 0640);
  CHECK(permissions(dir / "narrow") == 0600);
  CHECK(permissions(dir / "wide") == 0750);
  CHECK(permissions(dir / "unreadable") == 0);
}

TEST_CASE("a long name can be created where the name with an addition would not fit") {
  const TempDir dir;
  const std::string name(250, 'n');
  for (const Unnamed unnamed : {Unnamed::where_possible, Unnamed::never}) {
    varve::atomic_create(dir / name, {.replace = true, .mode = {}}, unnamed)->publish();
    CHECK(std::filesystem::exists(dir / name));
  }
  CHECK(entries(dir.path()) == 1);
}

TEST_CASE("two writers exclude each other, readers do not, and a writer and a reader do") {
  const TempDir dir;
  make(dir / "a");
  auto& files = host_file_system();
  const FileOpen to_write = {.access = Access::read_write};
  {
    auto writer = files.open(dir / "a", to_write);
    CHECK_ERRC(files.open(dir / "a", to_write), Errc::locked);
    CHECK_ERRC(files.open(dir / "a", {}), Errc::locked);
    CHECK_NOTHROW(files.open(dir / "a", {.lock = false}));
    CHECK_ERRC(files.create(dir / "a", {.replace = true, .mode = {}}), Errc::locked);
  }
  auto reader = files.open(dir / "a", {});
  CHECK_NOTHROW(files.open(dir / "a", {}));
  CHECK_ERRC(files.open(dir / "a", to_write), Errc::locked);
  reader.reset();
  CHECK_NOTHROW(files.open(dir / "a", to_write));
}

TEST_CASE("a refused lock says in one line what to do") {
  const TempDir dir;
  auto writer = make(dir / "a");
  try {
    host_file_system().open(dir / "a", {});
    FAIL("opened");
  } catch (const varve::Error& error) {
    CHECK(std::string(error.what()) == dir / "a" + ": another program has it open for writing: close it, or read it with -U");
  }
}

TEST_CASE("a file beyond the process's size limit is limit, not a signal's death or a short file") {
  const TempDir dir;
  auto file = make(dir / "a");
  struct rlimit old = {};
  REQUIRE(getrlimit(RLIMIT_FSIZE, &old) == 0);
  auto* const handler = std::signal(SIGXFSZ, SIG_IGN);
  const struct rlimit small = {1 << 20, old.rlim_max};
  REQUIRE(setrlimit(RLIMIT_FSIZE, &small) == 0);
  CHECK_ERRC(file->write_at((1 << 20) - 10, bytes(20, 1)), Errc::limit);
  CHECK_ERRC(file->resize(2 << 20), Errc::limit);
  setrlimit(RLIMIT_FSIZE, &old);
  std::signal(SIGXFSZ, handler);
}

TEST_CASE("a pipe is written in order only and read to its end") {
  int ends[2];
  REQUIRE(pipe2(ends, O_CLOEXEC) == 0);
  varve::PipeStorage out(ends[1], "<stdout>");
  out.write_at(0, bytes(10, 1));
  out.write_at(10, bytes(10, 2));
  CHECK(out.size() == 20);
  CHECK_ERRC(out.write_at(5, bytes(1, 1)), Errc::invalid_argument);
  CHECK_ERRC(out.write_at(21, bytes(1, 1)), Errc::invalid_argument);
  CHECK_ERRC(read(out, 0, 1), Errc::unsupported);
  CHECK_ERRC(out.resize(30), Errc::unsupported);
  CHECK_NOTHROW(out.resize(20));
  CHECK_NOTHROW(out.flush());
  close(ends[1]);
  varve::FdByteSource in(ends[0], "<stdin>");
  std::vector<std::byte> all;
  for (size_t n = 1; n != 0;) {
    std::vector<std::byte> part(7);
    n = in.read(part);
    all.insert(all.end(), part.begin(), part.begin() + static_cast<ptrdiff_t>(n));
  }
  close(ends[0]);
  CHECK(all.size() == 20);
  CHECK(all[9] == std::byte{1});
  CHECK(all[10] == std::byte{2});
}

TEST_CASE("a pipe whose reader has gone is io") {
  int ends[2];
  REQUIRE(pipe2(ends, O_CLOEXEC) == 0);
  close(ends[0]);
  auto* const handler = std::signal(SIGPIPE, SIG_IGN);
  varve::PipeStorage out(ends[1], "<stdout>");
  CHECK_ERRC(out.write_at(0, bytes(10, 1)), Errc::io);
  std::signal(SIGPIPE, handler);
  close(ends[1]);
}

TEST_CASE("cancelling ends a write that waits for a reader of a pipe or a socket, and leaves the descriptor as it was") {
  for (const bool socket : {false, true}) {
    CAPTURE(socket);
    int ends[2];
    REQUIRE((socket ? socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) : pipe2(ends, O_CLOEXEC)) == 0);
    varve::CancelToken cancel;
    varve::PipeStorage out(ends[1], "<stdout>", &cancel);
    std::thread canceller([&] {
      std::this_thread::sleep_for(std::chrono::milliseconds(200));
      cancel.cancel();
    });
    const auto begin = std::chrono::steady_clock::now();
    CHECK_ERRC(out.write_at(0, bytes(1 << 20, 1)), Errc::cancelled);
    CHECK(std::chrono::steady_clock::now() - begin < std::chrono::seconds(5));
    canceller.join();
    CHECK((fcntl(ends[1], F_GETFL) & O_NONBLOCK) == 0);
    close(ends[0]);
    close(ends[1]);
  }
}

TEST_CASE("what goes down a pipe or a socket under a cancel token arrives whole") {
  for (const bool socket : {false, true}) {
    CAPTURE(socket);
    int ends[2];
    REQUIRE((socket ? socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) : pipe2(ends, O_CLOEXEC)) == 0);
    const varve::CancelToken cancel;
    std::vector<std::byte> sent(300001);
    for (size_t i = 0; i < sent.size(); ++i) sent[i] = static_cast<std::byte>(i * 7 / 3);
    std::thread writer([&] {
      varve::PipeStorage out(ends[1], "<stdout>", &cancel);
      for (size_t at = 0; at < sent.size(); at += 100000) {
        out.write_at(at, varve::ConstBytes(sent).subspan(at, std::min<size_t>(100000, sent.size() - at)));
      }
      close(ends[1]);
    });
    varve::FdByteSource in(ends[0], "<stdin>", &cancel);
    std::vector<std::byte> got;
    std::vector<std::byte> part(5000);
    while (const size_t n = in.read(part)) got.insert(got.end(), part.begin(), part.begin() + static_cast<ptrdiff_t>(n));
    writer.join();
    close(ends[0]);
    CHECK((got == sent));
  }
}
