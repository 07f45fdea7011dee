// convert(): both ends by name, over the toy formats.
#include "io/memory_file_system.h"
#include "support/storages.h"
#include "support/test.h"
#include "unit/ops_kit.h"
#include "unit/toy_format.h"
#include "varve/ops.h"

using namespace varve;
using namespace varve::test;

namespace {

constexpr uint64_t kSize = 300 * 1024 + 512;
constexpr std::byte kFill{0x5A};

/// A disk with data, explicit zeros and nothing.
std::vector<std::byte> make_toy(MemoryFileSystem& files, const std::string& path, const std::string& parent = "") {
  CreateOptions create;
  create.file_system = &files;
  create.parent = parent;
  Image image = Image::create(path, "toy", kSize, create);
  image.write_at(10000, std::vector<std::byte>(50000, kFill));
  image.zero(98304, 65536);
  image.write_at(kSize - 100, std::vector<std::byte>(100, std::byte{7}));
  std::vector<std::byte> bytes = contents_of(image);
  image.close();
  return bytes;
}

ConvertOptions over(MemoryFileSystem& files) {
  ConvertOptions options;
  options.open.file_system = &files;
  options.create.file_system = &files;
  options.source_format = "toy";
  return options;
}

std::vector<std::byte> read_disk(MemoryFileSystem& files, const std::string& path, const std::string& format = "toy") {
  OpenOptions open;
  open.file_system = &files;
  open.format = format;
  Image image = Image::open(path, open);
  return contents_of(image);
}

}  // namespace

TEST_CASE("convert makes a disk of the same contents, in the format of the name or of the option") {
  MemoryFileSystem files;
  const std::vector<std::byte> disk = make_toy(files, "a.toy");
  CHECK(convert("a.toy", "b.any", over(files)).virtual_size == kSize);
  CHECK(read_disk(files, "b.any", "any") == disk);
  ConvertOptions named = over(files);
  named.target_format = "toy";
  convert("a.toy", "c.bin", named);
  CHECK(read_disk(files, "c.bin") == disk);
}

TEST_CASE("a target whose format nobody named is invalid_argument, before anything is opened") {
  MemoryFileSystem files;
  make_toy(files, "a.toy");
  files.forget_calls();
  CHECK_ERRC(convert("a.toy", "b.unknown", over(files)), Errc::invalid_argument);
  CHECK_ERRC(convert("a.toy", "-", over(files)), Errc::invalid_argument);
  ConvertOptions existing = over(files);
  existing.into_existing = true;
  CHECK_ERRC(convert("a.toy", "b.toy", existing), Errc::invalid_argument);
  ConvertOptions unknown = over(files);
  unknown.target_format = "nonsense";
  CHECK_ERRC(convert("a.toy", "b.toy", unknown), Errc::invalid_argument);
  CHECK(files.calls().empty());
}

TEST_CASE("formats that can't stream are unsupported as - on either side") {
  MemoryFileSystem files;
  make_toy(files, "a.toy");
  ConvertOptions options = over(files);
  CHECK_ERRC(convert("-", "b.toy", options), Errc::unsupported);
  options.target_format = "toy";
  CHECK_ERRC(convert("a.toy", "-", options), Errc::unsupported);
  options.source_format.clear();
  CHECK_ERRC(convert("-", "b.toy", options), Errc::invalid_argument);
}

TEST_CASE("source and target may not be the same file, not even with force") {
  MemoryFileSystem files;
  make_toy(files, "a.toy");
  const std::vector<std::byte> before = files.find("a.toy")->contents();
  ConvertOptions options = over(files);
  options.create.force = true;
  CHECK_ERRC(convert("a.toy", "a.toy", options), Errc::invalid_argument);
  CHECK_ERRC(convert("a.toy", "./a.toy", options), Errc::invalid_argument);
  options.target_format = "toy";
  options.into_existing = true;
  CHECK_ERRC(convert("a.toy", "a.toy", options), Errc::invalid_argument);
  CHECK(files.find("a.toy")->contents() == before);
}

TEST_CASE("the parent of the source may not be the target either") {
  MemoryFileSystem files;
  make_toy(files, "base.toy");
  make_toy(files, "a.toy", "base.toy");
  ConvertOptions options = over(files);
  options.create.force = true;
  CHECK_ERRC(convert("a.toy", "base.toy", options), Errc::invalid_argument);
}

