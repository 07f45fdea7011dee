// Files that an image names: by path and by the caller's resolver, and who refuses them.
#include <cerrno>
#include <fstream>

#include "capi/kit.h"
#include "support/test.h"

using namespace varve::test;

namespace {

constexpr uint64_t kSize = 1 << 20;

/// The caller's files by name, and what was asked for.
struct Shelf {
  std::map<std::string, MemoryFile> files;
  std::vector<std::pair<std::string, unsigned>> asked;
  int refuse_with = 0;
  bool give_nothing = false;

  static int resolve(void* user, const char* name, unsigned flags, varve_storage** storage) {
    Shelf& self = *static_cast<Shelf*>(user);
    self.asked.emplace_back(name, flags);
    if (self.refuse_with != 0) return self.refuse_with;
    if (self.give_nothing) return 0;
    if ((flags & VARVE_RESOLVE_CREATE) == 0 && self.files.count(name) == 0) return ENOENT;
    *storage = self.files[name].storage(name).release();
    return 0;
  }
  Options options_with(NamesAndValues values) {
    Options all = options(values);
    varve_options_on_resolve(all.get(), resolve, this);
    return all;
  }
};

int refusal(const File& file, const Options& how, Told& told) {
  varve_image* image = nullptr;
  const int code = refused(varve_open_storage(file.get(), how.get(), &image, told), told);
  CHECK(image == nullptr);
  return code;
}

int refusal(const std::string& path, const Options& how) {
  varve_image* image = nullptr;
  Told told;
  return refused(varve_open(path.c_str(), how.get(), &image, told), told);
}

/// base.FORMAT with a pattern, and child.FORMAT over it, in a directory.
void make_pair(const TempDir& dir, const std::string& format) {
  const std::string base = "base." + format;
  Disk disk = create(dir / base, kSize, options({{"format", format}}));
  write(disk, 0, pattern(0, kSize));
  close(std::move(disk));
  close(create(dir / ("child." + format), UINT64_MAX, options({{"format", format}, {"parent", base}})));
}

void load(MemoryFile& into, const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  into.set_bytes({std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()});
}

}  // namespace

TEST_CASE("an image of several files is made and read through the resolver") {
  for (const std::string subformat : {"monolithicFlat", "twoGbMaxExtentSparse", "twoGbMaxExtentFlat"}) {
    CAPTURE(subformat);
    Shelf shelf;
    MemoryFile descriptor;
    const File file = descriptor.storage("disk.vmdk");
    Disk disk = create(file, kSize, shelf.options_with({{"format", "vmdk"}, {"create.subformat", subformat}}));
    REQUIRE(shelf.asked.size() == 1);
    CHECK(shelf.asked[0].second == (VARVE_RESOLVE_WRITE | VARVE_RESOLVE_CREATE));
    write(disk, 0, pattern(0, 200000));
    close(std::move(disk));
    shelf.asked.clear();
    disk = open(file, shelf.options_with({{"format", "vmdk"}}));
    REQUIRE(shelf.asked.size() == 1);
    CHECK(shelf.files.count(shelf.asked[0].first) == 1);
    CHECK(shelf.asked[0].second == 0);
    CHECK(read(disk, 0, 200000) == pattern(0, 200000));
    shelf.asked.clear();
    disk = open(file, shelf.options_with({{"format", "vmdk"}, {"read-only", "off"}}));
    CHECK(shelf.asked.at(0).second == VARVE_RESOLVE_WRITE);
    disk.reset();
    CHECK(shelf.files.begin()->second.released() == 3);
    CHECK(descriptor.released() == 0);
  }
}

TEST_CASE("without a resolver, and by policy, no other file is asked for") {
  Shelf shelf;
  MemoryFile descriptor;
  const File file = descriptor.storage("disk.vmdk");
  close(create(file, kSize, shelf.options_with({{"format", "vmdk"}, {"create.subformat", "monolithicFlat"}})));
  Told told;
  CHECK(refusal(file, options({{"format", "vmdk"}}), told) == VARVE_PERMISSION);
  CHECK(told.message().find("resolver") != std::string::npos);
  shelf.asked.clear();
  CHECK(refusal(file, shelf.options_with({{"format", "vmdk"}, {"references", "none"}}), told) == VARVE_PERMISSION);
  CHECK(shelf.asked.empty());
  varve_image* image = nullptr;
  MemoryFile other;
  const Options how = options({{"format", "vmdk"}, {"create.subformat", "monolithicFlat"}});
  CHECK(refused(varve_create_storage(other.storage("o.vmdk").get(), kSize, how.get(), &image, told), told) == VARVE_PERMISSION);
}

