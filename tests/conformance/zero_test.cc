// Zeroing, discarding and the map of extents.
#include "conformance/conformance.h"
#include "support/pattern.h"

namespace varve::test {
namespace {

void fill(Image& image, ShadowDisk& model, uint64_t generation) {
  const std::vector<std::byte> data = pattern(0, generation, static_cast<size_t>(model.size()));
  image.write_at(0, data);
  model.write(0, data);
}

CONFORMANCE_CASE("WRT-8: zeroed ranges read as zeros whatever the parent holds, at any alignment") {
  Rng rng("zero " + config.name);
  SHOW_SEED(rng);
  TestDisk disk(config);
  Image image = disk.open();
  for (int i = 0; i < 40 && config.size > 0; ++i) {
    const uint64_t offset = rng.below(config.size);
    const uint64_t length = rng.one_in(4) ? config.size - offset : std::min(config.size - offset, rng.below(200000));
    image.zero(offset, length);
    disk.model().zero(offset, length);
    REQUIRE(disk.model().difference(image) == "");
  }
  image.close();
  Image again = disk.open(Access::read_only);
  CHECK(disk.model().difference(again) == "");
  CHECK(damages(again) == "");
}

CONFORMANCE_CASE("WRT-8: a discarded range never shows the parent or older data, now and after reopening") {
  Rng rng("discard " + config.name);
  SHOW_SEED(rng);
  TestDisk disk(config);
  if (config.size == 0) return;
  Image image = disk.open();
  fill(image, disk.model(), 21);
  for (int i = 0; i < 40; ++i) {
    const uint64_t offset = rng.below(config.size);
    const uint64_t length = std::min(config.size - offset, rng.below(300000));
    image.discard(offset, length);
    std::vector<std::byte> now(static_cast<size_t>(length));
    image.read_at(offset, now);
    REQUIRE_FALSE(disk.model().settle_discard(offset, now).has_value());
    REQUIRE(disk.model().difference(image) == "");
  }
  image.close();
  Image again = disk.open(Access::read_only);
  CHECK(disk.model().difference(again) == "");
  CHECK(damages(again) == "");
}

CONFORMANCE_CASE("the whole disk zeroed reads as zeros, and can be written again") {
  TestDisk disk(config);
  Image image = disk.open();
  if (config.size > 0) fill(image, disk.model(), 3);
  image.zero(0, config.size);
  disk.model().zero(0, config.size);
  CHECK(disk.model().difference(image) == "");
  if (config.size > 0) fill(image, disk.model(), 4);
  image.close();
  Image again = disk.open(Access::read_only);
  CHECK(disk.model().difference(again) == "");
}

CONFORMANCE_CASE("extents tile the disk without a gap, and zero or absent ones read as they say") {
  Rng rng("extents " + config.name);
  SHOW_SEED(rng);
  TestDisk disk(config);
  Image image = disk.open();
  Workload work(image, disk.model(), rng);
  REQUIRE(work.run(60) == "");
  uint64_t at = 0;
  while (at < config.size) {
    const Extent run = image.extent_at(at);
    REQUIRE(run.offset == at);
    REQUIRE(run.length > 0);
    REQUIRE(run.length <= config.size - at);
    REQUIRE(run.depth <= (config.parent_size ? 1 : 0));
    const ConstBytes content = disk.model().bytes(at, run.length);
    const bool zeros = std::all_of(content.begin(), content.end(), [](std::byte b) { return b == std::byte{0}; });
    if (run.kind != ExtentKind::data)
      REQUIRE_MESSAGE(zeros, "a run of kind " << extent_kind_name(run.kind) << " at " << at << " holds data");
    at += run.length;
  }
  CHECK(at == config.size);
}

CONFORMANCE_CASE("the map visits maximal runs that agree with asking for each extent") {
  Rng rng("map " + config.name);
  SHOW_SEED(rng);
  TestDisk disk(config);
  Image image = disk.open();
  Workload work(image, disk.model(), rng);
  REQUIRE(work.run(60) == "");
  uint64_t at = 0;
  std::optional<Extent> previous;
  map(image, [&](const Extent& run) {
    REQUIRE(run.offset == at);
    REQUIRE(image.extent_at(at).kind == run.kind);
    const bool merges = previous && previous->kind == run.kind && previous->depth == run.depth && run.kind != ExtentKind::data;
    CHECK_MESSAGE(!merges, "two runs of kind " << extent_kind_name(run.kind) << " meet at " << at);
    at += run.length;
    previous = run;
  });
  CHECK(at == config.size);
}

CONFORMANCE_CASE("plain data lies in the file where its extent says") {
  TestDisk disk(config);
  if (config.size < 512) return;
  {
    Image image = disk.open();
    fill(image, disk.model(), 5);
    image.close();
  }
  Image image = disk.open(Access::read_only);
  const std::vector<std::string> names = image.info().files;
  for (uint64_t at = 0; at < config.size;) {
    const Extent run = image.extent_at(at);
    if (run.kind == ExtentKind::data && run.host_offset && !run.compressed) {
      REQUIRE(run.host_file < names.size());
      const std::string& name = names[run.host_file];
      auto file = disk.files().find(name);
      if (file == nullptr) file = disk.files().find("dir/" + name);
      REQUIRE_MESSAGE(file != nullptr, "no file " << name);
      std::vector<std::byte> stored(static_cast<size_t>(std::min<uint64_t>(run.length, 4096)));
      file->read_at(*run.host_offset, stored);
      REQUIRE(describe_difference(at, stored, disk.model().bytes(at, stored.size())) == "");
    }
    at += run.length;
  }
}

}  // namespace
}  // namespace varve::test
