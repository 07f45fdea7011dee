#include "image/probe.h"

#include <algorithm>
#include <vector>

namespace varve {

namespace {

constexpr uint64_t kHeadBytes = 64 << 10;
constexpr uint64_t kTailBytes = 4 << 10;

std::vector<std::byte> read_part(Storage& file, uint64_t offset, uint64_t length) {
  std::vector<std::byte> part(length);
  file.read_at(offset, part);
  return part;
}

}  // namespace

Detection detect_format(Storage& file) {
  const uint64_t size = file.size();
  const std::vector<std::byte> head = read_part(file, 0, std::min(size, kHeadBytes));
  const uint64_t tail_length = std::min(size, kTailBytes);
  const std::vector<std::byte> tail = read_part(file, size - tail_length, tail_length);
  const ProbeInput input{head, tail, size};

  Detection found;
  const FormatDriver* fallback = nullptr;
  for (const FormatDriver* driver : builtin_formats()) {
    const ProbeResult result = driver->probe(input);
    if (!result.matches) continue;
    if (result.fallback) {
      fallback = driver;
      continue;
    }
    if (found.driver != nullptr) {
      throw Error(Errc::invalid_argument,
                  "this could be " + std::string(found.driver->info().name) + " or " + std::string(driver->info().name))
          .hint("name the format with -f");
    }
    found = {driver, !result.forgeable};
  }
  if (found.driver == nullptr) found.driver = fallback;
  if (found.driver == nullptr) throw Error(Errc::invalid_argument, "the format is not known").hint("name it with -f");
  return found;
}

}  // namespace varve
