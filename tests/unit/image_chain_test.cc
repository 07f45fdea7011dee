// Detection, chains and creation.
#include <algorithm>
#include <vector>

#include "io/memory_file_system.h"
#include "support/bytes.h"
#include "support/test.h"
#include "unit/toy_format.h"
#include "varve/image.h"

using namespace varve;
using varve::test::contents_of;

namespace {

struct Fixture {
  MemoryFileSystem files;

  OpenOptions how(Access access = Access::read_only) {
    OpenOptions options;
    options.file_system = &files;
    options.access = access;
    if (access == Access::read_write) options.format = "toy";
    return options;
  }

  void create(const std::string& path, uint64_t size, const OptionMap& options = {}, const std::string& parent = "") {
    CreateOptions create;
    create.file_system = &files;
    create.options = options;
    create.parent = parent;
    create.limits.chain_depth = 100;
    Image::create(path, "toy", parent.empty() ? std::optional(size) : std::nullopt, create).close();
  }

  void fill(const std::string& path, uint64_t offset, uint64_t length, std::byte value) {
    Image image = Image::open(path, how(Access::read_write));
    image.write_at(offset, std::vector<std::byte>(length, value));
    image.close();
  }
};

}  // namespace

TEST_CASE_FIXTURE(Fixture, "probing finds the signature, and takes the fallback only where there is none") {
  create("a.toy", 8192);
  CHECK(Image::open("a.toy", how()).format().name == "toy");
  files.add("b", std::vector<std::byte>(512));
  CHECK(Image::open("b", how()).format().name == "any");
  files.add("empty");
  CHECK(Image::open("empty", how()).size() == 0);
}

TEST_CASE_FIXTURE(Fixture, "PRB-5: two signatures in one file are refused until the user names the format") {
  create("a.toy", 8192, {{"twin", "on"}});
  CHECK_ERRC(Image::open("a.toy", how()), Errc::invalid_argument);
  OpenOptions named = how();
  named.format = "toy";
  CHECK(Image::open("a.toy", named).size() == 8192);
}

TEST_CASE_FIXTURE(Fixture, "PRB-3: an image is written to only under a format that was named") {
  create("a.toy", 8192);
  files.add("b", std::vector<std::byte>(512));
  for (const char* path : {"a.toy", "b"}) {
    OpenOptions options = how();
    options.access = Access::read_write;
    CHECK_ERRC(Image::open(path, options), Errc::invalid_argument);
  }
  OpenOptions wrong = how(Access::read_write);
  CHECK_ERRC(Image::open("b", wrong), Errc::corrupt);
}

TEST_CASE_FIXTURE(Fixture, "a layer shows what it holds over its parents, and zeros hide them") {
  create("base.toy", 40960);
  fill("base.toy", 0, 40960, std::byte{1});
  create("mid.toy", 0, {}, "base.toy");
  fill("mid.toy", 4096, 8192, std::byte{2});
  create("top.toy", 0, {}, "mid.toy");
  {
    Image top = Image::open("top.toy", how(Access::read_write));
    top.zero(8192, 4096 + 100);
    top.write_at(20000, std::vector<std::byte>(10, std::byte{3}));
    top.close();
  }
  Image top = Image::open("top.toy", how());
  std::vector<std::byte> expected(40960, std::byte{1});
  std::fill_n(expected.begin() + 4096, 8192, std::byte{2});
  std::fill_n(expected.begin() + 8192, 4196, std::byte{0});
  std::fill_n(expected.begin() + 20000, 10, std::byte{3});
  CHECK(contents_of(top) == expected);
  CHECK(top.chain().size() == 3);

  std::vector<std::pair<uint64_t, uint32_t>> runs;  // length, depth
  for (uint64_t at = 0; at < top.size();) {
    const Extent run = top.extent_at(at);
    CHECK(run.offset == at);
    runs.emplace_back(run.length, run.depth);
    at += run.length;
  }
  const std::vector<std::pair<uint64_t, uint32_t>> tiled = {{4096, 2}, {4096, 1}, {4096, 0}, {8192, 0}, {20480, 2}};
  CHECK(runs.size() == tiled.size());
  CHECK(std::equal(runs.begin(), runs.end(), tiled.begin(), tiled.end()));

  OpenOptions alone = how();
  alone.ignore_parent = true;
  Image layer = Image::open("top.toy", alone);
  CHECK(layer.extent_at(0).kind == ExtentKind::absent);
  CHECK(contents_of(layer)[0] == std::byte{0});
}

