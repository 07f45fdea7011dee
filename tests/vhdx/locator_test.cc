// The parent locator [MS-VHDX 2.6.2.6].
#include "vhdx/locator.h"

#include "vhdx/builder.h"

namespace varve::test {
namespace {

const std::string kLinkage = "{" + kDataGuid + "}";

Pairs pairs_of(size_t count) {
  Pairs pairs;
  for (size_t i = 0; i < count; ++i) pairs.emplace_back("key" + std::to_string(i), "value");
  return pairs;
}

/// The only key, and what it says: 20 bytes of header, 12 of an entry, then "k" and "v".
Bytes one_pair() { return locator_bytes({{"k", "v"}}); }

TEST_CASE("a locator lies as the specification says, byte by byte, and is written so") {
  const Bytes bytes = locator_bytes({{"parent_linkage", kLinkage}, {"relative_path", ".\\base.vhdx"}});
  const vhdx::ParentLocator locator = vhdx::parse_locator(bytes);
  REQUIRE(locator.size() == 2);
  CHECK(locator.at("parent_linkage") == kLinkage);
  CHECK(locator.at("relative_path") == ".\\base.vhdx");
  CHECK(vhdx::encode(locator) == bytes);
}

TEST_CASE("64 pairs are taken, 65 are beyond the limit") {
  CHECK(vhdx::parse_locator(locator_bytes(pairs_of(64))).size() == 64);
  CHECK_ERRC(vhdx::parse_locator(locator_bytes(pairs_of(65))), Errc::limit);
  Bytes liar = one_pair();
  put(liar, 18, 0xffff, 2);
  CHECK_ERRC(vhdx::parse_locator(liar), Errc::limit);
  put(liar, 18, 2, 2);
  CHECK_ERRC(vhdx::parse_locator(liar), Errc::corrupt);
}

TEST_CASE("another type of locator is unsupported; one cut short is corrupt") {
  Bytes other = one_pair();
  put_guid(other, 0, kUnknown);
  CHECK_ERRC(vhdx::parse_locator(other), Errc::unsupported);
  const Bytes whole = one_pair();
  for (size_t length = 0; length < whole.size(); ++length) CHECK_ERRC(vhdx::parse_locator(ConstBytes(whole).first(length)), Errc::corrupt);
}

TEST_CASE("MEM-3: keys and values lie within the locator, behind its header") {
  for (const uint64_t field : {20, 24}) {
    for (const uint32_t offset : {0U, 19U, 36U, 100U, UINT32_MAX, UINT32_MAX - 1}) {
      Bytes bytes = one_pair();
      put(bytes, field, offset, 4);
      CHECK_ERRC(vhdx::parse_locator(bytes), Errc::corrupt);
    }
  }
  for (const uint64_t field : {28, 30}) {
    for (const uint16_t length : {uint16_t{1}, uint16_t{6}, uint16_t{0xffff}}) {
      Bytes bytes = one_pair();
      put(bytes, field, length, 2);
      CHECK_ERRC(vhdx::parse_locator(bytes), Errc::corrupt);
    }
  }
}

TEST_CASE("text that is not UTF-16 is corrupt, in keys and in values") {
  for (const uint64_t at : {32, 34}) {
    for (const uint32_t unit : {0xd800U, 0xdbffU, 0xdc00U, 0xdfffU}) {
      Bytes bytes = one_pair();
      put(bytes, at, unit, 2);
      CHECK_ERRC(vhdx::parse_locator(bytes), Errc::corrupt);
    }
  }
}

TEST_CASE("a key that stands twice is corrupt, also if one ends in a NUL") {
  CHECK_ERRC(vhdx::parse_locator(locator_bytes({{"a", "1"}, {"a", "2"}})), Errc::corrupt);
  CHECK_ERRC(vhdx::parse_locator(locator_bytes({{"a", "1"}, {std::string("a\0", 2), "2"}})), Errc::corrupt);
  CHECK(vhdx::parse_locator(locator_bytes({{"a", std::string("1\0", 2)}})).at("a") == "1");
}

TEST_CASE("the names are tried in the specification's order, with slashes, without the leading dot") {
  const vhdx::ParentLocator locator = {{"absolute_win32_path", "\\\\?\\C:\\vm\\base.vhdx"},
                                       {"volume_path", "\\\\?\\Volume{1}\\vm\\base.vhdx"},
                                       {"relative_path", ".\\..\\vm\\base.vhdx"},
                                       {"parent_linkage", kLinkage}};
  const ParentLink link = vhdx::parent_link(locator);
  CHECK(link.format == "vhdx");
  CHECK(link.names == std::vector<std::string>{"../vm/base.vhdx", "//?/Volume{1}/vm/base.vhdx", "//?/C:/vm/base.vhdx"});
}

TEST_CASE("parent_linkage and parent_linkage2 are both identities; none, or one that is no GUID, is corrupt") {
  const std::string second = "{" + kUnknown + "}";
  CHECK(vhdx::parent_link({{"parent_linkage", kLinkage}}).identities == std::vector<std::string>{"DataWriteGuid " + kLinkage});
  CHECK(vhdx::parent_link({{"parent_linkage", kLinkage}, {"parent_linkage2", second}}).identities ==
        std::vector<std::string>{"DataWriteGuid " + kLinkage, "DataWriteGuid " + second});
  CHECK_ERRC(vhdx::parent_link({{"relative_path", "base.vhdx"}}), Errc::corrupt);
  CHECK_ERRC(vhdx::parent_link({{"parent_linkage", ""}}), Errc::corrupt);
  CHECK_ERRC(vhdx::parent_link({{"parent_linkage", "{1234}"}}), Errc::corrupt);
  CHECK_ERRC(vhdx::parent_link({{"parent_linkage", kLinkage}, {"parent_linkage2", "x"}}), Errc::corrupt);
}

TEST_CASE("identities do not depend on the case of the GUID's digits") {
  std::string upper = kLinkage;
  for (char& c : upper) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  CHECK(vhdx::parent_link({{"parent_linkage", upper}}).identities.front() == vhdx::identity_of(parse_uuid(kDataGuid)));
}

TEST_CASE("a new locator names a relative parent with backslashes, an absolute one as it is, and reads back") {
  const std::string identity = vhdx::identity_of(parse_uuid(kDataGuid));
  const vhdx::ParentLocator relative = vhdx::make_locator("sub/base disk.vhdx", identity);
  CHECK(relative.at("relative_path") == ".\\sub\\base disk.vhdx");
  CHECK(relative.at("parent_linkage") == kLinkage);
  CHECK(relative.at("absolute_win32_path") == "sub\\base disk.vhdx");  // for libvhdi, which reads no other
  CHECK(vhdx::parent_link(vhdx::parse_locator(vhdx::encode(relative))).names ==
        std::vector<std::string>{"sub/base disk.vhdx", "sub/base disk.vhdx"});
  CHECK(vhdx::parent_link(relative).identities == std::vector<std::string>{identity});
  const vhdx::ParentLocator absolute = vhdx::make_locator("/vm/base.vhdx", identity);
  CHECK(absolute.at("absolute_win32_path") == "/vm/base.vhdx");
  CHECK_FALSE(absolute.contains("relative_path"));
  CHECK_ERRC(vhdx::make_locator("base.vmdk", "CID 12345678"), Errc::invalid_argument);
}

TEST_CASE("a name that would be read as another one is refused") {
  for (const std::string& name :
       {std::string("base\0.vhdx", 10), std::string("base.vhdx\0", 10), std::string("\xff.vhdx"), std::string(40000, 'x')})
    CHECK_ERRC(vhdx::make_locator(name, vhdx::identity_of(parse_uuid(kDataGuid))), Errc::invalid_argument);
}

TEST_CASE("names outside ASCII round-trip") {
  const std::string name = "h\xc3\xa4user/\xe6\x97\xa5\xe6\x9c\xac \xf0\x9f\x92\xbe.vhdx";
  const vhdx::ParentLocator locator = vhdx::make_locator(name, vhdx::identity_of(parse_uuid(kDataGuid)));
  CHECK(vhdx::parent_link(vhdx::parse_locator(vhdx::encode(locator))).names.front() == name);
}

}  // namespace
}  // namespace varve::test
