// Images of every format past the host's page cache: the same bytes, for us and for others.
#include <filesystem>

#include "support/bytes.h"
#include "support/host.h"
#include "support/image_kit.h"
#include "support/process.h"
#include "support/shadow_disk.h"
#include "support/test.h"

namespace varve::test {
namespace {

/// Not whole blocks, whatever their size, but whole sectors.
constexpr uint64_t kSize = (6 << 20) + 3 * 512;

OpenOptions options_of(const std::string& format, Cache cache, Access access = Access::read_only) {
  OpenOptions how;
  how.format = format;
  how.access = access;
  how.cache = cache;
  return how;
}

/// And closes it, also its files.
void work_in(Image image, ShadowDisk& model, Rng& rng, uint64_t first_generation) {
  Workload work(image, model, rng);
  work.set_generation(first_generation);
  REQUIRE(work.run(scaled(300)) == "");
  image.close();
}

void expect_same(const std::string& path, const std::string& format, const ShadowDisk& model) {
  for (const Cache cache : {Cache::writeback, Cache::none}) {
    CAPTURE(static_cast<int>(cache));
    Image image = Image::open(path, options_of(format, cache));
    CHECK(model.difference(image) == "");
    CHECK(damages(image) == "");
  }
}

/// Created and written past the cache, then written through it, and past it again.
void write_in_turns(const std::string& path, const std::string& format, const OptionMap& options, ShadowDisk& model, Rng& rng) {
  CreateOptions how;
  how.options = options;
  how.cache = Cache::none;
  work_in(Image::create(path, format, kSize, how), model, rng, 1);
  expect_same(path, format, model);
  for (const Cache cache : {Cache::writeback, Cache::none}) {
    work_in(Image::open(path, options_of(format, cache, Access::read_write)), model, rng, cache == Cache::none ? 2000 : 1000);
    expect_same(path, format, model);
  }
}

TEST_CASE("an image written past the page cache is the same through it and past it, and to qemu-img") {
  NEED_TOOL("qemu-img");
  struct Kind {
    std::string format;
    OptionMap options;
  };
  for (const Kind& kind : {Kind{"raw", {}}, Kind{"varve", {}}, Kind{"varve", {{"compression", "zstd"}}}, Kind{"vmdk", {}},
                           Kind{"vmdk", {{"subformat", "twoGbMaxExtentSparse"}}}, Kind{"vhdx", {}}}) {
    CAPTURE(kind.format);
    const TempDir dir;
    SKIP_IF_ANY(why_no_direct_io(dir.path()));
    Rng rng("direct " + kind.format);
    SHOW_SEED(rng);
    ShadowDisk model(kSize);
    const std::string path = dir / ("image." + kind.format);
    write_in_turns(path, kind.format, kind.options, model, rng);
    write_file(dir / "model", model.bytes());
    if (kind.format != "varve") must_run({"qemu-img", "compare", "-f", kind.format, "-F", "raw", path, dir / "model"});
  }
}

TEST_CASE("a child and its parent are both read past the page cache, and converted past it") {
  const TempDir dir;
  SKIP_IF_ANY(why_no_direct_io(dir.path()));
  Rng rng("direct chain");
  SHOW_SEED(rng);
  ShadowDisk model(kSize);
  CreateOptions create;
  create.cache = Cache::none;
  work_in(Image::create(dir / "base.varve", "varve", kSize, create), model, rng, 1);
  create.parent = "base.varve";
  work_in(Image::create(dir / "child.varve", "varve", std::nullopt, create), model, rng, 1000);
  expect_same(dir / "child.varve", "varve", model);
  ConvertOptions how;
  how.open.cache = how.create.cache = Cache::none;
  convert(dir / "child.varve", dir / "flat.vmdk", how);
  expect_same(dir / "flat.vmdk", "vmdk", model);
}

TEST_CASE("an image whose file system has no direct I/O is refused with Cache::none: its own file, and a parent's") {
  CHECK_ERRC(Image::open("/proc/version", options_of("raw", Cache::none)), Errc::unsupported);
  const TempDir dir;
  CreateOptions create;
  create.parent_format = "raw";
  create.parent = "/proc/version";
  create.cache = Cache::none;
  CHECK_ERRC(Image::create(dir / "a.varve", "varve", 1 << 20, create), Errc::unsupported);
  CHECK(std::filesystem::is_empty(dir.path()));
}

}  // namespace
}  // namespace varve::test
