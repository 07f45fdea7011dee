// Options by name: which there are, which values they take, and what an empty one means.
#include <fstream>
#include <iterator>
#include <regex>
#include <set>
#include <sstream>

#include "capi/kit.h"
#include "support/test.h"

using namespace varve::test;

namespace {

constexpr uint64_t kSize = 1 << 20;

struct Row {
  const char* name;
  std::vector<const char*> right;
  std::vector<const char*> wrong;
};

const std::vector<Row>& rows() {
  static const std::vector<Row> all = {
      {"format", {"raw", "vmdk", "vhdx", "varve", "auto"}, {}},  // a wrong one is found when it is used
      {"read-only", {"on", "off", "true", "false"}, {"yes", "1", "ON", " on"}},
      {"references", {"none", "inside", "any"}, {"all", "Any"}},
      {"parent", {"base.vmdk"}, {}},
      {"parent-format", {"raw"}, {}},
      {"parent-snapshot", {"before"}, {}},
      {"ignore-parent", {"on", "off"}, {"maybe"}},
      {"snapshot", {"before"}, {}},
      {"cache", {"writeback", "none", "unsafe"}, {"writethrough", "direct"}},
      {"lock", {"on", "off"}, {"shared"}},
      {"require-encryption", {"on", "off"}, {"aes"}},
      {"accept-older-state", {"on", "off"}, {"2"}},
      {"min-generation", {"0", "7", "18446744073709551615"}, {"-1", "1k", "18446744073709551616", "0x10"}},
      {"key-slot", {"0", "15"}, {"16", "-1", "a"}},
      {"threads", {"1", "64"}, {"0", "65", "-1", "two"}},
      {"write-buffer", {"0", "65536", "64K", "2M", "1G"}, {"-1", "2 M", "much", "99999999999G"}},
      {"cluster-cache", {"65536", "1M"}, {"x"}},
      {"metadata", {"65536", "1M"}, {"x"}},
      {"max-virtual-size", {"1G", "2T"}, {"-2"}},
      {"max-chain-depth", {"1", "256"}, {"257", "deep"}},
      {"force", {"on", "off"}, {"very"}},
      {"create.subformat", {"streamOptimized", "whatever"}, {}},
  };
  return all;
}

int open_raw(const std::string& path, const Options& how) {
  varve_image* image = nullptr;
  const int code = varve_open(path.c_str(), how.get(), &image, nullptr);
  varve_free(image);
  return code;
}

}  // namespace

TEST_CASE("every option takes its values, refuses others and names itself then, and an empty one is its default") {
  const Options all = options({});
  Told told;
  for (const Row& row : rows()) {
    CAPTURE(row.name);
    for (const char* value : row.right) {
      CAPTURE(value);
      must(varve_options_set(all.get(), row.name, value, told), told);
    }
    for (const char* value : row.wrong) {
      CAPTURE(value);
      CHECK(refused(varve_options_set(all.get(), row.name, value, told), told) == VARVE_INVALID_ARGUMENT);
      CHECK(told.message().find(row.name) != std::string::npos);
    }
    must(varve_options_set(all.get(), row.name, "", told), told);
  }
}

TEST_CASE("the header lists every option that there is, and no other") {
  std::ifstream header(VARVE_TEST_HEADER);
  const std::string text((std::istreambuf_iterator<char>(header)), std::istreambuf_iterator<char>());
  const size_t begin = text.find("Sets one by its name");
  REQUIRE(begin != std::string::npos);
  std::istringstream lines(text.substr(begin, text.find("*/", begin) - begin));
  const std::regex entry(R"( \*   ([a-z]\S*(?:, [a-z]\S*)*) {2,}\S.*)");  // " *   one, another   what they do"
  std::set<std::string> listed;
  for (std::string line; std::getline(lines, line);) {
    std::smatch found;
    if (!std::regex_match(line, found, entry)) continue;
    std::istringstream names(found[1]);
    for (std::string name; names >> name;) listed.insert(name.back() == ',' ? name.substr(0, name.size() - 1) : name);
  }
  std::set<std::string> known;
  for (const Row& row : rows()) known.insert(row.name == std::string("create.subformat") ? "create.NAME" : row.name);
  CHECK(listed == known);
}

