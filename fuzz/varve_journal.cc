// An image whose journal holds anything: what is shown before it goes into the tree is what is shown afterwards, and reading changes
// nothing.
#include "shadow.h"
#include "sparse_input.h"
#include "target.h"

namespace varve::fuzz {

const char* const kTargetName = "varve_journal";

namespace {

constexpr uint64_t kMaxDisk = 1 << 20;

void open_twice(const MemoryImage& file) {
  const FileState before(*file.storage());
  Shadow shadow(0);
  {
    Image image = file.open(Access::read_only);
    if (image.size() == 0 || image.size() > kMaxDisk) return;
    shadow = Shadow::of(image);
    image.close();
  }
  require(FileState(*file.storage()) == before, "opening for reading changed the file");
  Image image = file.open(Access::read_write);
  shadow.compare(image, "in an image that may be written to");
  const std::vector<std::byte> data(700, std::byte{0x77});
  const uint64_t offset = image.size() / 2;
  const ConstBytes part = ConstBytes(data).first(std::min<uint64_t>(data.size(), image.size() - offset));
  if (only_errors([&] { image.write_at(offset, part); }) != 0) return;
  shadow.put(offset, part);
  if (only_errors([&] { image.close(); }) != 0) return;
  Image again = file.open(Access::read_only);
  shadow.compare(again, "after a commit");
}

}  // namespace

void run(std::span<const uint8_t> input) {
  const SparseInput parts(input);
  only_errors([&] { open_twice(MemoryImage(parts.file, "varve", tight_limits(parts.tail.empty() ? 0 : parts.tail.back()))); });
}

}  // namespace varve::fuzz
