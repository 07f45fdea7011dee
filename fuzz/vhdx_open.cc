// A VHDX of any bytes, opened for reading: every call returns or throws varve::Error, no byte of the file changes, and check never finds an
// image sound that can't be read.
#include "sparse_input.h"
#include "target.h"

namespace varve::fuzz {

const char* const kTargetName = "vhdx_open";

void run(std::span<const uint8_t> input) {
  const SparseInput parts(input);
  const MemoryImage image_file(parts.file, "vhdx", tight_limits(parts.tail.empty() ? 0 : parts.tail.back()));
  const FileState before(*parts.file);
  {
    const HeapBound bound(parts.file->size());
    only_errors([&] {
      Image image = image_file.open(Access::read_only);
      read_everything(image);
      require(only_errors([&] { image.write_at(0, std::vector<std::byte>(512)); }) != 0, "a read-only image took a write");
      image.close();
    });
  }
  require(FileState(*parts.file) == before, "opening for reading changed the file");
}

}  // namespace varve::fuzz
