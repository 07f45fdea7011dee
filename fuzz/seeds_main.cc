// Writes the seeds of one target into a folder: fuzz_seeds TARGET FOLDER.
#include <cstdio>
#include <filesystem>
#include <fstream>

#include "seeds.h"

int main(int argc, char** argv) {
  if (argc != 3) {
    std::fputs("usage: fuzz_seeds TARGET FOLDER\n", stderr);
    return 64;
  }
  std::filesystem::create_directories(argv[2]);
  for (const varve::fuzz::Seed& seed : varve::fuzz::seeds_of(argv[1])) {
    std::ofstream out(std::filesystem::path(argv[2]) / ("seed-" + seed.name), std::ios::binary);
    out.write(reinterpret_cast<const char*>(seed.bytes.data()), static_cast<std::streamsize>(seed.bytes.size()));
  }
}
