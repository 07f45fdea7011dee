#include "target.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <utility>
#include <vector>

#include "base/zero.h"
#include "io/memory_storage.h"
#include "sparse_input.h"
#include "support/heap.h"
#include "support/secrets.h"
#include "varve/ops.h"

namespace varve::fuzz {

namespace {

constexpr uint64_t kMaxRuns = 20000;     // of a map
constexpr uint64_t kCheckedRuns = 100;   // of them read if they say that there is no data
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
    // In memory no host fails: what else comes out is a check that is missing.
    constexpr std::array kPossible = {Errc::corrupt,    Errc::unsupported, Errc::invalid_argument, Errc::not_found, Errc::exists,
                                      Errc::permission, Errc::limit,       Errc::authentication};
    require(std::find(kPossible.begin(), kPossible.end(), error.code()) != kPossible.end(),
            std::string("an error that cannot be: ") + error.what());
    return static_cast<int>(error.code());
  } catch (const std::exception& other) {
    require(false, std::string("something else than varve::Error came out: ") + other.what());
  }
  return 0;
}

bool structural(int code) { return code == static_cast<int>(Errc::corrupt); }

bool same_bytes(ConstBytes a, ConstBytes b) {
  return a.size() == b.size() && (a.empty() || std::memcmp(a.data(), b.data(), a.size()) == 0);
}

Limits tight_limits(uint8_t choice) {
  Limits limits;
  if (choice % 4 == 3) limits.metadata_bytes = uint64_t{4096} << (choice / 4 % 8);
  limits.output_bytes = 64 << 20;
  // So that trying a passphrase takes no time.
  limits.kdf_memory = 1 << 20;
  limits.kdf_iterations = 1000;
  limits.kdf_work = 1 << 14;
  return limits;
}

MemoryImage::MemoryImage(std::span<const std::byte> bytes, const Limits& limits)
    : storage_(std::make_shared<MemoryStorage>("disk.vmdk", bytes)), limits_(limits) {}

MemoryImage::MemoryImage(std::shared_ptr<Storage> file, std::string format, const Limits& limits)
    : storage_(std::move(file)), format_(std::move(format)), limits_(limits) {}

void MemoryImage::use_parent(FileSystem& files, const std::string& path) {
  files_ = &files;
  parent_ = path;
}

MemoryImage MemoryImage::with(std::shared_ptr<Storage> file) const {
  MemoryImage other = *this;
  other.storage_ = std::move(file);
  return other;
}

std::vector<std::byte> MemoryImage::bytes() const {
  std::vector<std::byte> out(static_cast<size_t>(storage_->size()));
  storage_->read_at(0, out);
  return out;
}

Image MemoryImage::open(Access access, const std::string& format) const { return Image::open(storage_, options(access, format)); }

Image MemoryImage::open_snapshot(const std::string& name) const {
  OpenOptions how = options(Access::read_only, format_);
  how.snapshot = name;
  return Image::open(storage_, how);
}

Image MemoryImage::open_for_check(Access access) const {
  OpenOptions how = options(access, format_);
  how.for_check = true;
  return Image::open(storage_, how);
}

OpenOptions MemoryImage::options(Access access, const std::string& format) const {
  OpenOptions options;
  options.access = access;
  options.format = format;
  options.limits = limits_;
  options.ignore_parent = parent_.empty();
  options.parent = parent_;
  options.file_system = files_;
  options.secret = test::test_key();
  options.accept_older_state = true;
  return options;
}

FileState::FileState(Storage& file) : size(file.size()), packed(pack_sparse(file)) {}

