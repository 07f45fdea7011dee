// The reference policy [REF-1 to REF-5], on the memory file system, which sees each access, and on the host's.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "io/beneath.h"
#include "io/memory_file_system.h"
#include "io/references.h"
#include "support/process.h"
#include "support/test.h"

using varve::Errc;
using varve::FileOpen;
using varve::MemoryFileSystem;
using varve::open_reference;
using varve::References;
using varve::test::TempDir;

namespace {

const std::vector<std::string> kHostile = {
    "/etc/passwd",
    "../../etc/passwd",
    "..",
    "../x",
    "a/../../x",
    "a/..",
    ".",
    "",
    "a\\b",
    "..\\..\\x",
    "C:x",
    "c:\\x",
    "\\\\server\\share",
    "//server/share",
    "json:{\"driver\":\"nbd\"}",
    "nbd:localhost:10809",
    "fd:0",
    "http://x/y",
    "file:///etc/passwd",
    "host_device:/dev/sda",
    "x\ny",
    "x\x7f",
    "a/",
    std::string("a\0b", 3),
};

void write_file(const std::string& path, const std::string& text) { std::ofstream(path) << text; }

/// What opening says: "ok" or the error's line.
std::string outcome(const std::string& directory, const std::string& name) {
  try {
    open_reference(varve::host_file_system(), directory + "/disk.vmdk", name, References::inside, false, {});
    return "ok";
  } catch (const varve::Error& error) {
    return std::string(varve::errc_name(error.code())) + ": " + error.what();
  }
}

}  // namespace

TEST_CASE("REF-1: with policy none every name is refused and nothing is accessed") {
  MemoryFileSystem files;
  files.add("dir/extent.vmdk");
  for (const std::string name : {"extent.vmdk", "/etc/passwd", "../x", ""})
    CHECK_ERRC(open_reference(files, "dir/disk.vmdk", name, References::none, false, {}), Errc::permission);
  CHECK(files.calls().empty());
}

TEST_CASE("REF-2, REF-3: with policy inside each hostile name is refused and nothing is accessed") {
  MemoryFileSystem files;
  for (const std::string& name : kHostile) {
    CAPTURE(name);
    files.add(name);
    files.add("dir/" + name);
    CHECK_ERRC(open_reference(files, "dir/disk.vmdk", name, References::inside, false, {}), Errc::permission);
  }
  CHECK(files.calls().empty());
}

TEST_CASE("REF-8: names with spaces and beyond ASCII open with policy inside") {
  MemoryFileSystem files;
  for (const std::string name :
       {"disk-f001.vmdk", "my disk 1.vmdk", "\xd0\xb4\xd0\xb8\xd1\x81\xd0\xba.vmdk", "sub/x.vmdk", "./y.vmdk", "..x", "x..", "a, b.vmdk"}) {
    files.add("dir/" + name);
    CHECK_NOTHROW(open_reference(files, "dir/disk.vmdk", name, References::inside, false, {}));
  }
}

TEST_CASE("a device is opened on the user's word alone") {
  MemoryFileSystem files;
  files.add("dir/sda");
  CHECK_ERRC(open_reference(files, "dir/disk.vmdk", "sda", References::inside, true, {}), Errc::permission);
  CHECK(files.calls().empty());
  CHECK_NOTHROW(open_reference(files, "dir/disk.vmdk", "sda", References::any, true, {}));
}

TEST_CASE("with policy any, relative names start at the image and absolute ones stay") {
  MemoryFileSystem files;
  files.add("/base/b.vmdk");
  files.add("dir/b.vmdk");
  CHECK_NOTHROW(open_reference(files, "dir/disk.vmdk", "/base/b.vmdk", References::any, false, {}));
  CHECK_NOTHROW(open_reference(files, "dir/x/disk.vmdk", "../b.vmdk", References::any, false, {}));
  CHECK_ERRC(open_reference(files, "dir/disk.vmdk", "", References::any, false, {}), Errc::permission);
  CHECK_ERRC(open_reference(files, "dir/disk.vmdk", std::string("b\0", 2), References::any, false, {}), Errc::permission);
}

