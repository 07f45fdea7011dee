// A plain main for a fuzz target: runs it over its seeds and over the files and folders that are named. Needs no fuzzing engine, so that
// every build with every compiler replays all past findings.
#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <vector>

#include "seeds.h"
#include "target.h"

namespace {

std::vector<std::filesystem::path> files_of(int argc, char** argv) {
  std::vector<std::filesystem::path> files;
  for (int i = 1; i < argc; ++i) {
    if (std::filesystem::is_directory(argv[i])) {
      for (const auto& entry : std::filesystem::recursive_directory_iterator(argv[i]))
        if (entry.is_regular_file()) files.push_back(entry.path());
    } else if (std::filesystem::exists(argv[i])) {
      files.emplace_back(argv[i]);
    }
  }
  std::sort(files.begin(), files.end());
  return files;
}

void replay(const std::string& name, const std::vector<uint8_t>& bytes) {
  std::printf("%s\n", name.c_str());  // the last line names the input that crashed
  std::fflush(stdout);
  varve::fuzz::run(bytes);
}

}  // namespace

int main(int argc, char** argv) {
  for (const varve::fuzz::Seed& seed : varve::fuzz::seeds_of(varve::fuzz::kTargetName)) replay("seed " + seed.name, seed.bytes);
  for (const auto& path : files_of(argc, argv)) {
    std::ifstream in(path, std::ios::binary);
    replay(path.string(), std::vector<uint8_t>(std::istreambuf_iterator<char>(in), {}));
  }
  std::puts("1 passed, 0 failed, 0 skipped");
}
