// Giving whole images another size: what is asked first, what the descriptor says afterwards, and what a failure half way leaves.
#include <algorithm>
#include <string>
#include <vector>

#include "io/memory_file_system.h"
#include "support/process.h"
#include "support/storages.h"
#include "support/test.h"
#include "vmdk/images.h"

namespace varve::test {
namespace {

constexpr const char* kPath = "dir/a.vmdk";
constexpr uint64_t kMiB = uint64_t{1} << 20;

void create(FileSystem& files, const std::string& options, uint64_t size, const std::string& path = kPath, const std::string& parent = {}) {
  CreateOptions how;
  how.file_system = &files;
  how.options = parse_options(options);
  how.parent = parent;
  Image::create(path, "vmdk", size, how).close();
}

Image open(FileSystem& files, Access access = Access::read_write, const std::string& path = kPath) {
  OpenOptions how;
  how.file_system = &files;
  how.format = "vmdk";
  how.access = access;
  return Image::open(path, how);
}

uint64_t size_of(FileSystem& files) { return open(files, Access::read_only).size(); }

std::string text_of(const MemoryFileSystem& files, const std::string& path = kPath) {
  const auto file = files.find(path);
  Bytes bytes(std::min<uint64_t>(file->size(), 21 * 512));
  file->read_at(0, bytes);
  const std::string all(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  const size_t begin = all.find("# Disk Desc");
  return all.substr(begin, all.find('\0', begin) - begin);
}

/// Puts another text into the 20 sectors behind the header, or makes it the file.
void set_text(MemoryFileSystem& files, const std::string& text, bool embedded) {
  if (!embedded) {
    files.add(kPath, bytes_of_text(text));
    return;
  }
  std::string area = text;
  area.resize(20 * 512, '\0');
  files.find(kPath)->write_at(512, bytes_of_text(area));
}

std::string replaced(std::string text, const std::string& what, const std::string& with) {
  const size_t at = text.find(what);
  REQUIRE(at != std::string::npos);
  return text.replace(at, what.size(), with);
}

std::vector<Bytes> contents(const MemoryFileSystem& files) {
  std::vector<Bytes> all;
  for (const std::string& path : files.paths()) all.push_back(files.find(path)->contents());
  return all;
}

TEST_CASE("the geometry follows the size: as many cylinders as fit, of the heads and sectors that are stored") {
  struct Case {
    std::string options;
    uint64_t size;
    std::string cylinders;
  };
  for (const Case& disk : std::vector<Case>{{"", uint64_t{100} << 30, "13054"},
                                            {"subformat=vmfs", uint64_t{1} << 40, "65535"},
                                            {"adapter_type=ide", uint64_t{2} << 30, "4161"},
                                            {"adapter_type=ide,subformat=monolithicFlat", uint64_t{200} << 30, "16383"}}) {
    CAPTURE(disk.options);
    MemoryFileSystem files;
    create(files, disk.options, 3 * kMiB);
    Image image = open(files);
    image.resize(disk.size);
    image.close();
    CHECK(text_of(files).find("ddb.geometry.cylinders = \"" + disk.cylinders + "\"\n") != std::string::npos);
  }
}

TEST_CASE("the geometry of another program keeps its heads and sectors, the BIOS one too; what is not there is not added") {
  MemoryFileSystem files;
  create(files, "subformat=monolithicFlat", kMiB);
  const std::string ours = text_of(files);
  set_text(files,
           replaced(ours, "heads = \"255\"\nddb.geometry.sectors = \"63\"\n",
                    "heads = \"64\"\nddb.geometry.sectors = \"32\"\nddb.geometry.biosCylinders = \"1\"\nddb.geometry.biosHeads = \"128\"\n"
                    "ddb.geometry.biosSectors = \"63\"\n"),
           false);
  Image image = open(files);
  image.resize(100 * kMiB);
  image.close();
  CHECK(text_of(files).find("ddb.geometry.cylinders = \"100\"") != std::string::npos);
  CHECK(text_of(files).find("ddb.geometry.biosCylinders = \"25\"") != std::string::npos);
  for (const char* heads : {"0", "", "x", "256", "18446744073709551615"}) {
    set_text(files, replaced(ours, "heads = \"255\"", "heads = \"" + std::string(heads) + "\""), false);
    create(files, "subformat=monolithicFlat", kMiB, "dir/b.vmdk");
    files.add("dir/a-flat.vmdk", files.find("dir/b-flat.vmdk"));
    Image odd = open(files);
    odd.resize(100 * kMiB);
    odd.close();
    CHECK(text_of(files).find("ddb.geometry.cylinders = \"1\"") != std::string::npos);
    files.remove("dir/b.vmdk");
    files.remove("dir/b-flat.vmdk");
  }
}

TEST_CASE("a new image has room for its growth, however long its name and however many its extents") {
  for (const std::string options : {"subformat=vmfs", "subformat=monolithicSparse"}) {
    CAPTURE(options);
    for (size_t length = 1; length < 240; ++length) {
      CAPTURE(length);
      MemoryFileSystem files;
      const std::string path = "dir/" + std::string(length, 'n') + ".vmdk";
      create(files, options, 512, path);
      const size_t before = text_of(files, path).size();
      for (const uint64_t size : {10 * kMiB, uint64_t{1} << 40}) {
        Image image = open(files, Access::read_write, path);
        image.resize(size);
        image.close();
        CHECK(open(files, Access::read_only, path).size() == size);
      }
      CHECK((text_of(files, path).size() == before || before < 512));
    }
  }
  constexpr uint64_t kSplit = uint64_t{2047} << 20;
  for (uint64_t extents = 1; extents < 40; ++extents) {
    CAPTURE(extents);
    MemoryFileSystem files;
    create(files, "subformat=twoGbMaxExtentSparse", (extents - 1) * kSplit + 512);
    for (const uint64_t last : {kMiB, kSplit}) {
      Image image = open(files);
      image.resize((extents - 1) * kSplit + last);
      image.close();
      CHECK(size_of(files) == (extents - 1) * kSplit + last);
    }
  }
}

TEST_CASE("where the descriptor has no room, growing is refused before anything has changed") {
  for (const std::string options : {"subformat=monolithicSparse", "subformat=monolithicFlat"}) {
    CAPTURE(options);
    const bool embedded = options.ends_with("Sparse");
    MemoryFileSystem files;
    create(files, options, 999 * 512);
    std::string text = text_of(files);
    for (size_t at = 0; (at = text.find("\n\n")) != std::string::npos;) text.erase(at, 1);
    // A comment up to the very end; the line that grows is in the first sector.
    text += "#" + std::string(20 * 512 - text.size() - 2, 'x') + "\n";
    set_text(files, text, embedded);
    OpenOptions how;
    how.file_system = &files;
    how.limits.descriptor_line = 20 * 512;
    how.format = "vmdk";
    how.access = Access::read_write;
    const auto before = contents(files);
    Image image = Image::open(kPath, how);
    CHECK_ERRC(image.resize(1000 * 512), Errc::limit);
    CHECK(image.size() == 999 * 512);
    CHECK((contents(files) == before));
    // The CID needs no room.
    image.write_at(0, pattern(512, 1));
    image.close();
  }
}

TEST_CASE("where only the geometry has no room, it stays, and the disk grows") {
  MemoryFileSystem files;
  create(files, "subformat=monolithicFlat", 1000000 * 512);
  std::string text = text_of(files);
  for (size_t at = 0; (at = text.find("\n\n")) != std::string::npos;) text.erase(at, 1);
  set_text(files, text + "ddb.comment = \"" + std::string(400, 'x') + "\"\n", false);
  Image image = open(files);
  image.resize(9000000 * uint64_t{512});
  image.close();
  CHECK(size_of(files) == 9000000 * uint64_t{512});
  CHECK(text_of(files).find("cylinders = \"62\"") != std::string::npos);
}

TEST_CASE("a growth that ended before the descriptor said so is taken up, to the same size and to another") {
  for (const std::string options : {"subformat=monolithicSparse", "subformat=monolithicFlat", "subformat=twoGbMaxExtentSparse"}) {
    for (const uint64_t size : {4 * kMiB, 6 * kMiB, 8 * kMiB}) {
      CAPTURE(options);
      CAPTURE(size);
      MemoryFileSystem files;
      create(files, options, 3 * kMiB);
      const std::string old = text_of(files);
      {
        Image image = open(files);
        image.resize(6 * kMiB);
        image.close();
      }
      set_text(files, old, options == "subformat=monolithicSparse");
      REQUIRE(size_of(files) == 3 * kMiB);
      Image image = open(files);
      image.resize(size);
      image.write_at(size - 512, pattern(512, 1));
      image.close();
      CHECK(size_of(files) == size);
      Image again = open(files, Access::read_only);
      CHECK(again.check().damages == 0);
      Bytes out(1024);
      again.read_at(size - 1024, out);
      CHECK(std::all_of(out.begin(), out.begin() + 512, [](std::byte b) { return b == std::byte{0}; }));
    }
  }
}

TEST_CASE("what lies behind the disk's end in its file is never shown by growing") {
  for (const std::string options : {"subformat=monolithicSparse", "subformat=monolithicFlat"}) {
    CAPTURE(options);
    MemoryFileSystem files;
    create(files, options, 3 * kMiB);
    const std::string old = text_of(files);
    {
      Image image = open(files);
      image.resize(6 * kMiB);
      image.write_at(5 * kMiB, pattern(512, 1));
      image.close();
    }
    set_text(files, old, options.ends_with("Sparse"));
    const auto before = contents(files);
    Image image = open(files);
    CHECK_ERRC(image.resize(6 * kMiB), Errc::unsupported);
    CHECK((contents(files) == before));
  }
}

TEST_CASE("an extent that another one follows in the same file is not grown over it") {
  MemoryFileSystem files;
  files.add("dir/a-flat.vmdk", Bytes(4096));
  set_text(files,
           "# Disk DescriptorFile\nversion=1\nCID=12345678\nparentCID=ffffffff\ncreateType=\"custom\"\nRW 4 FLAT \"a-flat.vmdk\" 4\n"
           "RW 4 FLAT \"a-flat.vmdk\" 0\n",
           false);
  const auto before = contents(files);
  Image image = open(files);
  CHECK_ERRC(image.resize(9 * 512), Errc::unsupported);
  CHECK((contents(files) == before));
}

TEST_CASE("a resize that fails at any call leaves the old disk or the new one, and the same resize then works") {
  for (const std::string options : {"subformat=monolithicSparse", "subformat=monolithicFlat", "subformat=twoGbMaxExtentSparse", "delta"}) {
    CAPTURE(options);
    for (uint64_t call = 0;; ++call) {
      CAPTURE(call);
      MemoryFileSystem files;
      if (options == "delta") {
        create(files, "", 8 * kMiB, "dir/base.vmdk");
        create(files, "", 999 * 512, kPath, "base.vmdk");
      } else {
        create(files, options, 999 * 512);
      }
      const auto plan = std::make_shared<FaultPlan>(call, FaultKind::io, true, Hit::any);
      WrappingFileSystem faulty(files,
                                [&](std::shared_ptr<Storage> below) { return std::make_shared<FaultyStorage>(std::move(below), plan); });
      uint64_t shown = 0;
      bool failed = false;
      try {
        Image image = open(faulty);
        try {
          image.resize(70 * kMiB);
        } catch (const Error& error) {
          failed = true;
          CHECK(error.code() == Errc::io);
        }
        shown = image.size();
        image.close();
      } catch (const Error&) {
        failed = true;
      }
      const uint64_t size = size_of(files);
      CHECK((size == 999 * 512 || size == 70 * kMiB));
      if (shown != 0) CHECK((shown == 999 * 512 || shown == 70 * kMiB));
      Image again = open(files);
      CHECK(again.check().damages == 0);
      again.resize(70 * kMiB);
      CHECK(again.check().damages == 0);
      again.close();
      CHECK(size_of(files) == 70 * kMiB);
      if (!failed) break;
      REQUIRE(call < 1000);
    }
  }
}

TEST_CASE("a sparse extent asks for all that it needs before it grows") {
  MemoryFileSystem files;
  create(files, "grain_size=4K", kMiB);
  const auto before = contents(files);
  OpenOptions how;
  how.file_system = &files;
  how.format = "vmdk";
  how.access = Access::read_write;
  how.limits.metadata_bytes = kMiB;
  Image image = Image::open(kPath, how);
  CHECK_ERRC(image.resize(uint64_t{1} << 40), Errc::limit);
  CHECK_ERRC(image.resize(uint64_t{3} << 40), Errc::limit);
  CHECK((contents(files) == before));
  image.resize(2 * kMiB);
  image.write_at(kMiB, pattern(512, 1));
  image.close();
  CHECK(size_of(files) == 2 * kMiB);
}

TEST_CASE("a resize changes the CID once, with the size") {
  for (const std::string options : {"subformat=monolithicSparse", "subformat=monolithicFlat"}) {
    MemoryFileSystem files;
    create(files, options, kMiB);
    const std::string old = text_of(files);
    const auto cid = [&] { return text_of(files).substr(text_of(files).find("\nCID="), 13); };
    const std::string first = cid();
    Image image = open(files);
    image.resize(2 * kMiB);
    const std::string second = cid();
    CHECK(second != first);
    image.resize(3 * kMiB);
    image.write_at(0, pattern(512, 1));
    CHECK(cid() == second);
    image.close();
  }
}

}  // namespace
}  // namespace varve::test