TEST_CASE("REF-5: refusing a hostile name says the same whether its target exists or not") {
  const TempDir dir;
  const std::string inside = dir / "1/2/in";
  std::filesystem::create_directories(inside + "/a");
  size_t made = 0;
  for (const std::string& name : kHostile) {
    if (name.find('\0') != std::string::npos) continue;
    CAPTURE(name);
    const std::string absent = outcome(inside, name);
    CHECK(absent.starts_with("permission"));
    if (name.starts_with("/")) continue;
    const std::filesystem::path target = std::filesystem::path(inside) / name;
    std::error_code ignored;
    std::filesystem::create_directories(target.parent_path(), ignored);
    if (!std::filesystem::exists(target, ignored)) {
      write_file(target, "secret");
      made += std::filesystem::exists(target, ignored) ? 1 : 0;
    }
    CHECK(outcome(inside, name) == absent);
  }
  CHECK(made >= 10);
}

TEST_CASE("REF-5: a symlink that leads outside is refused, the same whether its target exists or not") {
  const TempDir dir;
  std::filesystem::create_directories(dir / "in/sub");
  std::filesystem::create_directories(dir / "out");
  std::filesystem::create_symlink(dir / "out/secret", dir / "in/absolute");
  std::filesystem::create_symlink("../out/secret", dir / "in/relative");
  std::filesystem::create_symlink("../out", dir / "in/folder");
  std::filesystem::create_symlink("../../out/secret", dir / "in/sub/deep");
  const std::vector<std::string> names = {"absolute", "relative", "folder/secret", "sub/deep"};
  std::vector<std::string> before;
  for (const std::string& name : names) before.push_back(outcome(dir / "in", name));
  write_file(dir / "out/secret", "secret");
  for (size_t i = 0; i < names.size(); ++i) {
    CAPTURE(names[i]);
    CHECK(before[i].starts_with("permission"));
    CHECK(outcome(dir / "in", names[i]) == before[i]);
    CHECK_ERRC(varve::open_beneath_by_steps(dir / "in", names[i], O_RDONLY), Errc::permission);
  }
}

TEST_CASE("a symlink that stays inside opens, and so does a file in a folder below") {
  const TempDir dir;
  std::filesystem::create_directories(dir / "in/sub");
  write_file(dir / "in/sub/x", "x");
  std::filesystem::create_symlink("sub/x", dir / "in/link");
  CHECK(outcome(dir / "in", "link") == "ok");
  CHECK(outcome(dir / "in", "sub/x") == "ok");
  CHECK(varve::open_beneath_by_steps(dir / "in", "sub/x", O_RDONLY));
  CHECK(varve::open_beneath_by_steps(dir / "in", "./sub//x", O_RDONLY));
  CHECK(outcome(dir / "in", "sub/y").starts_with("not_found"));
  CHECK_ERRC(varve::open_beneath_by_steps(dir / "in", "sub/y", O_RDONLY), Errc::not_found);
  CHECK_ERRC(varve::open_beneath_by_steps(dir / "in", "sub/../sub/x", O_RDONLY), Errc::permission);
  CHECK_ERRC(varve::open_beneath_by_steps(dir / "in", "/etc/passwd", O_RDONLY), Errc::permission);
}

TEST_CASE("a FIFO, a directory, a socket or a device that an image names is refused and does not hang") {
  const TempDir dir;
  REQUIRE(mkfifo((dir / "fifo").c_str(), 0600) == 0);
  std::filesystem::create_directory(dir / "folder");
  CHECK(outcome(dir.path(), "fifo").starts_with("permission"));
  CHECK(outcome(dir.path(), "folder").starts_with("permission"));
  CHECK(outcome("/dev", "null").starts_with("permission"));
  CHECK_ERRC(varve::open_beneath_by_steps(dir.path(), "fifo", O_RDONLY), Errc::permission);
  CHECK_ERRC(varve::open_beneath_by_steps("/dev", "null", O_RDONLY), Errc::permission);
}

TEST_CASE("REF-7: a refusal shows the name without control characters") {
  try {
    varve::check_reference_name("\x1b[2J/../x", References::inside);
    FAIL("not refused");
  } catch (const varve::Error& error) {
    CHECK(std::string(error.what()).find('\x1b') == std::string::npos);
  }
}
