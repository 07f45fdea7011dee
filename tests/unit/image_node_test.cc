// The contract that every image keeps, whatever its driver.
#include <vector>

#include "io/memory_file_system.h"
#include "support/test.h"
#include "unit/toy_format.h"
#include "varve/image.h"

using namespace varve;

namespace {

std::vector<std::byte> filled(uint64_t length, int value) { return std::vector<std::byte>(length, static_cast<std::byte>(value)); }

Image new_toy(MemoryFileSystem& files, uint64_t size) {
  CreateOptions create;
  create.file_system = &files;
  return Image::create("a.toy", "toy", size, create);
}

/// Forwards all, but flush() fails from the second call on.
class DyingStorage final : public Storage {
 public:
  explicit DyingStorage(std::shared_ptr<Storage> below) : below_(std::move(below)) {}
  const std::string& name() const noexcept override { return below_->name(); }
  uint64_t size() const override { return below_->size(); }
  void read_at(uint64_t offset, MutableBytes out) override { below_->read_at(offset, out); }
  void write_at(uint64_t offset, ConstBytes data) override { below_->write_at(offset, data); }
  void flush() override {
    if (++flushes_ > 1) throw Error(Errc::io, "cannot flush");
  }
  void resize(uint64_t size) override { below_->resize(size); }

 private:
  const std::shared_ptr<Storage> below_;
  int flushes_ = 0;
};

}  // namespace

TEST_CASE("MEM-21: a range outside the disk is refused for every operation, and overflow does not help") {
  MemoryFileSystem files;
  Image image = new_toy(files, 10000);
  const uint64_t top = UINT64_MAX;
  std::vector<std::byte> buffer(100);
  for (const uint64_t offset : {uint64_t{9901}, uint64_t{10000}, top - 50, top}) {
    CHECK_ERRC(image.read_at(offset, buffer), Errc::invalid_argument);
    CHECK_ERRC(image.write_at(offset, buffer), Errc::invalid_argument);
    CHECK_ERRC(image.zero(offset, 100), Errc::invalid_argument);
    CHECK_ERRC(image.discard(offset, 100), Errc::invalid_argument);
  }
  CHECK_ERRC(image.extent_at(10000), Errc::invalid_argument);
  CHECK_ERRC(image.zero(1, top), Errc::invalid_argument);
  image.read_at(9900, buffer);
  image.read_at(10000, {});
}

TEST_CASE("zero() reaches the driver in whole units and writes only the edges that hold data") {
  MemoryFileSystem files;
  Image image = new_toy(files, 10000);
  image.write_at(0, filled(10000, 5));
  image.zero(100, 9900);
  std::vector<std::byte> bytes(10000);
  image.read_at(0, bytes);
  std::vector<std::byte> expected = filled(10000, 0);
  std::fill_n(expected.begin(), 100, std::byte{5});
  CHECK(bytes == expected);
  CHECK(image.extent_at(0).kind == ExtentKind::data);
  CHECK(image.extent_at(4096).kind == ExtentKind::zero);
  CHECK(image.extent_at(4096).length == 10000 - 4096);

  Image empty = new_toy(files, 10000);
  empty.zero(100, 300);
  CHECK(empty.extent_at(0).kind == ExtentKind::absent);
}

TEST_CASE("what is open for reading is not written, resized or repaired") {
  MemoryFileSystem files;
  new_toy(files, 8192).close();
  OpenOptions options;
  options.file_system = &files;
  Image image = Image::open("a.toy", options);
  CHECK_FALSE(image.writable());
  CHECK_ERRC(image.write_at(0, filled(1, 1)), Errc::permission);
  CHECK_ERRC(image.zero(0, 1), Errc::permission);
  CHECK_ERRC(image.discard(0, 1), Errc::permission);
  CHECK_ERRC(image.resize(4096), Errc::permission);
  CHECK_ERRC(image.check({.repair = Repair::safe}), Errc::permission);
  CHECK_ERRC(image.check(), Errc::unsupported);
  image.flush();
  image.close();
}

TEST_CASE("WRT-11: after a failed flush nothing is written, flushed or closed as if it were whole") {
  MemoryFileSystem files;
  new_toy(files, 8192).close();
  OpenOptions options;
  options.access = Access::read_write;
  options.format = "toy";
  Image image = Image::open(std::make_shared<DyingStorage>(files.find("a.toy")), options);
  image.write_at(0, filled(10, 1));
  image.flush();
  CHECK_ERRC(image.flush(), Errc::io);
  CHECK_ERRC(image.flush(), Errc::io);
  CHECK_ERRC(image.write_at(0, filled(10, 2)), Errc::io);
  CHECK_ERRC(image.close(), Errc::io);
  std::vector<std::byte> bytes(10);
  image.read_at(0, bytes);
  CHECK(bytes == filled(10, 1));
}

TEST_CASE("errors name the file") {
  MemoryFileSystem files;
  files.add("b.toy", filled(4096, 0));
  OpenOptions options;
  options.file_system = &files;
  options.format = "toy";
  try {
    Image::open("b.toy", options);
    FAIL_CHECK("opened");
  } catch (const Error& error) {
    CHECK(error.path() == "b.toy");
  }
}
