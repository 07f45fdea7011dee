#include "check_and_repair.h"

#include <algorithm>
#include <optional>
#include <utility>
#include <vector>

#include "base/zero.h"

namespace varve::fuzz {

namespace {

constexpr size_t kMaxRuns = 200;
constexpr uint64_t kSample = 1024;

/// Bytes at the ends of each run that can be read.
struct Sample {
  uint64_t offset = 0;
  std::vector<std::byte> bytes;
};
using Samples = std::vector<Sample>;

Samples samples_of(const MemoryImage& file) {
  Samples samples;
  only_errors([&] {
    Image image = file.open(Access::read_only);
    uint64_t offset = 0;
    for (size_t runs = 0; runs < kMaxRuns && offset < image.size(); ++runs) {
      uint64_t end = std::min(image.size(), offset + kSample);  // where the map fails
      only_errors([&] { end = offset + image.extent_at(offset).length; });
      for (const uint64_t at : {offset, end - std::min(end - offset, kSample)}) {
        std::vector<std::byte> bytes(static_cast<size_t>(std::min(kSample, end - at)));
        if (only_errors([&] { image.read_at(at, bytes); }) == 0) samples.push_back({at, std::move(bytes)});
      }
      offset = end;
    }
  });
  return samples;
}

void compare(const MemoryImage& file, const Samples& samples, const char* when) {
  Image image = file.open(Access::read_only);
  for (const Sample& sample : samples) {
    std::vector<std::byte> bytes(sample.bytes.size());
    require(only_errors([&] { image.read_at(sample.offset, bytes); }) == 0, std::string("unreadable ") + when);
    if (is_zero(sample.bytes)) continue;  // what one copy of a table has lost comes back from the other
    require(same_bytes(bytes, sample.bytes), "byte " + std::to_string(sample.offset) + " changed " + when);
  }
}

/// Nothing if the image can't be opened, or checked. Then the file is as it was.
std::optional<CheckReport> check(const MemoryImage& file, Access access, Repair repair) {
  const FileState before(*file.storage());
  CheckReport report;
  const int code = only_errors([&] {
    Image image = file.open_for_check(access);
    CheckOptions options;
    options.data = repair == Repair::none;
    options.repair = repair;
    report = image.check(options);
    image.close();
  });
  const bool changed = FileState(*file.storage()) != before;
  require((code == 0 && report.repaired > 0) || !changed, "a check that repaired nothing changed the file");
  if (code != 0) return std::nullopt;
  return report;
}

void repair_twice(const MemoryImage& file, Repair repair) {
  const auto first = check(file, Access::read_write, repair);
  if (!first) return;
  const FileState repaired(*file.storage());
  const auto second = check(file, Access::read_write, repair);
  require(second.has_value(), "what was repaired can't be opened");
  require(second->repaired == 0 && FileState(*file.storage()) == repaired, "a second repair finds something to do");
  require(second->damages == first->damages, "a repair does not leave the damages that it said");
}

}  // namespace

void check_and_repair(const MemoryImage& file) {
  check(file, Access::read_only, Repair::none);
  check(file, Access::read_write, Repair::none);
  const Samples before = samples_of(file);
  repair_twice(file, Repair::safe);
  only_errors([&] { compare(file, before, "by a safe repair"); });
  repair_twice(file, Repair::all);
  only_errors([&] {
    Image image = file.open(Access::read_only);
    read_everything(image);
  });
}

}  // namespace varve::fuzz
