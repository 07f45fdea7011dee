// A stream of any bytes, read from a pipe: bounded memory, nothing but errors, and what is taken as whole is the same disk to who opens the
// same bytes as a file.
#include <optional>

#include "support/pipes.h"
#include "target.h"
#include "vmdk/vmdk.h"

namespace varve::fuzz {

const char* const kTargetName = "vmdk_stream";

namespace {

constexpr uint64_t kMaxDecoded = 32 << 20;

struct Pipe {
  explicit Pipe(std::span<const uint8_t> input) : bytes(std::as_bytes(input).begin(), std::as_bytes(input).end()), context(tight_limits()) {
    reader = vmdk_driver().open_stream(std::make_shared<test::BytesSource>(bytes, 1 + bytes.size() % 3000), context);
  }

  /// Calls `visit` with each piece of the disk. False if there are too many to look at.
  template <typename Visit>
  bool read(Visit visit) {
    std::vector<std::byte> data;
    uint64_t decoded = 0;
    while (const auto piece = reader->next()) {
      data.resize(static_cast<size_t>(piece->length));
      reader->load(*piece, data);
      visit(piece->offset, ConstBytes(data));
      if ((decoded += data.size()) > kMaxDecoded) return false;
    }
    return true;
  }

  std::vector<std::byte> bytes;
  test::PipeContext context;
  std::unique_ptr<StreamReader> reader;
};

/// [from, to) holds no data in the file.
void expect_nothing(Image& image, uint64_t from, uint64_t to) {
  while (from < to) {
    const Extent run = image.extent_at(from);
    require(run.kind != ExtentKind::data, "the file holds data that did not come down the pipe");
    from += run.length;
  }
}

void compare_with_file(std::span<const uint8_t> input) {
  const MemoryImage file(std::as_bytes(input));
  std::optional<Image> image;
  if (only_errors([&] { image.emplace(file.open(Access::read_only)); }) != 0) return;
  Pipe pipe(input);
  require(image->size() == pipe.reader->size(), "pipe and file have different sizes");
  uint64_t end = 0;
  const int code = only_errors([&] {
    pipe.read([&](uint64_t offset, ConstBytes data) {
      expect_nothing(*image, end, offset);
      std::vector<std::byte> stored(data.size());
      image->read_at(offset, stored);
      require(same_bytes(data, stored), "pipe and file read different bytes");
      end = offset + data.size();
    });
    expect_nothing(*image, end, image->size());
  });
  require(code == 0, "the file can't be read, and the pipe could");
}

}  // namespace

void run(std::span<const uint8_t> input) {
  bool whole = false;
  uint64_t end = 0;
  {
    const HeapBound bound(input.size());
    only_errors([&] {
      Pipe pipe(input);
      pipe.reader->info();
      whole = pipe.read([&](uint64_t offset, ConstBytes data) {
        require(offset >= end && data.size() <= pipe.reader->size() - offset, "a piece is out of order, or outside the disk");
        end = offset + data.size();
      });
    });
  }
  if (whole) compare_with_file(input);
}

}  // namespace varve::fuzz