TEST_CASE("a name that is not known is refused, also one in other letters") {
  const Options all = options({});
  Told told;
  for (const char* name : {"", "Format", "formats", "read_only", "create"}) {
    CAPTURE(name);
    CHECK(refused(varve_options_set(all.get(), name, "on", told), told) == VARVE_INVALID_ARGUMENT);
  }
}

TEST_CASE("without a format nothing is opened, created or converted") {
  const TempDir dir;
  const Options raw = options({{"format", "raw"}});
  close(create(dir / "a.raw", kSize, raw));
  Told told;
  varve_image* image = nullptr;
  const Options none = options({{"format", "raw"}, {"format", ""}});
  CHECK(refused(varve_open((dir / "a.raw").c_str(), none.get(), &image, told), told) == VARVE_INVALID_ARGUMENT);
  CHECK(told.message().find("format") != std::string::npos);
  CHECK(refused(varve_create((dir / "b.raw").c_str(), kSize, none.get(), &image, told), told) == VARVE_INVALID_ARGUMENT);
  const std::string from = dir / "a.raw";
  const std::string to = dir / "c.raw";
  CHECK(refused(varve_convert(from.c_str(), none.get(), to.c_str(), raw.get(), nullptr, nullptr, told), told) == VARVE_INVALID_ARGUMENT);
  CHECK(refused(varve_convert(from.c_str(), raw.get(), to.c_str(), none.get(), nullptr, nullptr, told), told) == VARVE_INVALID_ARGUMENT);
}

TEST_CASE("auto recognizes the format for reading") {
  const TempDir dir;
  for (const std::string format : {"raw", "vmdk", "vhdx", "varve"}) {
    CAPTURE(format);
    const std::string path = dir / ("disk." + format);
    close(create(path, 4 * kSize, options({{"format", format}})));
    const Disk disk = open(path, options({{"format", "auto"}}));
    CHECK(info_of(disk, 0, "format") == format);
  }
}

TEST_CASE("auto does not open for writing what a guest could have written") {
  const TempDir dir;
  close(create(dir / "a.raw", kSize, options({{"format", "raw"}})));
  CHECK(open_raw(dir / "a.raw", options({{"format", "auto"}, {"read-only", "off"}})) == VARVE_INVALID_ARGUMENT);
}

TEST_CASE("a default comes back: an image is opened for reading only again") {
  const TempDir dir;
  close(create(dir / "a.raw", kSize, options({{"format", "raw"}})));
  CHECK(varve_is_writable(open(dir / "a.raw", options({{"format", "raw"}, {"read-only", "off"}})).get()) == 1);
  CHECK(varve_is_writable(open(dir / "a.raw", options({{"format", "raw"}, {"read-only", "off"}, {"read-only", ""}})).get()) == 0);
}

TEST_CASE("options of the format go to the format, and come back by an empty value") {
  const TempDir dir;
  close(create(dir / "a.vmdk", kSize, options({{"format", "vmdk"}, {"create.subformat", "monolithicFlat"}})));
  CHECK(info_of(open(dir / "a.vmdk", options({{"format", "vmdk"}})), 0, "subformat") == "monolithicFlat");
  close(create(dir / "b.vmdk", kSize, options({{"format", "vmdk"}, {"create.subformat", "monolithicFlat"}, {"create.subformat", ""}})));
  CHECK(info_of(open(dir / "b.vmdk", options({{"format", "vmdk"}})), 0, "subformat") == "monolithicSparse");
  varve_image* image = nullptr;
  Told told;
  const Options wrong = options({{"format", "vmdk"}, {"create.colour", "blue"}});
  CHECK(refused(varve_create((dir / "c.vmdk").c_str(), kSize, wrong.get(), &image, told), told) == VARVE_INVALID_ARGUMENT);
  CHECK(told.message().find("colour") != std::string::npos);
}

TEST_CASE("options may be changed and given back while an image that was opened with them lives") {
  const TempDir dir;
  close(create(dir / "a.raw", kSize, options({{"format", "raw"}})));
  Options how = options({{"format", "raw"}});
  const Disk disk = open(dir / "a.raw", how);
  Told told;
  must(varve_options_set(how.get(), "format", "vhdx", told), told);
  how.reset();
  CHECK(read(disk, 0, 4096) == Block(4096));
}
