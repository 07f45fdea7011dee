// Reading and writing: every image behaves as the plain array of bytes that its model is.
#include <algorithm>
#include <array>

#include "conformance/conformance.h"
#include "support/pattern.h"

namespace varve::test {
namespace {

std::vector<std::byte> read_all(Image& image) {
  std::vector<std::byte> out(static_cast<size_t>(image.size()));
  image.read_at(0, out);
  return out;
}

CONFORMANCE_CASE("a new image has its size, its format and no warnings") {
  TestDisk disk(config);
  Image image = disk.open(Access::read_only);
  CHECK(image.size() == config.size);
  CHECK(image.format().name == config.format);
  CHECK_FALSE(image.writable());
  const ImageInfo info = image.info();
  CHECK(info.virtual_size == config.size);
  CHECK(info.format == config.format);
  CHECK(info.path == TestDisk::kPath);
  CHECK(info.warnings.empty());
  CHECK(info.parent.has_value() == config.parent_size.has_value());
  CHECK(image.chain().size() == (config.parent_size ? 2 : 1));
}

CONFORMANCE_CASE("what was never written reads as the parent or as zeros") {
  TestDisk disk(config);
  Image image = disk.open(Access::read_only);
  CHECK(disk.model().difference(image) == "");
  CHECK(damages(image) == "");
}

/// 50,000 for each format, divided among its configurations; a disk of a few bytes has seen everything after 300.
uint64_t random_steps(const ImageConfig& config) {
  constexpr uint64_t kSmall = 4096;
  if (config.size < kSmall) return 300;
  const auto& all = writable_configs();
  const auto sharing = std::count_if(all.begin(), all.end(),
                                     [&](const ImageConfig& other) { return other.format == config.format && other.size >= kSmall; });
  return scaled(50000 / static_cast<uint64_t>(sharing) + 1);
}

CONFORMANCE_CASE("random operations at any byte agree with the model, also after reopening") {
  Rng rng("conformance random " + config.name);
  SHOW_SEED(rng);
  const uint64_t steps = random_steps(config);
  TestDisk disk(config);
  for (uint64_t generation = 0; generation < 3; ++generation) {
    Image image = disk.open();
    Workload work(image, disk.model(), rng);
    work.set_generation(1 + generation * steps);
    REQUIRE(work.run(steps / 3 + 1) == "");
    REQUIRE(disk.model().difference(image) == "");
    image.close();
    Image again = disk.open(Access::read_only);
    REQUIRE(disk.model().difference(again) == "");
    REQUIRE(damages(again) == "");
  }
}

CONFORMANCE_CASE("what was written and closed is there in the next session, and nothing else has changed") {
  TestDisk disk(config);
  if (config.size < 512) return;
  const std::vector<std::byte> data = pattern(0, 7, 512);
  const uint64_t last = (config.size - 512) / 512 * 512;
  Image image = disk.open();
  image.write_at(last, data);
  image.close();
  disk.model().write(last, data);
  Image again = disk.open(Access::read_only);
  CHECK(disk.model().difference(again) == "");
}

CONFORMANCE_CASE("flushed data survives an image that is destroyed without close") {
  TestDisk disk(config);
  if (config.size == 0) return;
  const std::vector<std::byte> data = pattern(0, 9, static_cast<size_t>(std::min<uint64_t>(config.size, 100000)));
  {
    Image image = disk.open();
    image.write_at(0, data);
    image.flush();
  }
  disk.model().write(0, data);
  Image again = disk.open(Access::read_only);
  CHECK(disk.model().difference(again) == "");
  CHECK(damages(again) == "");
}

CONFORMANCE_CASE("an image opened for reading refuses every change and leaves every file bit-identical") {
  TestDisk disk(config);
  const auto before = disk.snapshot();
  {
    Image image = disk.open(Access::read_only);
    const std::array<std::byte, 1> one{};
    if (config.size > 0) {
      CHECK_ERRC(image.write_at(0, one), Errc::permission);
      CHECK_ERRC(image.zero(0, 1), Errc::permission);
      CHECK_ERRC(image.discard(0, 1), Errc::permission);
    }
    CHECK_ERRC(image.resize(config.size + 512), Errc::permission);
    read_all(image);
    image.info();
    damages(image);
    image.close();
  }
  CHECK(disk.snapshot() == before);
}

CONFORMANCE_CASE("opening for writing and closing without a write changes no content") {
  TestDisk disk(config);
  disk.open().close();
  Image image = disk.open(Access::read_only);
  CHECK(disk.model().difference(image) == "");
  CHECK(damages(image) == "");
}

CONFORMANCE_CASE("MEM-21: a range beyond the end is refused for every operation, also where its end overflows") {
  TestDisk disk(config);
  Image image = disk.open();
  const uint64_t size = config.size;
  std::array<std::byte, 2> two{};
  const std::array<uint64_t, 5> offsets = {size, size + 1, size > 0 ? size - 1 : 1, UINT64_MAX, UINT64_MAX - 1};
  for (const uint64_t offset : offsets) {
    INFO("offset " << offset);
    CHECK_ERRC(image.read_at(offset, two), Errc::invalid_argument);
    CHECK_ERRC(image.write_at(offset, two), Errc::invalid_argument);
    CHECK_ERRC(image.zero(offset, 2), Errc::invalid_argument);
    CHECK_ERRC(image.discard(offset, UINT64_MAX), Errc::invalid_argument);
    if (offset >= size) CHECK_ERRC(image.extent_at(offset), Errc::invalid_argument);
  }
  image.read_at(size, MutableBytes());
  image.write_at(size, ConstBytes());
  image.zero(size, 0);
  CHECK(disk.model().difference(image) == "");
}

}  // namespace
}  // namespace varve::test
