// Scattered small writes through the library, as a guest's database makes them: scatter FILE FORMAT. bench.py times it against qemu-io
// doing the same; the offsets come from a generator that both know.
#include <cstdio>
#include <vector>

#include "varve/image.h"

namespace {

constexpr uint64_t kWrites = 10000;
constexpr uint64_t kFlushEvery = 100;
constexpr uint64_t kBytes = 4096;

void scatter(const char* path, const char* format) {
  varve::OpenOptions options;
  options.access = varve::Access::read_write;
  options.format = format;
  varve::Image image = varve::Image::open(path, options);
  const std::vector<std::byte> data(kBytes, std::byte{0x5a});
  uint64_t state = 1;
  for (uint64_t i = 1; i <= kWrites; ++i) {
    state = state * 6364136223846793005 + 1442695040888963407;  // Knuth's MMIX
    image.write_at((state >> 33) % (image.size() / kBytes) * kBytes, data);
    if (i % kFlushEvery == 0) image.flush();
  }
  image.close();
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) {
    std::fprintf(stderr, "usage: scatter FILE FORMAT\n");
    return 64;
  }
  try {
    scatter(argv[1], argv[2]);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "scatter: %s\n", error.what());
    return 1;
  }
  return 0;
}
