#include "varve_seeds.h"

#include <functional>

#include "io/memory_file_system.h"
#include "sparse_input.h"
#include "support/secrets.h"
#include "varve/image.h"

namespace varve::fuzz {

namespace {

constexpr const char* kDisk = "disk.varve";
constexpr uint64_t kSize = 200 * 1024 + 512;
const OptionMap kEncrypted = {{"encryption", "aes-256-gcm"}};

std::vector<std::byte> text_like(size_t length, uint8_t value) {
  std::vector<std::byte> out(length, std::byte{value});
  for (size_t i = 0; i < length; i += 7) out[i] = static_cast<std::byte>(i);
  return out;
}

class Maker {
 public:
  Maker(const OptionMap& options, uint64_t size) {
    CreateOptions how;
    how.options = options;
    how.options.emplace("journal_size", "64K");
    how.options.emplace("cluster_size", "4K");
    how.secret = test::test_key();
    how.file_system = &files_;
    Image::create(kDisk, "varve", size, how).close();
  }
  Image open() {
    OpenOptions how;
    how.access = Access::read_write;
    how.format = "varve";
    how.secret = test::test_key();
    how.file_system = &files_;
    return Image::open(kDisk, how);
  }
  Seed packed(std::string name) { return {std::move(name), pack_sparse(*files_.find(kDisk))}; }

 private:
  MemoryFileSystem files_;
};

void use(Image& image) {
  image.write_at(0, text_like(9000, 1));
  image.write_at(100000, text_like(5000, 2));
  image.flush();
  image.zero(4096, 8192);
}

Seed plain(const std::string& name, const OptionMap& options) {
  Maker maker(options, kSize);
  Image image = maker.open();
  use(image);
  image.close();
  return maker.packed(name);
}

Seed with_snapshots() {
  Maker maker({{"compression", "zlib"}}, kSize);
  Image image = maker.open();
  use(image);
  image.create_snapshot("one", 1);
  image.write_at(2000, text_like(9000, 3));
  image.create_snapshot("two", 2);
  const std::vector<std::byte> note = text_like(6000, 5);
  size_t given = 0;
  image.put_attachment({"note", "two"}, 3, [&](MutableBytes out) {
    const size_t count = std::min(out.size(), note.size() - given);
    std::copy_n(note.begin() + static_cast<ptrdiff_t>(given), count, out.begin());
    given += count;
    return count;
  });
  image.revert_to_snapshot("one");
  image.write_at(50000, text_like(300, 4));
  image.delete_snapshot("one");
  image.close();
  return maker.packed("snapshots");
}

/// As if the program had been killed: three records in the journal.
Seed pending() {
  Maker maker({}, kSize);
  Image image = maker.open();
  use(image);
  for (uint64_t i = 0; i < 5; ++i) {
    image.write_at(i * 20000, text_like(100 + i * 1000, static_cast<uint8_t>(9 + i)));
    image.flush();
  }
  return maker.packed("pending");
}

}  // namespace

std::vector<Seed> varve_images() {
  return {plain("plain", {}),
          plain("zstd", {{"compression", "zstd"}, {"cluster_size", "16K"}}),
          plain("zlib", {{"compression", "zlib"}}),
          plain("encrypted", kEncrypted),
          with_snapshots(),
          pending(),
          Maker({}, uint64_t{1} << 40).packed("large"),
          Maker({}, 0).packed("empty")};
}

std::vector<Seed> varve_key_areas() {
  const auto keys = [](const std::string& name, const std::function<void(Image&)>& change) {
    Maker maker(kEncrypted, kSize);
    Image image = maker.open();
    change(image);
    image.close();
    return maker.packed(name);
  };
  return {keys("one", [](Image&) {}),
          keys("three",
               [](Image& image) {
                 image.add_key(test::raw_key(2));
                 image.add_key(test::raw_key(3));
                 use(image);
               }),
          keys("rotated", [](Image& image) {
            use(image);
            image.rotate_key();
          })};
}

}  // namespace varve::fuzz
