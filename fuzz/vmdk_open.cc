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
      require(only_errors([&] { image.write_at(0, std::vector<std::byte>(512)); }) != 0, "a read-only image took a write");
      image.close();
    });
  }
  require(same_bytes(file.bytes(), std::as_bytes(input)), "opening for reading changed the file");
}

}  // namespace varve::fuzz
