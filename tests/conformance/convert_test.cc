// Conversion: to and from raw, through a stream, with any number of threads.
#include "base/random.h"
#include "conformance/conformance.h"
#include "support/pattern.h"
#include "support/secrets.h"

namespace varve::test {
namespace {

void fill_randomly(TestDisk& disk, Rng& rng) {
  Image image = disk.open();
  Workload work(image, disk.model(), rng);
  REQUIRE(work.run(80) == "");
  image.close();
}

ConvertOptions options(TestDisk& disk, const std::string& source_format, const std::string& target_format, unsigned threads = 2) {
  ConvertOptions how;
  how.source_format = source_format;
  how.target_format = target_format;
  how.open.secret = test_key();
  how.open.file_system = &disk.files();
  how.create.secret = how.create.parent_secret = test_key();
  how.create.file_system = &disk.files();
  how.copy.threads = threads;
  return how;
}

void expect_content(TestDisk& disk, const std::string& path, const std::string& format) {
  OpenOptions how;
  how.format = format;
  how.secret = test_key();
  how.file_system = &disk.files();
  Image image = Image::open(path, how);
  CHECK(disk.model().difference(image) == "");
  CHECK(damages(image) == "");
}

CONFORMANCE_CASE("convert to raw and back keeps every byte and leaves the source alone") {
  Rng rng("convert " + config.name);
  SHOW_SEED(rng);
  TestDisk disk(config);
  fill_randomly(disk, rng);
  const auto before = disk.snapshot();
  convert(TestDisk::kPath, "dir/out.raw", options(disk, config.format, "raw"));
  for (const auto& [path, bytes] : before) CHECK(disk.files().find(path)->contents() == bytes);
  expect_content(disk, "dir/out.raw", "raw");
  if (config.format != "raw" && config.size % 512 != 0) return;
  ConvertOptions back = options(disk, "raw", config.format);
  back.create.options = config.options;
  convert("dir/out.raw", "dir/back.img", back);
  expect_content(disk, "dir/back.img", config.format);
}

CONFORMANCE_CASE("convert into a streamOptimized VMDK and out of it keeps every byte") {
  if (config.size % 512 != 0 || config.size == 0) return;  // a VMDK has whole sectors, and at least one
  Rng rng("stream " + config.name);
  SHOW_SEED(rng);
  TestDisk disk(config);
  fill_randomly(disk, rng);
  ConvertOptions to_stream = options(disk, config.format, "vmdk");
  to_stream.create.options = {{"subformat", "streamOptimized"}};
  convert(TestDisk::kPath, "dir/stream.vmdk", to_stream);
  expect_content(disk, "dir/stream.vmdk", "vmdk");
  convert("dir/stream.vmdk", "dir/out.raw", options(disk, "vmdk", "raw"));
  expect_content(disk, "dir/out.raw", "raw");
}

CONFORMANCE_CASE("compare finds an image equal to its conversion, and finds the one byte that was changed") {
  Rng rng("compare " + config.name);
  SHOW_SEED(rng);
  TestDisk disk(config);
  fill_randomly(disk, rng);
  convert(TestDisk::kPath, "dir/out.raw", options(disk, config.format, "raw"));
  OpenOptions how;
  how.format = "raw";
  how.access = Access::read_write;
  how.secret = test_key();
  how.file_system = &disk.files();
  Image copy = Image::open("dir/out.raw", how);
  Image image = disk.open(Access::read_only);
  CHECK(compare(image, copy).same);
  if (config.size == 0) return;
  const uint64_t place = rng.below(config.size);
  const std::byte changed = disk.model().bytes()[place] ^ std::byte{1};
  copy.write_at(place, ConstBytes(&changed, 1));
  const CompareResult result = compare(image, copy);
  CHECK_FALSE(result.same);
  REQUIRE(result.first_difference.has_value());
  CHECK(*result.first_difference == place);
}

CONFORMANCE_CASE("threads: convert gives the same content whatever the number of threads") {
  Rng rng("convert threads " + config.name);
  SHOW_SEED(rng);
  TestDisk disk(config);
  fill_randomly(disk, rng);
  for (const unsigned threads : {1U, 4U}) {
    const std::string path = "dir/out" + std::to_string(threads);
    ConvertOptions how = options(disk, config.format, config.format, threads);
    how.create.options = config.options;
    convert(TestDisk::kPath, path, how);
    expect_content(disk, path, config.format);
  }
}

CONFORMANCE_CASE("convert into an existing image takes new identifiers from the caller's source: the same twice") {
  Rng rng("convert ids " + config.name);
  SHOW_SEED(rng);
  TestDisk disk(config);
  fill_randomly(disk, rng);
  std::vector<std::vector<std::byte>> results;
  for (int round = 0; round < 2; ++round) {
    SeededRandom random(7);
    CreateOptions create;
    create.options = config.options;
    create.secret = test_key();
    create.file_system = &disk.files();
    create.random = &random;
    create.force = round > 0;
    Image::create("dir/target.img", config.format, config.size, create).close();
    ConvertOptions how = options(disk, config.format, config.format);
    how.into_existing = true;
    how.create.random = &random;
    convert(TestDisk::kPath, "dir/target.img", how);
    results.push_back(disk.files().find("dir/target.img")->contents());
  }
  CHECK((results[0] == results[1]));
}

}  // namespace
}  // namespace varve::test
