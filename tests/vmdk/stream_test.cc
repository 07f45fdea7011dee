// Compressed extents, by offset and from a pipe.
#include <cstring>
#include <memory>
#include <string>

#include "image/driver.h"
#include "io/memory_file_system.h"
#include "support/pipes.h"
#include "support/test.h"
#include "vmdk/images.h"
#include "vmdk/vmdk.h"

namespace varve::test {
namespace {

constexpr uint64_t kGrain = 65536;

Stream some_stream() {
  Stream s;
  s.sectors = 128 * 600 + 3;
  for (const uint64_t number : {0, 1, 2, 5, 511, 512, 599}) s.grains[number] = pattern(kGrain, static_cast<unsigned>(number));
  s.grains[3] = Bytes(kGrain, std::byte{7});
  s.grains[600] = pattern(3 * 512, 99);
  return s;
}

Bytes contents(const Stream& s) {
  Bytes out(s.sectors * 512);
  for (const auto& [number, data] : s.grains)
    std::copy(data.begin(), data.begin() + static_cast<std::ptrdiff_t>(std::min<uint64_t>(data.size(), out.size() - number * kGrain)),
              out.begin() + static_cast<std::ptrdiff_t>(number * kGrain));
  return out;
}

Image open(MemoryFileSystem& files, const Bytes& bytes) {
  files.add("/d/a.vmdk", bytes);
  OpenOptions options;
  options.format = "vmdk";
  options.file_system = &files;
  return Image::open("/d/a.vmdk", options);
}

Bytes read_image(const Bytes& bytes) {
  MemoryFileSystem files;
  Image image = open(files, bytes);
  return read_all(image);
}

Bytes read_pipe(const Bytes& bytes) {
  PipeContext context;
  const auto reader = vmdk_driver().open_stream(std::make_shared<BytesSource>(bytes), context);
  return read_stream(*reader);
}

TEST_CASE("a stream with a footer reads the same by offset and from a pipe") {
  const Stream s = some_stream();
  const Bytes image = stream_image(s);
  CHECK((read_image(image) == contents(s)));
  CHECK((read_pipe(image) == contents(s)));
}

TEST_CASE("a stream with its directory in front and without a footer is read, with and without the end marker") {
  Stream s = some_stream();
  s.footer = false;
  for (const bool marked : {true, false}) {
    CAPTURE(marked);
    s.end_marker = marked;
    const Bytes image = stream_image(s);
    CHECK((read_image(image) == contents(s)));
    CHECK((read_pipe(image) == contents(s)));
  }
}

TEST_CASE("a stream whose tables come before their directory is read by offset, and a pipe says that it needs a file") {
  Stream s = some_stream();
  s.footer = false;
  s.tables_first = true;
  CHECK((read_image(stream_image(s)) == contents(s)));
  CHECK_ERRC(read_pipe(stream_image(s)), Errc::unsupported);
}

TEST_CASE("a progress marker is skipped") {
  Stream s = some_stream();
  s.progress_marker = true;
  CHECK((read_pipe(stream_image(s)) == contents(s)));
  CHECK((read_image(stream_image(s)) == contents(s)));
}

TEST_CASE("a last grain that was padded to its full size is read as far as the disk goes") {
  Stream s = some_stream();
  s.grains[600].resize(kGrain);
  CHECK((read_image(stream_image(s)) == contents(s)));
  CHECK((read_pipe(stream_image(s)) == contents(s)));
}

TEST_CASE("entries 1 of a stream with the flag are zeros; without it they point into the metadata") {
  Stream s = some_stream();
  s.zeros = {4};
  MemoryFileSystem files;
  Bytes bytes = stream_image(s);
  Image image = open(files, bytes);
  CHECK((read_all(image) == contents(s)));
  CHECK(image.extent_at(4 * kGrain).kind == ExtentKind::zero);
  put(bytes, 8, 0x30001, 4);
  put(bytes, bytes.size() - 1024 + 8, 0x30001, 4);
  Image other = open(files, bytes);
  Bytes grain(kGrain);
  CHECK_ERRC(other.read_at(4 * kGrain, grain), Errc::corrupt);
}

TEST_CASE("small reads at odd offsets equal the large one") {
  const Stream s = some_stream();
  const Bytes want = contents(s);
  MemoryFileSystem files;
  Image image = open(files, stream_image(s));
  for (uint64_t offset = 0; offset < want.size(); offset += 77777) {
    for (const uint64_t length : {uint64_t{1}, uint64_t{513}, kGrain + 5, 3 * kGrain}) {
      Bytes got(std::min(length, want.size() - offset));
      image.read_at(offset, got);
      CHECK(std::memcmp(got.data(), want.data() + offset, got.size()) == 0);
    }
  }
}

TEST_CASE("runs of a stream are compressed data, or absent") {
  MemoryFileSystem files;
  Image image = open(files, stream_image(some_stream()));
  Extent run = image.extent_at(0);
  CHECK(run.length == 4 * kGrain);
  CHECK(run.kind == ExtentKind::data);
  CHECK(run.compressed);
  CHECK_FALSE(run.host_offset.has_value());
  run = image.extent_at(4 * kGrain);
  CHECK(run.kind == ExtentKind::absent);
  CHECK(run.length == kGrain);
  CHECK(image.extent_at(600 * kGrain).length == 3 * 512);
}

TEST_CASE("a marker of another grain is an error, not that grain's data") {
  Bytes image = stream_image(some_stream());
  put(image, 128 * 512, 128, 8);
  MemoryFileSystem files;
  Image opened = open(files, image);
  Bytes grain(kGrain);
  CHECK_ERRC(opened.read_at(0, grain), Errc::corrupt);
  CHECK_NOTHROW(opened.read_at(kGrain, grain));
}

TEST_CASE("MEM-9: a marker's size is held against the file and the grain") {
  MemoryFileSystem files;
  Bytes grain(kGrain);
  for (const uint64_t size : {uint64_t{0}, uint64_t{1} << 31, 2 * kGrain + (64 << 10)}) {
    CAPTURE(size);
    Bytes image = stream_image(some_stream());
    put(image, 128 * 512 + 8, size, 4);
    Image opened = open(files, image);
    CHECK_ERRC(opened.read_at(0, grain), Errc::corrupt);
  }
}

TEST_CASE("RES-8: a grain that inflates to less or more than a grain is corrupt") {
  MemoryFileSystem files;
  Bytes grain(kGrain);
  for (const uint64_t size : {kGrain - 1, kGrain + 1}) {
    Stream s = some_stream();
    s.grains[1] = pattern(size, 1);
    Image opened = open(files, stream_image(s));
    CHECK_ERRC(opened.read_at(kGrain, grain), Errc::corrupt);
    CHECK_ERRC(read_pipe(stream_image(s)), Errc::corrupt);
  }
}

TEST_CASE("PRB-6: a footer that contradicts the header is refused") {
  MemoryFileSystem files;
  const Bytes good = stream_image(some_stream());
  const uint64_t footer = good.size() - 1024;
  struct {
    const char* what;
    uint64_t offset;
    uint64_t value;
    unsigned size;
  } const rows[] = {
      {"at the end again", footer + 56, UINT64_MAX, 8},
      {"capacity", footer + 12, 128 * 600, 8},
      {"version", footer + 4, 2, 4},
      {"grain size", footer + 20, 64, 8},
      {"descriptor", footer + 28, 2, 8},
      {"descriptor size", footer + 36, 19, 8},
      {"magic", footer, 0, 4},
      {"marker's padding", footer - 512 + 100, 1, 1},
      {"marker's type", footer - 512 + 12, 2, 4},
  };
  for (const auto& row : rows) {
    CAPTURE(row.what);
    Bytes bad = good;
    put(bad, row.offset, row.value, row.size);
    CHECK_ERRC(open(files, bad), Errc::corrupt);
  }
}

TEST_CASE("a stream that was cut short is corrupt, wherever the cut is") {
  for (const bool footer : {true, false}) {
    Stream s = some_stream();
    s.footer = footer;
    const Bytes image = stream_image(s);
    for (uint64_t cut = 512; cut < image.size() - 512; cut += 9 * 512) {
      CAPTURE(cut);
      CHECK_ERRC(read_pipe(Bytes(image.begin(), image.begin() + static_cast<std::ptrdiff_t>(cut))), Errc::corrupt);
    }
  }
}

TEST_CASE("a pipe refuses grains out of order, announcements without bound and data behind the end") {
  Bytes image = stream_image(some_stream());
  put(image, 128 * 512, 5 * 128, 8);
  CHECK_ERRC(read_pipe(image), Errc::corrupt);
  Stream s = some_stream();
  s.progress_marker = true;
  image = stream_image(s);
  put(image, 128 * 512, uint64_t{1} << 60, 8);
  CHECK_ERRC(read_pipe(image), Errc::corrupt);
  image = stream_image(some_stream());
  image.push_back(std::byte{1});
  CHECK_ERRC(read_pipe(image), Errc::corrupt);
}

TEST_CASE("an extent line marked RDONLY does not keep a stream from being read") {
  Stream s = some_stream();
  s.extent_line = "RDONLY " + std::to_string(s.sectors) + " SPARSE \"generated-stream.vmdk\"";
  CHECK((read_image(stream_image(s)) == contents(s)));
}

}  // namespace
}  // namespace varve::test
