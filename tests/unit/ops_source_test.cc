// How sources cut a disk: images by their extents, streams by their pieces.
#include "ops/copy_source.h"
#include "ops/copy_target.h"
#include "support/test.h"
#include "unit/ops_kit.h"

using namespace varve;
using namespace varve::ops;
using namespace varve::test;

namespace {

constexpr uint64_t kKiB = 1024;

/// A stream of pieces whose data is pattern_byte().
class ScriptStream final : public StreamReader {
 public:
  ScriptStream(uint64_t size, std::vector<std::pair<uint64_t, uint64_t>> pieces) : size_(size), pieces_(std::move(pieces)) {}
  uint64_t size() const override { return size_; }
  ImageInfo info() const override { return {}; }
  std::optional<Piece> next() override {
    if (at_ == pieces_.size()) return std::nullopt;
    const auto [offset, length] = pieces_[at_++];
    return Piece{offset, length, {}};
  }
  void load(const Piece& piece, MutableBytes out) const override {
    for (size_t i = 0; i < out.size(); ++i) out[i] = pattern_byte(piece.offset + i);
  }

 private:
  const uint64_t size_;
  const std::vector<std::pair<uint64_t, uint64_t>> pieces_;
  size_t at_ = 0;
};

/// All items of the source; checks what holds for each cut.
std::vector<Run> runs_of(CopySource& source, const Cut& cut) {
  source.begin(cut);
  std::vector<Run> all;
  uint64_t position = 0;
  CopyItem item;
  while (source.next(item)) {
    CHECK(item.offset == position);
    for (const Run& run : item.runs) {
      CHECK(run.offset == position);
      CHECK(run.length > 0);
      if (!run.zero) CHECK(run.offset % cut.unit == 0);
      if (!run.zero) CHECK((run.length % cut.unit == 0 || run.end() == cut.end));
      position = run.end();
      if (!all.empty() && all.back().zero == run.zero) {
        all.back().length += run.length;
      } else {
        all.push_back({run.offset, run.length, run.zero, 0});
      }
    }
    CHECK(item.end == position);
  }
  CHECK(position == cut.end);
  CHECK_FALSE(source.next(item));
  return all;
}

Cut cut_to(uint64_t end, uint64_t unit) {
  Cut cut;
  cut.end = end;
  cut.unit = unit;
  return cut;
}

bool same(const Run& run, uint64_t offset, uint64_t length, bool zero) {
  return run.offset == offset && run.length == length && run.zero == zero;
}

}  // namespace

TEST_CASE("a unit that holds data and zeros is data, whole units of zeros are not") {
  Image image = script_disk({{100 * kKiB, ExtentKind::zero}, {1, ExtentKind::data}, {300 * kKiB, ExtentKind::absent}});
  ImageSource source(image);
  const std::vector<Run> runs = runs_of(source, cut_to(image.size(), 64 * kKiB));
  REQUIRE(runs.size() == 3);
  CHECK(same(runs[0], 0, 64 * kKiB, true));
  CHECK(same(runs[1], 64 * kKiB, 64 * kKiB, false));
  CHECK(same(runs[2], 128 * kKiB, image.size() - 128 * kKiB, true));
}

TEST_CASE("what lies behind the source's end is zeros, and shares its last unit") {
  Image image = script_disk({{10000, ExtentKind::data}});
  ImageSource source(image);
  const std::vector<Run> runs = runs_of(source, cut_to(100000, 4096));
  REQUIRE(runs.size() == 2);
  CHECK(same(runs[0], 0, 12288, false));
  CHECK(same(runs[1], 12288, 100000 - 12288, true));
  ImageSource again(image);
  again.begin(cut_to(100000, 4096));
  CopyItem item;
  REQUIRE(again.next(item));
  std::vector<std::byte> bytes(12288, std::byte{0xEE});
  again.load(item, item.runs[0], bytes);
  CHECK(bytes[9999] == pattern_byte(9999));
  CHECK(bytes[10000] == std::byte{0});
  CHECK(bytes[12287] == std::byte{0});
}

TEST_CASE("an item holds 256 KiB of data at most, however long the run and however many the runs") {
  std::vector<ScriptRun> script = {{10 << 20, ExtentKind::data}};
  for (int i = 0; i < 400; ++i) script.insert(script.end(), {{8192, ExtentKind::zero}, {4096, ExtentKind::data}});
  Image image = script_disk(script);
  ImageSource source(image);
  source.begin(cut_to(image.size(), 4096));
  CopyItem item;
  while (source.next(item)) {
    CHECK(item.data_bytes <= 256 * kKiB);
    CHECK(item.runs.size() <= 256);
  }
}

