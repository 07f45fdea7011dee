// Creating, growing, failing and closing.
#include "conformance/conformance.h"
#include "support/pattern.h"
#include "support/storages.h"

namespace varve::test {
namespace {

CONFORMANCE_CASE("an image that exists is not replaced without force, and with force it is") {
  TestDisk disk(config);
  const auto before = disk.snapshot();
  CreateOptions how = disk.create_options();
  CHECK_ERRC(Image::create(TestDisk::kPath, config.format, config.size, how).close(), Errc::exists);
  CHECK(disk.snapshot() == before);
  how.force = true;
  Image::create(TestDisk::kPath, config.format, config.size, how).close();
  Image image = disk.open(Access::read_only);
  CHECK(ShadowDisk(config.size, disk.parent_model()).difference(image) == "");
}

CONFORMANCE_CASE("a created image that is given up leaves no file") {
  TestDisk disk(config);
  const std::vector<std::string> before = disk.files().paths();
  {
    Image image = Image::create("dir/other.img", config.format, config.size, disk.create_options());
    if (config.size > 0) image.write_at(0, pattern(0, 1, 1));
  }
  CHECK(disk.files().paths() == before);
  Image image = Image::create("dir/other.img", config.format, config.size, disk.create_options());
  image.abort();
  CHECK(disk.files().paths() == before);
}

CONFORMANCE_CASE("a closed image, opened or created, is closed for good: it still reads, and whatever would change it is refused") {
  TestDisk disk(config);
  Image opened = disk.open();
  Image created = Image::create("dir/other.img", config.format, config.size, disk.create_options());
  if (config.size != 0) {
    opened.write_at(0, pattern(0, 1, 1));
    created.write_at(0, pattern(0, 1, 1));
    disk.model().write(0, pattern(0, 1, 1));
  }
  for (Image* image : {&opened, &created}) {
    image->close();
    const auto before = disk.snapshot();
    image->close();
    CHECK_ERRC(image->write_at(0, {}), Errc::permission);
    CHECK_ERRC(image->zero(0, 0), Errc::permission);
    CHECK_ERRC(image->discard(0, 0), Errc::permission);
    CHECK_ERRC(image->flush(), Errc::permission);
    CHECK_ERRC(image->resize(config.size + 512), Errc::permission);
    CHECK_ERRC(image->check({.repair = Repair::safe}), Errc::permission);
    CHECK(disk.model().difference(*image) == "");
    image->abort();
    CHECK(disk.snapshot() == before);
  }
}

CONFORMANCE_CASE("what is written while an image is being created is there when it is published") {
  TestDisk disk(config);
  Image image = Image::create("dir/other.img", config.format, config.size, disk.create_options());
  Rng rng("create " + config.name);
  SHOW_SEED(rng);
  Workload work(image, disk.model(), rng);
  REQUIRE(work.run(60) == "");
  image.close();
  Image again = Image::open("dir/other.img", disk.open_options(Access::read_only));
  CHECK(disk.model().difference(again) == "");
  CHECK(damages(again) == "");
}

CONFORMANCE_CASE("growing adds zeros, keeps the rest, and survives reopening") {
  TestDisk disk(config);
  Rng rng("grow " + config.name);
  SHOW_SEED(rng);
  Image image = disk.open();
  Workload work(image, disk.model(), rng);
  REQUIRE(work.run(30) == "");
  for (const uint64_t more : {uint64_t{512}, uint64_t{512} * 129, uint64_t{5} << 20}) {
    const uint64_t size = (disk.model().size() + more + config.sector - 1) / config.sector * config.sector;
    try {
      image.resize(size);
    } catch (const Error& error) {
      CHECK(error.code() == Errc::unsupported);
      CHECK(disk.model().difference(image) == "");
      return;
    }
    disk.model().resize(size);
    REQUIRE(disk.model().difference(image) == "");
    Workload more_work(image, disk.model(), rng);
    more_work.set_generation(size);
    REQUIRE(more_work.run(30) == "");
  }
  image.close();
  Image again = disk.open(Access::read_only);
  CHECK(disk.model().difference(again) == "");
  CHECK(damages(again) == "");
}

CONFORMANCE_CASE("WRT-11: after a flush that failed nothing can be written, and reopening shows a sound image") {
  TestDisk disk(config);
  if (config.size == 0) return;
  const auto plan = std::make_shared<FaultPlan>(0, FaultKind::io, false, Hit::flush);
  FaultyFileSystem faulty(disk.files(), plan);
  disk.through = &faulty;
  {
    Image image = disk.open();
    const std::vector<std::byte> data = pattern(0, 5, 1);
    bool failed = false;
    for (int i = 0; i < 3 && !failed; ++i) {
      try {
        image.write_at(0, data);
        image.flush();
      } catch (const Error& error) {
        CHECK(error.code() == Errc::io);
        failed = true;
      }
    }
    REQUIRE(failed);
    CHECK_ERRC(image.write_at(0, data), Errc::io);
    CHECK_ERRC(image.zero(0, 1), Errc::io);
    CHECK_ERRC(image.flush(), Errc::io);
  }
  disk.through = nullptr;
  Image again = disk.open(Access::read_only);
  std::vector<std::byte> now(static_cast<size_t>(config.size));
  again.read_at(0, now);
  CHECK(damages(again) == "");
}

CONFORMANCE_CASE("PRB-3: without a declared format an image is opened for writing only on a signature no guest can write") {
  TestDisk disk(config);
  OpenOptions how = disk.open_options();
  how.format.clear();
  if (config.format == "raw") {
    CHECK_ERRC(disk.open(how), Errc::invalid_argument);
    how.access = Access::read_only;
    Image image = disk.open(how);
    CHECK(image.format().name == "raw");
    return;
  }
  try {
    Image image = disk.open(how);
    CHECK(image.format().name == config.format);
  } catch (const Error& error) {
    CHECK(error.code() == Errc::invalid_argument);
  }
  how.access = Access::read_only;
  CHECK(disk.open(how).format().name == config.format);
}

}  // namespace
}  // namespace varve::test