TEST_CASE("an existing file is not overwritten without force") {
  MemoryFileSystem files;
  make_toy(files, "a.toy");
  files.add("b.toy");
  CHECK_ERRC(convert("a.toy", "b.toy", over(files)), Errc::exists);
  CHECK(files.find("b.toy")->size() == 0);
}

TEST_CASE("into an existing image: everything it held is replaced") {
  MemoryFileSystem files;
  const std::vector<std::byte> disk = make_toy(files, "a.toy");
  for (const std::string format : {"toy", "any"}) {
    CreateOptions create;
    create.file_system = &files;
    Image old = Image::create("old." + format, format, kSize, create);
    old.write_at(0, std::vector<std::byte>(kSize, std::byte{0xCC}));
    old.close();
    ConvertOptions options = over(files);
    options.into_existing = true;
    options.target_format = format;
    convert("a.toy", "old." + format, options);
    CHECK(read_disk(files, "old." + format, format) == disk);
  }
}

TEST_CASE("a target with a parent reads as the source and stores only what differs") {
  MemoryFileSystem files;
  make_toy(files, "base.toy");
  CreateOptions create;
  create.file_system = &files;
  Image changed = Image::create("a.toy", "toy", kSize, create);
  changed.write_at(10000, std::vector<std::byte>(50000, kFill));      // as in the base
  changed.write_at(70000, std::vector<std::byte>(10, std::byte{1}));  // new
  changed.close();                                                    // and the base's last 100 bytes are zeros here
  const std::vector<std::byte> disk = read_disk(files, "a.toy");
  ConvertOptions options = over(files);
  options.create.parent = "base.toy";
  convert("a.toy", "child.toy", options);
  CHECK(read_disk(files, "child.toy") == disk);
  OpenOptions alone;
  alone.file_system = &files;
  alone.ignore_parent = true;
  alone.format = "toy";
  Image child = Image::open("child.toy", alone);
  uint64_t stored = 0;
  map(child, [&](const Extent& run) { stored += run.kind == ExtentKind::data ? run.length : 0; });
  CHECK(stored > 0);
  CHECK(stored <= 64 * 1024);
  CHECK(child.extent_at(16384).kind == ExtentKind::absent);
}

TEST_CASE("RES-2, RES-3: limits on the disk's size and on the output stop a conversion, and nothing is left") {
  MemoryFileSystem files;
  make_toy(files, "a.toy");
  ConvertOptions small = over(files);
  small.open.limits.virtual_size = kSize - 1;
  CHECK_ERRC(convert("a.toy", "b.toy", small), Errc::limit);
  ConvertOptions target = over(files);
  target.create.limits.virtual_size = kSize - 1;
  CHECK_ERRC(convert("a.toy", "b.toy", target), Errc::limit);
  ConvertOptions output = over(files);
  output.create.limits.output_bytes = 20000;
  CHECK_ERRC(convert("a.toy", "b.any", output), Errc::limit);
  output.create.limits.output_bytes = 80000;
  convert("a.toy", "c.any", output);
  CHECK(files.paths() == std::vector<std::string>{"a.toy", "c.any"});
}

TEST_CASE("a conversion that fails at any call leaves no target and the source as it was") {
  MemoryFileSystem files;
  make_toy(files, "a.toy");
  const std::vector<std::byte> before = files.find("a.toy")->contents();
  for (const FaultKind kind : {FaultKind::io, FaultKind::no_space, FaultKind::torn_write}) {
    for (uint64_t at = 0;; ++at) {
      const auto plan = std::make_shared<FaultPlan>(at, kind);
      FaultyFileSystem faulty(files, plan);
      ConvertOptions options = over(files);
      options.create.file_system = &faulty;
      options.copy.threads = 1;
      bool failed = false;
      try {
        convert("a.toy", "b.any", options);
      } catch (const Error& error) {
        failed = true;
        CHECK((error.code() == Errc::io || error.code() == Errc::no_space));
      }
      CHECK(files.find("a.toy")->contents() == before);
      CHECK((files.find("b.any") == nullptr) == failed);
      files.remove("b.any");
      if (!plan->struck()) break;
    }
  }
}

TEST_CASE("threads: a cancelled conversion leaves no target") {
  MemoryFileSystem files;
  make_toy(files, "a.toy");
  CancelToken cancel;
  ConvertOptions options = over(files);
  options.copy.cancel = &cancel;
  options.copy.progress = [&](uint64_t, uint64_t) { cancel.cancel(); };
  CHECK_ERRC(convert("a.toy", "b.toy", options), Errc::cancelled);
  CHECK(files.find("b.toy") == nullptr);
}
