#include "target.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <vector>

#include "io/memory_storage.h"
#include "support/heap.h"
#include "varve/ops.h"

namespace varve::fuzz {

namespace {

constexpr uint64_t kMaxRuns = 20000;     // of a map
constexpr uint64_t kSampledReads = 200;  // of an image that is too large to be read as a whole
constexpr uint64_t kWholeRead = 4 << 20;

}  // namespace

void require(bool holds, const std::string& what) {
  if (holds) return;
  std::fprintf(stderr, "%s: %s\n", kTargetName, what.c_str());
  std::abort();
}

int only_errors(const std::function<void()>& work) {
  try {
    work();
  } catch (const Error& error) {
    const int code = static_cast<int>(error.code());
    require(code >= 1 && code <= 12, "an error code that is not in the enumeration");
    return code;
  } catch (const std::exception& other) {
    require(false, std::string("something else than varve::Error came out: ") + other.what());
  }
  return 0;
}

bool structural(int code) { return code == static_cast<int>(Errc::corrupt); }

Limits tight_limits() {
  Limits limits;
  limits.output_bytes = 64 << 20;
  return limits;
}

MemoryImage::MemoryImage(std::span<const std::byte> bytes) : storage_(std::make_shared<MemoryStorage>("disk.vmdk", bytes)) {}

std::vector<std::byte> MemoryImage::bytes() const {
  std::vector<std::byte> out(static_cast<size_t>(storage_->size()));
  storage_->read_at(0, out);
  return out;
}

Image MemoryImage::open(Access access, const std::string& format) const {
  OpenOptions options;
  options.access = access;
  options.format = format;
  options.limits = tight_limits();
  options.ignore_parent = true;
  return Image::open(storage_, options);
}

namespace {

int read_samples(Image& image) {
  const uint64_t size = image.size();
  std::vector<std::byte> buffer(64 << 10);
  const uint64_t step = size <= kWholeRead ? buffer.size() : std::max<uint64_t>(buffer.size(), size / kSampledReads);
  int worst = 0;
  for (uint64_t offset = 0; offset < size && size - offset > 0; offset += step) {
    const uint64_t n = std::min<uint64_t>(buffer.size(), size - offset);
    const int code = only_errors([&] { image.read_at(offset, MutableBytes(buffer).first(static_cast<size_t>(n))); });
    worst = std::max(worst, structural(code) ? code : 0);
    if (step > UINT64_MAX - offset) break;
  }
  return worst;
}

int walk_map(Image& image) {
  uint64_t runs = 0;
  uint64_t offset = 0;
  const int code = only_errors([&] {
    while (offset < image.size() && runs++ < kMaxRuns) {
      const Extent run = image.extent_at(offset);
      require(run.offset == offset && run.length > 0 && run.length <= image.size() - offset,
              "a run of the map does not follow the one before");
      offset += run.length;
    }
  });
  return structural(code) ? code : 0;
}

}  // namespace

void read_everything(Image& image) {
  only_errors([&] { image.info(); });
  CheckReport report;
  CheckOptions options;
  options.data = true;
  const int checked = only_errors([&] { report = image.check(options); });
  const int mapped = walk_map(image);
  const int read = read_samples(image);
  const bool found_nothing = checked == 0 && report.damages == 0;
  require(!found_nothing || (mapped == 0 && read == 0), "check found no damage, but the image can't be read");
}

HeapBound::HeapBound(uint64_t input_bytes) : allowed_((32 << 20) + 4 * input_bytes) { test::heap_reset_peak(); }

HeapBound::~HeapBound() { require(test::heap_peak() <= allowed_, "the heap grew by " + std::to_string(test::heap_peak()) + " bytes"); }

}  // namespace varve::fuzz
