// The host's file system is full: what was written stays, and writing goes on when there is room again.
#include <algorithm>
#include <atomic>
#include <limits>
#include <memory>
#include <string>
#include <vector>

#include "io/memory_file_system.h"
#include "support/storages.h"
#include "support/test.h"
#include "vmdk/images.h"

namespace varve::test {
namespace {

constexpr uint64_t kGrain = 65536;
constexpr uint64_t kEverything = std::numeric_limits<uint64_t>::max();

/// A host on which no file may become larger than a bound that changes. What still fits is written, as by a real write().
class FullHost final : public WrappingFileSystem {
 public:
  explicit FullHost(FileSystem& below)
      : WrappingFileSystem(below, [this](std::shared_ptr<Storage> file) { return std::make_shared<File>(std::move(file), bound); }) {}

  std::atomic<uint64_t> bound{kEverything};

 private:
  class File final : public PassingStorage {
   public:
    File(std::shared_ptr<Storage> below, const std::atomic<uint64_t>& bound) : PassingStorage(std::move(below)), bound_(bound) {}
    void write_at(uint64_t offset, ConstBytes data) override {
      const uint64_t fits = offset < bound_ ? std::min<uint64_t>(bound_ - offset, data.size()) : 0;
      if (fits > 0) below_->write_at(offset, data.first(fits));
      if (fits < data.size()) throw full();
    }
    void resize(uint64_t size) override {
      if (size > bound_) throw full();
      below_->resize(size);
    }

   private:
    Error full() const { return Error(Errc::no_space, "No space left on device").in(name()).during("write"); }
    const std::atomic<uint64_t>& bound_;
  };
};

TEST_CASE("without space a write fails with no_space, what was there stays, and with space again the same write works") {
  for (const std::string options : {"", "zeroed_grain=on", "grain_size=4K", "subformat=twoGbMaxExtentSparse"}) {
    for (const uint64_t room : {uint64_t{0}, uint64_t{1000}, 3 * kGrain + 512}) {
      CAPTURE(options);
      CAPTURE(room);
      MemoryFileSystem files;
      FullHost host(files);
      CreateOptions how;
      how.file_system = &host;
      how.options = parse_options(options);
      Image::create("a.vmdk", "vmdk", uint64_t{100} << 20, how).close();
      OpenOptions open;
      open.format = "vmdk";
      open.file_system = &host;
      open.access = Access::read_write;
      Bytes disk(8 << 20);
      const auto write = [&](Image& image, uint64_t offset, const Bytes& data) {
        image.write_at(offset, data);
        std::copy(data.begin(), data.end(), disk.begin() + static_cast<std::ptrdiff_t>(offset));
      };
      const auto holds = [&](Image& image, uint64_t begin, uint64_t end) {
        Bytes read(end - begin);
        image.read_at(begin, read);
        return std::equal(read.begin(), read.end(), disk.begin() + static_cast<std::ptrdiff_t>(begin));
      };
      {
        Image image = Image::open("a.vmdk", open);
        write(image, 100, pattern(5 * kGrain, 1));
        const std::string data = options.ends_with("Sparse") ? "a-s001.vmdk" : "a.vmdk";
        host.bound = files.find(data)->size() + room;
        // New grains, some of them in part; then grains that are there.
        CHECK_ERRC(image.write_at((1 << 20) + 100, pattern(20 * kGrain, 2)), Errc::no_space);
        // What the write that failed had taken is free again: as many grains fit as there is room for.
        for (uint64_t i = 0; i < 16; ++i) {
          const uint64_t at = (4 << 20) + i * kGrain;
          if (i < room / kGrain) {
            write(image, at, pattern(kGrain, 5));
          } else {
            CHECK_ERRC(image.write_at(at, pattern(kGrain, 3)), Errc::no_space);
          }
        }
        write(image, 3000, pattern(kGrain, 4));
        CHECK(holds(image, 0, 1 << 20));
        image.flush();
        host.bound = kEverything;
        write(image, (1 << 20) + 100, pattern(20 * kGrain, 2));
        write(image, 4 << 20, pattern(1 << 20, 3));
        CHECK(holds(image, 0, disk.size()));
        image.close();
      }
      open.access = Access::read_only;
      Image image = Image::open("a.vmdk", open);
      CHECK(holds(image, 0, disk.size()));
      const CheckReport report = image.check({.data = true, .repair = Repair::none, .progress = {}, .cancel = nullptr});
      CAPTURE(report.findings.size());
      CHECK(report.clean());
      CHECK(report.leaked_bytes == 0);
    }
  }
}

TEST_CASE("a session that ends without space leaves an image that is sound and holds what was flushed") {
  MemoryFileSystem files;
  FullHost host(files);
  CreateOptions how;
  how.file_system = &host;
  Image::create("a.vmdk", "vmdk", uint64_t{100} << 20, how).close();
  OpenOptions open;
  open.format = "vmdk";
  open.file_system = &host;
  open.access = Access::read_write;
  {
    Image image = Image::open("a.vmdk", open);
    image.write_at(0, pattern(2 * kGrain, 1));
    image.flush();
    host.bound = files.find("a.vmdk")->size();
    CHECK_ERRC(image.write_at(1 << 20, pattern(kGrain, 2)), Errc::no_space);
    image.close();
  }
  Image image = Image::open("a.vmdk", open);
  Bytes read(2 * kGrain);
  image.read_at(0, read);
  CHECK((read == pattern(2 * kGrain, 1)));
  CHECK(image.check().clean());
}

}  // namespace
}  // namespace varve::test