TEST_CASE("a stream's pieces become whole units with zeros between") {
  ScriptStream stream(1000 * kKiB, {{0, 64 * kKiB}, {200 * kKiB, 8 * kKiB}, {220 * kKiB, 4 * kKiB}, {990 * kKiB, 10 * kKiB}});
  StreamSource source(stream);
  const std::vector<Run> runs = runs_of(source, cut_to(1000 * kKiB, 64 * kKiB));
  REQUIRE(runs.size() == 5);
  CHECK(same(runs[0], 0, 64 * kKiB, false));
  CHECK(same(runs[2], 192 * kKiB, 64 * kKiB, false));
  CHECK(same(runs[4], 960 * kKiB, 40 * kKiB, false));

  ScriptStream twice(1000 * kKiB, {{200 * kKiB, 8 * kKiB}, {220 * kKiB, 4 * kKiB}});
  StreamSource loaded(twice);
  loaded.begin(cut_to(1000 * kKiB, 64 * kKiB));
  CopyItem item;
  REQUIRE(loaded.next(item));
  std::vector<std::byte> bytes(64 * kKiB, std::byte{0xEE});
  REQUIRE(item.runs.size() == 3);
  loaded.load(item, item.runs[1], bytes);
  for (uint64_t at = 192 * kKiB; at < 256 * kKiB; at += 512) {
    const bool held = (at >= 200 * kKiB && at < 208 * kKiB) || (at >= 220 * kKiB && at < 224 * kKiB);
    CHECK(bytes[at - 192 * kKiB] == (held ? pattern_byte(at) : std::byte{0}));
  }
}

TEST_CASE("a piece that begins in the last unit of a full item belongs to it") {
  std::vector<std::pair<uint64_t, uint64_t>> pieces;
  for (uint64_t at = 0; at < 3 << 20; at += 24 * kKiB) pieces.emplace_back(at, 24 * kKiB);
  ScriptStream stream(4 << 20, pieces);
  StreamSource source(stream);
  const std::vector<Run> runs = runs_of(source, cut_to(4 << 20, 64 * kKiB));
  CHECK(runs.size() == 2);
}

TEST_CASE("no item spans more zeros than the target can do at once, of an image as of a stream") {
  constexpr uint64_t kEnd = 5000 * kKiB + 700;
  Cut cut = cut_to(kEnd, 4096);
  cut.span = 64 * kKiB;
  ScriptStream stream(kEnd, {{1000 * kKiB, 4 * kKiB}, {4096 * kKiB, 100}});
  StreamSource from_stream(stream);
  Image image = script_disk({{1000 * kKiB, ExtentKind::zero}, {4 * kKiB, ExtentKind::data}, {kEnd - 1004 * kKiB, ExtentKind::absent}});
  ImageSource from_image(image);
  for (CopySource* const source : {static_cast<CopySource*>(&from_stream), static_cast<CopySource*>(&from_image)}) {
    source->begin(cut);
    CopyItem item;
    uint64_t position = 0;
    while (source->next(item)) {
      CHECK(item.end - item.offset <= 2 * cut.span);
      position = item.end;
    }
    CHECK(position == kEnd);
  }
}

TEST_CASE("an empty stream is zeros from end to end") {
  ScriptStream stream(5 << 20, {});
  StreamSource source(stream);
  const std::vector<Run> runs = runs_of(source, cut_to(5 << 20, 4096));
  REQUIRE(runs.size() == 1);
  CHECK(runs[0].zero);
}

TEST_CASE("pieces out of order, overlapping or outside the disk are corrupt") {
  const std::vector<std::vector<std::pair<uint64_t, uint64_t>>> bad = {
      {{64 * kKiB, 4096}, {0, 4096}}, {{0, 8192}, {4096, 4096}}, {{1 << 20, 4096}}, {{UINT64_MAX - 4096, 8192}}};
  for (const auto& pieces : bad) {
    ScriptStream stream(1 << 20, pieces);
    StreamSource source(stream);
    source.begin(cut_to(1 << 20, 4096));
    CopyItem item;
    CHECK_ERRC(
        [&] {
          while (source.next(item)) continue;
        }(),
        Errc::corrupt);
  }
}

TEST_CASE("zeros in data are told apart in blocks, short ones stay data") {
  std::vector<std::byte> data(100 * kKiB, std::byte{1});
  std::fill_n(data.begin() + 8 * kKiB, 4 * kKiB, std::byte{0});
  std::fill_n(data.begin() + 20 * kKiB, 16 * kKiB, std::byte{0});
  std::fill_n(data.begin() + 96 * kKiB, 4 * kKiB, std::byte{0});
  std::vector<Run> runs;
  split_zeros({1 << 20, data.size(), false, 7}, data, 4 * kKiB, 16 * kKiB, runs);
  REQUIRE(runs.size() == 4);
  CHECK(same(runs[0], 1 << 20, 20 * kKiB, false));
  CHECK(runs[0].place == 7);
  CHECK(same(runs[1], (1 << 20) + 20 * kKiB, 16 * kKiB, true));
  CHECK(same(runs[2], (1 << 20) + 36 * kKiB, 60 * kKiB, false));
  CHECK(runs[2].place == 7 + 36 * kKiB);
  CHECK(same(runs[3], (1 << 20) + 96 * kKiB, 4 * kKiB, true));
  runs.clear();
  split_zeros({0, 0, false, 0}, {}, 4096, 4096, runs);
  CHECK(runs.empty());
}
