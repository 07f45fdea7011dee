// Descriptors that name extents: what is opened, where each lies in the disk, and what may be done to it.
#include <cstring>
#include <string>
#include <vector>

#include "io/memory_file_system.h"
#include "support/test.h"
#include "vmdk/images.h"
#include "vmdk/vmdk.h"

namespace varve::test {
namespace {

const std::string kTitle = "# Disk DescriptorFile\nversion=1\nCID=1234abcd\nparentCID=ffffffff\ncreateType=\"custom\"\n";

struct Disk {
  MemoryFileSystem files;
  std::vector<std::string> warnings;
  OpenOptions options;

  Disk() {
    options.format = "vmdk";
    options.file_system = &files;
    options.warn = [this](const std::string& line) { warnings.push_back(line); };
  }
  Image open(const std::string& lines, Access access = Access::read_only) {
    files.add("/d/a.vmdk", bytes_of_text(kTitle + lines));
    options.access = access;
    return Image::open("/d/a.vmdk", options);
  }
  Image open_bytes(const Bytes& bytes) {
    files.add("/d/a.vmdk", bytes);
    return Image::open("/d/a.vmdk", options);
  }
  std::string text() {
    const auto bytes = files.find("/d/a.vmdk")->contents();
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
  }
};

TEST_CASE("WRT-10: extents of any size follow each other, each from its own offset in its file") {
  Disk disk;
  const Bytes x = pattern(100 * 512, 1);
  const Bytes y = pattern(50 * 512, 2);
  disk.files.add("/d/x y.vmdk", x);
  disk.files.add("/d/y.vmdk", y);
  Image image = disk.open("RW 7 FLAT \"x y.vmdk\" 3\nRW 5 ZERO\nRDONLY 1 FLAT \"y.vmdk\" 49\nRW 3 FLAT \"x y.vmdk\" 90\n");
  REQUIRE(image.size() == 16 * 512);
  Bytes want(16 * 512);
  std::memcpy(want.data(), x.data() + 3 * 512, 7 * 512);
  std::memcpy(want.data() + 12 * 512, y.data() + 49 * 512, 512);
  std::memcpy(want.data() + 13 * 512, x.data() + 90 * 512, 3 * 512);
  CHECK((read_all(image) == want));
  Bytes across(600);
  image.read_at(12 * 512 - 50, across);
  CHECK(std::memcmp(across.data(), want.data() + 12 * 512 - 50, 600) == 0);
  CHECK(image.extent_at(7 * 512).kind == ExtentKind::zero);
  CHECK(image.extent_at(12 * 512).host_offset == 49 * 512);
  CHECK(image.extent_at(12 * 512).host_file == 2);
  CHECK(image.extent_at(13 * 512).host_file == 1);
  CHECK(image.info().files.size() == 3);
}

TEST_CASE("writes go where reads come from, and a write to a read-only extent fails before any") {
  Disk disk;
  disk.files.add("/d/x.vmdk", pattern(100 * 512, 1));
  disk.files.add("/d/y.vmdk", pattern(50 * 512, 2));
  Image image = disk.open("RW 8 FLAT \"x.vmdk\" 2\nRDONLY 8 FLAT \"y.vmdk\" 0\nRW 8 ZERO\n", Access::read_write);
  image.write_at(4 * 512 + 1, pattern(1000, 9));
  Bytes got(1000);
  disk.files.find("/d/x.vmdk")->read_at(6 * 512 + 1, got);
  CHECK((got == pattern(1000, 9)));
  const auto before = disk.files.find("/d/x.vmdk")->contents();
  CHECK_ERRC(image.write_at(7 * 512, pattern(1024, 3)), Errc::permission);
  CHECK((disk.files.find("/d/x.vmdk")->contents() == before));
  CHECK_NOTHROW(image.zero(16 * 512, 4096));
  CHECK_ERRC(image.write_at(16 * 512, pattern(512, 3)), Errc::unsupported);
  image.close();
}

TEST_CASE("the first write after opening renews the CID, and nothing else in the text") {
  Disk disk;
  disk.files.add("/d/x.vmdk", Bytes(8 * 512));
  Image image = disk.open("RW 8 FLAT \"x.vmdk\" 0\n", Access::read_write);
  const std::string before = disk.text();
  Bytes sector(512);
  image.read_at(0, sector);
  CHECK(disk.text() == before);
  image.write_at(0, pattern(512, 1));
  std::string after = disk.text();
  CHECK(after != before);
  image.write_at(512, pattern(512, 1));
  CHECK(disk.text() == after);
  const size_t place = before.find("1234abcd");
  after.replace(place, 8, "1234abcd");
  CHECK(after == before);
  image.close();
}

TEST_CASE("a NOACCESS extent is part of the disk and of the map, and cannot be read") {
  Disk disk;
  Image image = disk.open("RW 8 ZERO\nNOACCESS 8 FLAT \"secret.vmdk\" 0\n");
  Bytes sector(512);
  CHECK_NOTHROW(image.read_at(0, sector));
  CHECK_ERRC(image.read_at(8 * 512, sector), Errc::permission);
  CHECK(image.extent_at(8 * 512).length == 8 * 512);
  CHECK(image.size() == 16 * 512);
  CHECK(disk.files.calls().size() == 1);
}

TEST_CASE("MEM-20: a flat file shorter than its extent is corrupt at once") {
  Disk disk;
  disk.files.add("/d/x.vmdk", Bytes(8 * 512));
  CHECK_NOTHROW(disk.open("RW 8 FLAT \"x.vmdk\" 0\n"));
  CHECK_ERRC(disk.open("RW 9 FLAT \"x.vmdk\" 0\n"), Errc::corrupt);
  CHECK_ERRC(disk.open("RW 8 FLAT \"x.vmdk\" 1\n"), Errc::corrupt);
  CHECK_ERRC(disk.open("RW 1 FLAT \"x.vmdk\" 36028797018963967\n"), Errc::corrupt);
}

TEST_CASE("REF-1, REF-2: names that lead out of the directory are refused without a look") {
  Disk disk;
  for (const char* name : {"/etc/passwd", "../../etc/passwd", "..\\x.vmdk", "C:\\x.vmdk", "/dev/sda", "json:{}", "nbd://host/x"}) {
    CAPTURE(name);
    disk.files.forget_calls();
    CHECK_ERRC(disk.open("RW 8 FLAT \"" + std::string(name) + "\" 0\n"), Errc::permission);
    CHECK(disk.files.calls().size() == 1);
  }
  disk.options.references = References::none;
  disk.files.add("/d/x.vmdk", Bytes(8 * 512));
  CHECK_ERRC(disk.open("RW 8 FLAT \"x.vmdk\" 0\n"), Errc::permission);
}

TEST_CASE("raw device mappings and device disks open a device only on the user's word") {
  Disk disk;
  disk.files.add("/d/x-rdm.vmdk", Bytes(8 * 512));
  for (const char* type : {"VMFSRDM", "VMFSRDMP", "VMFSRAW"}) {
    CAPTURE(type);
    CHECK_ERRC(disk.open("RW 8 " + std::string(type) + " \"x-rdm.vmdk\"\n"), Errc::permission);
  }
  disk.options.references = References::any;
  disk.files.add("/dev/sdx", Bytes(100 * 512));
  CHECK(disk.open("RW 8 FLAT \"/dev/sdx\" 63\nRW 2 FLAT \"/dev/sdx\" 0\n").size() == 10 * 512);
  CHECK(disk.open("RW 8 VMFSRDM \"x-rdm.vmdk\"\n").size() == 8 * 512);
}

TEST_CASE("a name that is missing is not found, and one of another encoding is found either way") {
  Disk disk;
  CHECK_ERRC(disk.open("RW 8 FLAT \"gone.vmdk\" 0\n"), Errc::not_found);
  disk.files.add("/d/\xc3\xa4.vmdk", Bytes(8 * 512));
  CHECK_NOTHROW(disk.open("encoding=\"windows-1252\"\nRW 8 FLAT \"\xe4.vmdk\" 0\n"));
  disk.files.remove("/d/\xc3\xa4.vmdk");
  disk.files.add("/d/\xe4.vmdk", Bytes(8 * 512));
  CHECK_NOTHROW(disk.open("encoding=\"windows-1252\"\nRW 8 FLAT \"\xe4.vmdk\" 0\n"));
}

TEST_CASE("MEM-19: flat extents that share bytes of a file may be read, not written") {
  Disk disk;
  disk.files.add("/d/x.vmdk", Bytes(100 * 512));
  const std::string lines = "RW 8 FLAT \"x.vmdk\" 0\nRW 8 FLAT \"x.vmdk\" 7\n";
  CHECK_NOTHROW(disk.open(lines));
  CHECK(disk.warnings.size() == 1);
  CHECK_ERRC(disk.open(lines, Access::read_write), Errc::corrupt);
  CHECK_NOTHROW(disk.open("RW 8 FLAT \"x.vmdk\" 0\nRW 8 FLAT \"x.vmdk\" 8\n", Access::read_write));
}

TEST_CASE("RES-9: the disk's size is summed with care and held to the limit") {
  Disk disk;
  const std::string huge = "RW 18014398509481983 ZERO\n";
  CHECK_ERRC(disk.open(huge + huge + huge + huge), Errc::limit);
  disk.options.limits.virtual_size = 16 * 512;
  CHECK_NOTHROW(disk.open("RW 8 ZERO\nRW 8 ZERO\n"));
  CHECK_ERRC(disk.open("RW 8 ZERO\nRW 9 ZERO\n"), Errc::limit);
}

TEST_CASE("an embedded extent is the file itself, whatever its line calls it") {
  Disk disk;
  Stream s;
  s.sectors = 256;
  s.grains[1] = pattern(65536, 1);
  s.extent_line = "RW 256 SPARSE \"/etc/passwd\"";
  Image image = disk.open_bytes(stream_image(s));
  CHECK(image.size() == 256 * 512);
  CHECK(disk.files.calls().size() == 1);
}

TEST_CASE("the size in the extent's line is held against the extent") {
  Disk disk;
  Stream s;
  s.sectors = 256;
  s.grains[1] = pattern(65536, 1);
  s.extent_line = "RW 257 SPARSE \"a.vmdk\"";
  CHECK_ERRC(disk.open_bytes(stream_image(s)), Errc::corrupt);
  s.extent_line = "RW 255 SPARSE \"a.vmdk\"";
  CHECK(disk.open_bytes(stream_image(s)).size() == 255 * 512);
  CHECK(disk.warnings.size() == 1);
}

TEST_CASE("a sparse line whose file begins with no header is corrupt, and so is a text without extents") {
  Disk disk;
  disk.files.add("/d/x.vmdk", Bytes(100 * 512));
  CHECK_ERRC(disk.open("RW 8 SPARSE \"x.vmdk\"\n"), Errc::corrupt);
  CHECK_ERRC(disk.open(""), Errc::corrupt);
  CHECK_ERRC(disk.open_bytes(Bytes(1024)), Errc::corrupt);
  CHECK_ERRC(disk.open_bytes(Bytes()), Errc::corrupt);
}

TEST_CASE("info names subformat, ids and extents") {
  Disk disk;
  disk.files.add("/d/x.vmdk", Bytes(8 * 512));
  const ImageInfo info = disk.open("RW 8 FLAT \"x.vmdk\" 0\nddb.adapterType = \"ide\"\n").info();
  const auto value = [&](const std::string& key) -> std::string {
    for (const auto& [name, what] : info.details)
      if (name == key && std::holds_alternative<std::string>(what)) return std::get<std::string>(what);
    return "?";
  };
  CHECK(value("subformat") == "custom");
  CHECK(value("cid") == "1234abcd");
  CHECK(value("adapter_type") == "ide");
  CHECK(value("extent.0") == "RW 8 FLAT \"x.vmdk\" 0");
  CHECK_FALSE(info.parent.has_value());
}

TEST_CASE("a child reads through to its parent, whose CID must be the one it remembers") {
  Disk disk;
  const Bytes base = pattern(8 * 512, 1);
  disk.files.add("/d/base-flat.vmdk", base);
  disk.files.add("/d/base.vmdk",
                 bytes_of_text("# Disk DescriptorFile\nversion=1\nCID=1111aaaa\nparentCID=ffffffff\nRW 8 FLAT \"base-flat.vmdk\" 0\n"));
  disk.files.add("/d/delta.vmdk", cowd_image(8, {{2, pattern(512, 5)}}));
  const auto child = [&](const std::string& cid) {
    disk.files.add("/d/a.vmdk", bytes_of_text("# Disk DescriptorFile\nversion=1\nCID=2222bbbb\nparentCID=" + cid +
                                              "\nparentFileNameHint=\"base.vmdk\"\nRW 8 VMFSSPARSE \"delta.vmdk\"\n"));
    return Image::open("/d/a.vmdk", disk.options);
  };
  Image image = child("1111aaaa");
  Bytes want = base;
  const Bytes grain = pattern(512, 5);
  std::copy(grain.begin(), grain.end(), want.begin() + 2 * 512);
  CHECK((read_all(image) == want));
  CHECK(image.chain().size() == 2);
  CHECK_THROWS_AS(child("1111aaab"), Error);
  CHECK_ERRC(child("xyz"), Errc::corrupt);
}

TEST_CASE("a VMDK is known by its first bytes, and never trusted for that") {
  const auto probe = [](ConstBytes head) {
    ProbeInput input;
    input.head = head;
    input.size = head.size();
    return vmdk_driver().probe(input);
  };
  CHECK(probe(bytes_of_text("KDMV....")).matches);
  CHECK(probe(bytes_of_text("COWD....")).matches);
  CHECK(probe(bytes_of_text(kTitle)).matches);
  CHECK(probe(bytes_of_text(kTitle)).forgeable);
  CHECK(probe(sesparse_image({.sectors = 8, .grains = {}, .zeros = {}, .unmapped = {}})).matches);
  CHECK_FALSE(probe(bytes_of_text("KDM")).matches);
  CHECK_FALSE(probe({}).matches);
}

}  // namespace
}  // namespace varve::test