namespace {

/// A part of what was read at `offset`, read again on its own, must be the same.
void read_part_again(Image& image, uint64_t offset, ConstBytes whole) {
  const size_t begin = whole.size() / 3;
  std::vector<std::byte> part(std::min<size_t>(whole.size() - begin, 700));
  require(only_errors([&] { image.read_at(offset + begin, part); }) == 0, "a part of what can be read can't be read");
  require(same_bytes(part, whole.subspan(begin, part.size())), "a part reads different from the whole");
}

int read_samples(Image& image) {
  const uint64_t size = image.size();
  std::vector<std::byte> buffer(64 << 10);
  const uint64_t step = size <= kWholeRead ? buffer.size() : std::max<uint64_t>(buffer.size(), size / kSampledReads);
  int worst = 0;
  for (uint64_t offset = 0; offset < size && size - offset > 0; offset += step) {
    const MutableBytes out = MutableBytes(buffer).first(static_cast<size_t>(std::min<uint64_t>(buffer.size(), size - offset)));
    const int code = only_errors([&] { image.read_at(offset, out); });
    if (code == 0) read_part_again(image, offset, out);
    worst = std::max(worst, structural(code) ? code : 0);
    if (step > UINT64_MAX - offset) break;
  }
  return worst;
}

/// Where the map says that a run holds no data, zeros are read.
void read_empty_run(Image& image, const Extent& run) {
  std::vector<std::byte> buffer(static_cast<size_t>(std::min<uint64_t>(run.length, 5000)));
  for (const uint64_t at : {run.offset, run.offset + run.length - buffer.size()}) {
    require(only_errors([&] { image.read_at(at, buffer); }) == 0, "a run without data can't be read");
    require(is_zero(buffer), "a run without data does not read as zeros");
  }
}

int walk_map(Image& image) {
  uint64_t runs = 0;
  uint64_t offset = 0;
  const int code = only_errors([&] {
    while (offset < image.size() && runs++ < kMaxRuns) {
      const Extent run = image.extent_at(offset);
      require(run.offset == offset && run.length > 0 && run.length <= image.size() - offset,
              "a run of the map does not follow the one before");
      if (run.kind != ExtentKind::data && runs <= kCheckedRuns) read_empty_run(image, run);
      offset += run.length;
    }
  });
  return structural(code) ? code : 0;
}

/// Snapshots against each other and the disk, and what is attached.
int read_beside_the_disk(Image& image) {
  if (!image.format().can.snapshots) return 0;
  int worst = 0;
  const auto tried = [&](auto call) {
    const int code = only_errors(call);
    if (structural(code)) worst = code;
  };
  std::vector<SnapshotInfo> snapshots;
  std::vector<AttachmentInfo> attachments;
  tried([&] { snapshots = image.snapshots(); });
  tried([&] { attachments = image.attachments(); });
  uint64_t left = kCheckedRuns;
  std::string before;
  for (const SnapshotInfo& info : snapshots) {
    if (info.branch_point || left-- == 0) continue;
    for (const std::string& to : {std::string(), before.empty() ? info.name : before}) {
      uint64_t end = 0;
      tried([&] {
        image.diff_snapshots(info.name, to, [&](const Extent& range) {
          require(range.length != 0 && range.offset >= end, "a range of a difference does not follow the one before");
          end = range.offset + range.length;
        });
      });
    }
    before = info.name;
  }
  std::vector<std::byte> buffer(5000);
  for (const AttachmentInfo& info : attachments) {
    const MutableBytes part = MutableBytes(buffer).first(std::min<uint64_t>(info.size, buffer.size()));
    if (!info.of_branch_point) tried([&] { image.read_attachment(info.key, info.size - part.size(), part); });
  }
  return worst;
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
  const int beside = read_beside_the_disk(image);
  const bool found_nothing = checked == 0 && report.damages == 0;
  require(!found_nothing || (mapped == 0 && read == 0 && beside == 0), "check found no damage, but the image can't be read");
}

void read_packed_image(std::span<const uint8_t> input, const std::string& format) {
  const SparseInput parts(input);
  const MemoryImage image_file(parts.file, format, tight_limits(parts.tail.empty() ? 0 : parts.tail.back()));
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

HeapBound::HeapBound(uint64_t input_bytes) : allowed_((32 << 20) + 4 * input_bytes) { test::heap_reset_peak(); }

HeapBound::~HeapBound() { require(test::heap_peak() <= allowed_, "the heap grew by " + std::to_string(test::heap_peak()) + " bytes"); }

}  // namespace varve::fuzz
