#include "vmdk/descriptor.h"

#include <string>
#include <vector>

#include "support/test.h"
#include "vmdk/text_encoding.h"

namespace varve::vmdk {
namespace {

ConstBytes bytes(std::string_view text) { return std::as_bytes(std::span(text.data(), text.size())); }

Descriptor parse(std::string_view text, const Limits& limits = {}) { return Descriptor::parse(bytes(text), limits); }

constexpr std::string_view kText =
    "# Disk DescriptorFile\n"
    "version=1 \n"
    "# CID=11111111\n"
    "encoding=\"windows-1252\"\n"
    "parentCID=ffffffff\n"
    "cid = 1A2b3c \n"
    "createType=\"twoGbMaxExtentSparse\"\n"
    "\n"
    "# Extent description\n"
    "RW 4192256 SPARSE \"my disk-s001.vmdk\"\n"
    "RDONLY 100 FLAT \"a b.vmdk\" 7\n"
    "NOACCESS 3 ZERO\n"
    "rw 9 flat \"/dev/sda\" 63 partitionUUID 1234 \n"
    "\n"
    "#DDB\n"
    "ddb.adapterType = \"lsilogic\"\n"
    "ddb.virtualHWVersion = \"14\"";

TEST_CASE("keys match as a whole and without regard to case, and comments hold none") {
  const Descriptor d = parse(kText);
  CHECK(d.cid() == 0x1a2b3cU);
  CHECK(d.parent_cid() == kNoParentCid);
  CHECK(d.get("VERSION") == "1");
  CHECK(d.create_type() == "twoGbMaxExtentSparse");
  CHECK(d.get("DDB.adaptertype") == "lsilogic");
  CHECK_FALSE(d.has("ID"));
  CHECK(d.entries().size() == 7);
  CHECK(d.entries()[3].first == "cid");
}

TEST_CASE("extent lines give access, size, type, name with blanks, offset and the rest") {
  const Descriptor d = parse(kText);
  REQUIRE(d.extents().size() == 4);
  CHECK(d.extents()[0].name == "my disk-s001.vmdk");
  CHECK(d.extents()[0].sectors == 4192256);
  CHECK(d.extents()[0].type == ExtentType::sparse);
  CHECK(d.extents()[1].access == ExtentAccess::read_only);
  CHECK(d.extents()[1].offset_sectors == 7);
  CHECK(d.extents()[2].type == ExtentType::zero);
  CHECK(d.extents()[2].name.empty());
  CHECK(d.extents()[3].rest == "partitionUUID 1234");
  CHECK(extent_line_text(d.extents()[1]) == "RDONLY 100 FLAT \"a b.vmdk\" 7");
  CHECK(extent_line_text(d.extents()[2]) == "NOACCESS 3 ZERO");
  CHECK(extent_line_text(d.extents()[0]) == "RW 4192256 SPARSE \"my disk-s001.vmdk\"");
}

TEST_CASE("changing one value leaves every other byte of the text") {
  Descriptor d = parse(kText);
  CHECK(d.text() == kText);
  d.set_cid(0xab);
  std::string expected(kText);
  expected.replace(expected.find("1A2b3c"), 6, "000000ab");
  CHECK(d.text() == expected);
  d.set_parent_cid(0x12345678);
  expected.replace(expected.find("ffffffff"), 8, "12345678");
  CHECK(d.text() == expected);
  d.set("ddb.virtualHWVersion", "9");
  expected.replace(expected.find("\"14\""), 4, "\"9\"");
  CHECK(d.text() == expected);
  ExtentLine line = d.extents()[2];
  line.sectors = 4;
  d.set_extent(2, line);
  expected.replace(expected.find("NOACCESS 3"), 10, "NOACCESS 4");
  CHECK(d.text() == expected);
}

TEST_CASE("a new key goes into its section, once") {
  Descriptor d = parse(kText);
  d.set("parentFileNameHint", "base.vmdk");
  d.set("ddb.longContentID", "00");
  const std::string text = d.text();
  CHECK(text.find("\"twoGbMaxExtentSparse\"\nparentFileNameHint=\"base.vmdk\"\n\n# Extent") != std::string::npos);
  CHECK(text.ends_with("ddb.virtualHWVersion = \"14\"\nddb.longContentID = \"00\"\n"));
  d.set("parentFileNameHint", "other.vmdk");
  CHECK(d.get("parentfilenamehint") == "other.vmdk");
  d.remove("PARENTFILENAMEHINT");
  d.remove("ddb.longContentID");
  CHECK(d.text() == std::string(kText) + "\n");
}

TEST_CASE("a key that occurs twice is read once, warned of, and written once") {
  std::vector<std::string> warnings;
  Descriptor d = Descriptor::parse(bytes("CID=1\ncid=2\n"), {}, [&](const std::string& line) { warnings.push_back(line); });
  CHECK(warnings.size() == 1);
  CHECK(d.cid() == 1U);
  d.set_cid(3);
  CHECK(d.text() == "CID=00000003\n");
}

TEST_CASE("a CID that means none is never written") {
  Descriptor d = parse("CID=fffffffe\n");
  CHECK(d.cid() == 0xfffffffeU);
  CHECK_ERRC(d.set_cid(0xffffffff), Errc::invalid_argument);
  CHECK_ERRC(d.set_cid(0xfffffffe), Errc::invalid_argument);
  CHECK_ERRC(d.set("CID", "1\nRW 1 FLAT"), Errc::invalid_argument);
}

TEST_CASE("a CID that is no number is none") {
  for (const char* text : {"CID=\n", "CID=123456789\n", "CID=12g\n", "CID=-1\n", "parentCID=12345678\n"}) {
    CAPTURE(text);
    CHECK_FALSE(parse(text).cid().has_value());
  }
}

TEST_CASE("the text ends at the first NUL and keeps its line ends") {
  Descriptor d = parse(std::string_view("CID=1\r\nversion=1\r\n\0CID=2\n", 25));
  CHECK(d.text() == "CID=1\r\nversion=1\r\n");
  d.set("createType", "custom");
  CHECK(d.text() == "CID=1\r\nversion=1\r\ncreateType=\"custom\"\r\n");
}

TEST_CASE("RES-8, RES-9: names come from the quotes, sizes are above zero, unknown types are refused") {
  CHECK_ERRC(parse("RW 0 FLAT \"a\" 0\n"), Errc::corrupt);
  CHECK_ERRC(parse("RW x FLAT \"a\" 0\n"), Errc::corrupt);
  CHECK_ERRC(parse("RW -1 FLAT \"a\" 0\n"), Errc::corrupt);
  CHECK_ERRC(parse("RW 36028797018963968 FLAT \"a\" 0\n"), Errc::corrupt);
  CHECK_ERRC(parse("RW 1 FLAT \"a\" 36028797018963968\n"), Errc::corrupt);
  CHECK_ERRC(parse("RW 1 FLAT a 0\n"), Errc::corrupt);
  CHECK_ERRC(parse("RW 1 FLAT \"a 0\n"), Errc::corrupt);
  CHECK_ERRC(parse("RW 1 FLAT \"\" 0\n"), Errc::corrupt);
  CHECK_ERRC(parse("RW 1 SPARSE\n"), Errc::corrupt);
  CHECK_ERRC(parse("RW 1 QCOW \"a\"\n"), Errc::unsupported);
  ExtentLine unspeakable;
  unspeakable.name = "a\"b";
  CHECK_ERRC(extent_line_text(unspeakable), Errc::invalid_argument);
  unspeakable.name = "a\nb";
  CHECK_ERRC(extent_line_text(unspeakable), Errc::invalid_argument);
}

TEST_CASE("RES-9: bytes, lines and extents of a descriptor are bounded") {
  Limits limits;
  limits.extents = 2;
  limits.descriptor_line = 20;
  limits.descriptor_bytes = 60;
  CHECK_NOTHROW(parse("RW 1 ZERO\nRW 1 ZERO\n", limits));
  CHECK_ERRC(parse("RW 1 ZERO\nRW 1 ZERO\nRW 1 ZERO\n", limits), Errc::limit);
  CHECK_NOTHROW(parse("#" + std::string(18, 'x') + "\n", limits));
  CHECK_ERRC(parse("#" + std::string(19, 'x') + "\n", limits), Errc::limit);
  CHECK_NOTHROW(parse(std::string(60, '\n'), limits));
  CHECK_ERRC(parse(std::string(61, '\n'), limits), Errc::limit);
}

TEST_CASE("a descriptor is known by its title") {
  CHECK(Descriptor::recognise(bytes("# Disk DescriptorFile\n")));
  CHECK(Descriptor::recognise(bytes("# disk descriptorfile\r\nversion=1")));
  CHECK(Descriptor::recognise(bytes("# Disk Descriptor File\n")));
  CHECK(Descriptor::recognise(bytes("\n\n# hello\n# Disk DescriptorFile")));
  CHECK_FALSE(Descriptor::recognise(bytes("version=1\n# Disk DescriptorFile")));
  CHECK_FALSE(Descriptor::recognise(bytes("# Disk Descriptor Files\n")));
  CHECK_FALSE(Descriptor::recognise(bytes(std::string(16, '\n') + "# Disk DescriptorFile")));
  CHECK_FALSE(Descriptor::recognise(bytes("")));
}

TEST_CASE("names are converted from the descriptor's encoding where it is known, else kept") {
  CHECK(parse("encoding=\"windows-1252\"\n").to_utf8("a\xe4\x80") == "a\xc3\xa4\xe2\x82\xac");
  CHECK(parse("encoding=\"ISO-8859-1\"\n").to_utf8("\xe4") == "\xc3\xa4");
  CHECK(parse("encoding=\"UTF-8\"\n").to_utf8("\xc3\xa4") == "\xc3\xa4");
  CHECK(parse("encoding=\"UTF-8\"\n").to_utf8("\xe4") == "\xe4");
  CHECK(parse("encoding=\"ISO-2022-CN-EXT\"\n").to_utf8("\xe4") == "\xe4");
  CHECK(parse("").to_utf8("plain") == "plain");
  if (text_to_utf8("\xd6\xd0", "GBK")) CHECK(parse("encoding=\"GBK\"\n").to_utf8("\xd6\xd0") == "\xe4\xb8\xad");
}

}  // namespace
}  // namespace varve::vmdk