TEST_CASE_FIXTURE(Fixture, "growing over a larger parent does not uncover it") {
  create("base.toy", 8192);
  create("top.toy", 0, {}, "base.toy");
  {
    Image top = Image::open("top.toy", how(Access::read_write));
    top.resize(4096);
    top.close();
  }
  fill("base.toy", 0, 8192, std::byte{7});
  Image top = Image::open("top.toy", how(Access::read_write));
  top.resize(12288);
  std::vector<std::byte> bytes = contents_of(top);
  CHECK(bytes[4095] == std::byte{7});
  CHECK(std::all_of(bytes.begin() + 4096, bytes.end(), [](std::byte b) { return b == std::byte{0}; }));
}

TEST_CASE_FIXTURE(Fixture, "RES-4: a chain that returns to itself, or is too deep, is refused") {
  create("0.toy", 4096);
  for (int i = 1; i <= 33; ++i) create(std::to_string(i) + ".toy", 0, {}, std::to_string(i - 1) + ".toy");
  CHECK(Image::open("31.toy", how()).chain().size() == 32);
  CHECK_ERRC(Image::open("32.toy", how()), Errc::limit);
  OpenOptions deeper = how();
  deeper.limits.chain_depth = 100;
  CHECK(Image::open("33.toy", deeper).chain().size() == 34);

  files.add("0.toy", files.find("2.toy"));
  CHECK_ERRC(Image::open("2.toy", how()), Errc::corrupt);
}

TEST_CASE_FIXTURE(Fixture, "WRT-12: a missing parent or one that is not the same is an error") {
  create("base.toy", 4096, {{"identity", "first"}});
  create("top.toy", 0, {}, "base.toy");
  create("other.toy", 4096, {{"identity", "second"}});
  OpenOptions options = how();
  options.parent = "other.toy";
  CHECK_ERRC(Image::open("top.toy", options), Errc::corrupt);
  files.add("moved.toy", files.find("base.toy"));
  files.remove("base.toy");
  CHECK_ERRC(Image::open("top.toy", how()), Errc::not_found);
  options.parent = "moved.toy";
  CHECK(Image::open("top.toy", options).chain().size() == 2);
  options.ignore_parent = true;
  options.parent.clear();
  CHECK(Image::open("top.toy", options).chain().size() == 1);
}

TEST_CASE_FIXTURE(Fixture, "REF-1: under the policy none a parent is refused and no file is touched") {
  create("base.toy", 4096);
  create("top.toy", 0, {}, "base.toy");
  files.forget_calls();
  OpenOptions options = how();
  options.references = References::none;
  CHECK_ERRC(Image::open("top.toy", options), Errc::permission);
  CHECK(files.calls().size() == 1);
}

TEST_CASE_FIXTURE(Fixture, "a created image has no name before it is closed, and none if it is not") {
  CreateOptions create;
  create.file_system = &files;
  {
    Image image = Image::create("a.toy", "toy", 4096, create);
    CHECK(files.find("a.toy") == nullptr);
  }
  CHECK(files.paths().empty());
  Image image = Image::create("a.toy", "toy", 4096, create);
  image.write_at(0, std::vector<std::byte>(16, std::byte{9}));
  image.close();
  CHECK(files.find("a.toy") != nullptr);
  CHECK_ERRC(image.write_at(0, std::vector<std::byte>(1)), Errc::permission);
  CHECK_ERRC(Image::create("a.toy", "toy", 4096, create).close(), Errc::exists);
  create.force = true;
  Image::create("a.toy", "toy", 8192, create).close();
  CHECK(Image::open("a.toy", how()).size() == 8192);
}

TEST_CASE_FIXTURE(Fixture, "creating needs a size, and a parent's will do") {
  CreateOptions create;
  create.file_system = &files;
  CHECK_ERRC(Image::create("a.toy", "toy", std::nullopt, create), Errc::invalid_argument);
  create.limits.virtual_size = 4096;
  CHECK_ERRC(Image::create("a.toy", "toy", 4097, create), Errc::limit);
  create.parent = "none.toy";
  CHECK_ERRC(Image::create("a.toy", "toy", std::nullopt, create), Errc::not_found);
  CHECK_ERRC(Image::create("a.any", "any", std::nullopt, create), Errc::unsupported);
}