TEST_CASE("a hostile name does not get through to the resolver unless the policy says any") {
  for (const std::string name : {"../../etc/shadow", "/etc/shadow", "nbd://host/x"}) {
    CAPTURE(name);
    const std::string text =
        "# Disk DescriptorFile\nversion=1\nCID=fffffffe\nparentCID=ffffffff\ncreateType=\"monolithicFlat\"\n\nRW 2048 FLAT \"" + name +
        "\" 0\n\nddb.adapterType = \"ide\"\nddb.geometry.cylinders = \"2\"\n";
    MemoryFile descriptor;
    descriptor.set_bytes(Block(text.begin(), text.end()));
    const File file = descriptor.storage("disk.vmdk");
    Shelf shelf;
    shelf.files[name].set_bytes(pattern(0, kSize));
    Told told;
    CHECK(refusal(file, shelf.options_with({{"format", "vmdk"}}), told) == VARVE_PERMISSION);
    CHECK(shelf.asked.empty());
    const Disk disk = open(file, shelf.options_with({{"format", "vmdk"}, {"references", "any"}}));
    REQUIRE(shelf.asked.size() == 1);
    CHECK(shelf.asked[0].first == name);
    CHECK(read(disk, 0, kSize) == pattern(0, kSize));
  }
}

TEST_CASE("what the resolver refuses, or does not give, is the caller's to read") {
  Shelf shelf;
  MemoryFile descriptor;
  const File file = descriptor.storage("disk.vmdk");
  close(create(file, kSize, shelf.options_with({{"format", "vmdk"}, {"create.subformat", "monolithicFlat"}})));
  Told told;
  shelf.refuse_with = ENOENT;
  CHECK(refusal(file, shelf.options_with({{"format", "vmdk"}}), told) == VARVE_NOT_FOUND);
  shelf.refuse_with = EACCES;
  CHECK(refusal(file, shelf.options_with({{"format", "vmdk"}}), told) == VARVE_PERMISSION);
  shelf.refuse_with = EIO;
  CHECK(refusal(file, shelf.options_with({{"format", "vmdk"}}), told) == VARVE_IO);
  shelf.refuse_with = 0;
  shelf.give_nothing = true;
  CHECK(refusal(file, shelf.options_with({{"format", "vmdk"}}), told) == VARVE_INVALID_ARGUMENT);
}

TEST_CASE("a chain of parents is resolved name by name, and read through") {
  for (const std::string format : {"vmdk", "varve", "vhdx"}) {
    CAPTURE(format);
    const TempDir dir;
    make_pair(dir, format);
    const std::string base = "base." + format;
    Shelf shelf;
    load(shelf.files[base], dir / base);
    MemoryFile child;
    load(child, dir / ("child." + format));
    const File file = child.storage("child");
    const Disk disk = open(file, shelf.options_with({{"format", format}, {"read-only", "off"}}));
    REQUIRE_FALSE(shelf.asked.empty());
    CHECK(shelf.asked.back() == std::pair<std::string, unsigned>(base, 0));
    CHECK(read(disk, 0, kSize) == pattern(0, kSize));
    CHECK(info_of(disk, 1, "format") == format);
    const Disk alone = open(file, options({{"format", format}, {"ignore-parent", "on"}}));
    CHECK(read(alone, 0, kSize) == Block(kSize));
  }
}

TEST_CASE("by path: none refuses a parent, inside finds the one beside the image, any also one elsewhere") {
  for (const std::string format : {"vmdk", "varve"}) {
    CAPTURE(format);
    const TempDir dir;
    const TempDir elsewhere;
    make_pair(dir, format);
    const std::string child = dir / ("child." + format);
    CHECK(refusal(child, options({{"format", format}, {"references", "none"}})) == VARVE_PERMISSION);
    CHECK(read(open(child, options({{"format", format}})), 0, kSize) == pattern(0, kSize));
    const std::string far = elsewhere / "far";
    const std::string base = dir / ("base." + format);
    close(create(far, UINT64_MAX, options({{"format", format}, {"parent", base}})));
    CHECK(refusal(far, options({{"format", format}})) == VARVE_PERMISSION);
    CHECK(read(open(far, options({{"format", format}, {"references", "any"}})), 0, kSize) == pattern(0, kSize));
    // Or the caller names it.
    CHECK(read(open(far, options({{"format", format}, {"parent", base}})), 0, kSize) == pattern(0, kSize));
  }
}

TEST_CASE("a chain that is deeper than allowed is limit") {
  const TempDir dir;
  make_pair(dir, "vmdk");
  CHECK(refusal(dir / "child.vmdk", options({{"format", "vmdk"}, {"max-chain-depth", "1"}})) == VARVE_LIMIT);
  CHECK(open(dir / "child.vmdk", options({{"format", "vmdk"}, {"max-chain-depth", "2"}})) != nullptr);
}
