// A VMDK of any bytes, opened for reading: every call returns or throws varve::Error, no byte of the file changes, and check never finds
// an image sound that can't be read.
#include "target.h"

namespace varve::fuzz {

const char* const kTargetName = "vmdk_open";

void run(std::span<const uint8_t> input) {
  const MemoryImage file(std::as_bytes(input));
  {
    const HeapBound bound(input.size());
    only_errors([&] {
      Image image = file.open(Access::read_only);
      read_everything(image);
      require(only_errors([&] { image.write_at(0, std::as_bytes(input).first(0)); }) != 0 || !image.writable(),
              "a read-only image took a write");
      image.close();
    });
  }
  const std::vector<std::byte> after = file.bytes();
  require(std::equal(after.begin(), after.end(), std::as_bytes(input).begin(), std::as_bytes(input).end()),
          "opening for reading changed the file");
}

}  // namespace varve::fuzz
