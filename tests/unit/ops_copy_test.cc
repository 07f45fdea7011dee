// What a copy asks of both sides, and what it leaves behind.
#include <algorithm>
#include <map>

#include "io/memory_file_system.h"
#include "support/storages.h"
#include "support/test.h"
#include "unit/ops_kit.h"
#include "varve/ops.h"

using namespace varve;
using namespace varve::test;

namespace {

constexpr ExtentKind kData = ExtentKind::data;
constexpr ExtentKind kZero = ExtentKind::zero;
constexpr ExtentKind kAbsent = ExtentKind::absent;
constexpr uint64_t kKiB = 1024;
constexpr uint64_t kMiB = 1024 * kKiB;

// Borders on units and off them, a short end, runs of many items.
const std::vector<ScriptRun> kMixed = {
    {1 * kMiB, kAbsent}, {3 * kMiB + 512, kData}, {200 * kKiB, kZero}, {4096, kData},      {2 * kMiB, kAbsent},
    {100, kData},        {700 * kKiB, kZero},     {5 * kMiB, kData},   {64 * kKiB, kZero}, {300 * kKiB + 7, kData}};

CopyOptions with_threads(unsigned threads) {
  CopyOptions options;
  options.threads = threads;
  return options;
}

std::vector<std::byte> noise(uint64_t size) {
  std::vector<std::byte> bytes(size);
  for (uint64_t i = 0; i < size; ++i) bytes[i] = pattern_byte(i + 12345);
  return bytes;
}

bool ascending(const std::vector<Journal::Event>& events) {
  return std::is_sorted(events.begin(), events.end(), [](const auto& a, const auto& b) { return a.offset < b.offset; });
}

uint64_t zero_bytes_written(const Journal& journal, const std::vector<std::byte>& disk, uint64_t block) {
  uint64_t bytes = 0;
  for (uint64_t at = 0; at + block <= disk.size(); at += block) {
    const auto begin = disk.begin() + static_cast<ptrdiff_t>(at);
    const bool zero = std::all_of(begin, begin + static_cast<ptrdiff_t>(block), [](std::byte b) { return b == std::byte{0}; });
    if (zero && (journal.touched(Journal::What::write, at, block) || journal.touched(Journal::What::encode, at, block))) bytes += block;
  }
  return bytes;
}

}  // namespace

TEST_CASE("threads: every kind of fresh target ends up as the source, and zero runs are neither read nor written") {
  const std::vector<std::byte> disk = script_bytes(kMixed);
  for (const Way way : {Way::plain, Way::flat, Way::bulk}) {
    for (const unsigned threads : {1u, 2u, 8u}) {
      CAPTURE(static_cast<int>(way));
      CAPTURE(threads);
      MemoryFileSystem files;
      const auto reads = std::make_shared<Journal>();
      const auto journal = std::make_shared<Journal>();
      Image source = script_disk(kMixed, reads);
      Image target = recording_target(way, files, source.size(), journal);
      const CopyReport report = copy_image(source, target, with_threads(threads));
      CHECK(contents_of(target) == disk);
      CHECK(report.virtual_size == disk.size());
      CHECK(report.data_bytes >= 8 * kMiB);
      CHECK_FALSE(reads->touched(Journal::What::read, 0, 1 * kMiB));
      CHECK_FALSE(reads->touched(Journal::What::read, 5 * kMiB, 1 * kMiB));
      CHECK(journal->of(Journal::What::zero).empty());
      CHECK(zero_bytes_written(*journal, disk, 64 * kKiB) == 0);
    }
  }
}

TEST_CASE("threads: a bulk target encodes whole units, places in ascending order and stores what was placed") {
  MemoryFileSystem files;
  const auto journal = std::make_shared<Journal>();
  Image source = script_disk(kMixed);
  Image target = recording_target(Way::bulk, files, source.size(), journal);
  copy_image(source, target, with_threads(8));
  const auto encoded = journal->of(Journal::What::encode);
  const auto placed = journal->of(Journal::What::place);
  CHECK(ascending(placed));
  CHECK(encoded.size() == placed.size());
  CHECK(journal->of(Journal::What::store).size() == placed.size());
  for (const auto& event : placed) {
    CHECK(event.offset % 4096 == 0);
    CHECK((event.length % 4096 == 0 || event.offset + event.length == source.size()));
    CHECK(event.length <= 2 * kMiB);
  }
  std::map<uint64_t, bool> seen;
  for (const auto& event : journal->all()) {
    if (event.what == Journal::What::place) seen[event.offset] = true;
    if (event.what == Journal::What::store) CHECK(seen.count(event.offset) == 1);
  }
}

TEST_CASE("threads: one thread and eight make the same file") {
  std::vector<std::vector<std::byte>> results;
  for (const unsigned threads : {1u, 8u, 3u}) {
    MemoryFileSystem files;
    Image source = script_disk(kMixed);
    Image target = recording_target(Way::bulk, files, source.size(), std::make_shared<Journal>());
    copy_image(source, target, with_threads(threads));
    target.close();
    results.push_back(files.find("a.rec")->contents());
  }
  CHECK(results[0] == results[1]);
  CHECK(results[0] == results[2]);
}

TEST_CASE("threads: writes into a target that may allocate come in the order of the disk") {
  MemoryFileSystem files;
  const auto journal = std::make_shared<Journal>();
  Image source = script_disk(kMixed);
  Image target = recording_target(Way::plain, files, source.size(), journal);
  copy_image(source, target, with_threads(8));
  CHECK(ascending(journal->of(Journal::What::write)));
}

TEST_CASE("an existing target is overwritten with data and zeros, unless the user knows that it is zero") {
  const std::vector<std::byte> disk = script_bytes(kMixed);
  for (const Way way : {Way::plain, Way::flat}) {
    CAPTURE(static_cast<int>(way));
    const auto journal = std::make_shared<Journal>();
    Image source = script_disk(kMixed);
    Image target = recording_disk(way, noise(disk.size()), journal);
    copy_image(source, target);
    CHECK(contents_of(target) == disk);
    CHECK(journal->touched(Journal::What::zero, 0, kMiB));

    const auto trusting = std::make_shared<Journal>();
    Image zeroed = recording_disk(way, std::vector<std::byte>(disk.size()), trusting);
    CopyOptions options;
    options.target_is_zero = true;
    copy_image(source, zeroed, options);
    CHECK(contents_of(zeroed) == disk);
    CHECK(trusting->of(Journal::What::zero).empty());
  }
}

TEST_CASE("zeros inside of data become holes in a fresh flat target, in runs worth it") {
  std::vector<std::byte> disk = noise(kMiB);
  std::fill_n(disk.begin() + 64 * kKiB, 64 * kKiB, std::byte{0});
  std::fill_n(disk.begin() + 256 * kKiB, 4 * kKiB, std::byte{0});
  MemoryFileSystem files;
  const auto journal = std::make_shared<Journal>();
  Image source = recording_disk(Way::plain, disk, std::make_shared<Journal>());
  Image target = recording_target(Way::flat, files, disk.size(), journal);
  const CopyReport report = copy_image(source, target);
  CHECK(contents_of(target) == disk);
  CHECK(report.data_bytes == disk.size() - 64 * kKiB);
  CHECK_FALSE(journal->touched(Journal::What::write, 64 * kKiB, 64 * kKiB));
  CHECK(journal->touched(Journal::What::write, 256 * kKiB, 4 * kKiB));
}

TEST_CASE("a larger target is zeros behind the source's end, a smaller one is refused") {
  const std::vector<ScriptRun> runs = {{100 * kKiB + 512, kData}};
  Image source = script_disk(runs);
  std::vector<std::byte> wanted = script_bytes(runs);
  wanted.resize(300 * kKiB);
  for (const Way way : {Way::plain, Way::flat}) {
    Image target = recording_disk(way, noise(wanted.size()), std::make_shared<Journal>());
    copy_image(source, target);
    CHECK(contents_of(target) == wanted);
    Image small = recording_disk(way, noise(100 * kKiB), std::make_shared<Journal>());
    CHECK_ERRC(copy_image(source, small), Errc::invalid_argument);
  }
  MemoryFileSystem files;
  Image fresh = recording_target(Way::bulk, files, wanted.size(), std::make_shared<Journal>());
  copy_image(source, fresh);
  CHECK(contents_of(fresh) == wanted);
}

TEST_CASE("a disk of no bytes can be copied") {
  Image source = script_disk({});
  for (const Way way : {Way::plain, Way::flat, Way::bulk}) {
    MemoryFileSystem files;
    Image target = recording_target(way, files, 0, std::make_shared<Journal>());
    CHECK(copy_image(source, target).data_bytes == 0);
    target.close();
    CHECK(files.find("a.rec")->size() == 0);
  }
}

TEST_CASE("a disk of 1 EiB that holds nothing is copied at once") {
  Image source = script_disk({{uint64_t{1} << 60, kAbsent}});
  MemoryFileSystem files;
  const auto journal = std::make_shared<Journal>();
  Image target = recording_target(Way::bulk, files, source.size(), journal);
  CHECK(copy_image(source, target).data_bytes == 0);
  CHECK(journal->all().empty());
}

TEST_CASE("threads: progress never goes back and ends at the total") {
  for (const unsigned threads : {1u, 4u}) {
    MemoryFileSystem files;
    Image source = script_disk(kMixed);
    Image target = recording_target(Way::bulk, files, source.size(), std::make_shared<Journal>());
    std::vector<uint64_t> seen;
    CopyOptions options = with_threads(threads);
    options.progress = [&](uint64_t done, uint64_t total) {
      CHECK(total == source.size());
      seen.push_back(done);
    };
    copy_image(source, target, options);
    REQUIRE_FALSE(seen.empty());
    CHECK(std::is_sorted(seen.begin(), seen.end()));
    CHECK(seen.back() == source.size());
  }
}

TEST_CASE("threads: a cancelled copy stops, and the target that is given up is nowhere") {
  for (const Way way : {Way::plain, Way::flat, Way::bulk}) {
    MemoryFileSystem files;
    CancelToken cancel;
    CopyOptions options = with_threads(2);
    options.cancel = &cancel;
    options.progress = [&](uint64_t done, uint64_t) {
      if (done > 0) cancel.cancel();
    };
    Image source = script_disk({{64 * kMiB, kData}});
    {
      Image target = recording_target(way, files, source.size(), std::make_shared<Journal>());
      CHECK_ERRC(copy_image(source, target, options), Errc::cancelled);
    }
    CHECK(files.paths().empty());
  }
}

TEST_CASE("threads: an error in the middle comes out as it is, and leaves no target") {
  for (const Way way : {Way::plain, Way::flat, Way::bulk}) {
    for (const unsigned threads : {1u, 4u}) {
      MemoryFileSystem files;
      Image source = script_disk(kMixed, nullptr, 8 * kMiB);
      {
        Image target = recording_target(way, files, source.size(), std::make_shared<Journal>());
        CHECK_ERRC(copy_image(source, target, with_threads(threads)), Errc::io);
      }
      CHECK(files.paths().empty());
    }
  }
}

TEST_CASE("threads: a full disk is no_space, and leaves no target") {
  for (const Way way : {Way::plain, Way::flat, Way::bulk}) {
    MemoryFileSystem files(2 * kMiB);
    Image source = script_disk(kMixed);
    {
      Image target = recording_target(way, files, source.size(), std::make_shared<Journal>());
      CHECK_ERRC(copy_image(source, target, with_threads(4)), Errc::no_space);
    }
    CHECK(files.paths().empty());
  }
}

TEST_CASE("flat disks whose storages can copy among themselves are not read by hand") {
  /// Counts what is copied inside, and can't copy the second half.
  class Copying final : public PassingStorage {
   public:
    using PassingStorage::PassingStorage;
    uint64_t copy_from(Storage& source, uint64_t source_offset, uint64_t offset, uint64_t length) override {
      if (offset >= kMiB) return 0;
      const uint64_t part = std::min(length, kMiB - offset);
      std::vector<std::byte> bytes(part);
      source.read_at(source_offset, bytes);
      below_->write_at(offset, bytes);
      copied += part;
      return part;
    }
    uint64_t copied = 0;
  };
  const auto storage = std::make_shared<Copying>(std::make_shared<MemoryStorage>());
  storage->resize(2 * kMiB + 100);
  const std::vector<std::byte> disk = noise(2 * kMiB + 100);
  const auto journal = std::make_shared<Journal>();
  Image source = recording_disk(Way::flat, disk, std::make_shared<Journal>());
  Image target = recording_disk(Way::flat, storage, journal);
  copy_image(source, target);
  CHECK(contents_of(target) == disk);
  CHECK(storage->copied == kMiB);
  CHECK_FALSE(journal->touched(Journal::What::write, 0, kMiB));
}

TEST_CASE("a pipe gets every byte in order, zeros too") {
  /// As a pipe: takes bytes at its end only.
  class Appending final : public PassingStorage {
   public:
    using PassingStorage::PassingStorage;
    void write_at(uint64_t offset, ConstBytes data) override {
      if (offset != below_->size()) throw Error(Errc::invalid_argument, "not at the end").at(offset);
      below_->write_at(offset, data);
    }
  };
  const std::vector<std::byte> disk = script_bytes(kMixed);
  MemoryFileSystem files;
  const auto memory = std::make_shared<MemoryStorage>();
  Image source = script_disk(kMixed);
  Image target = recording_target(Way::plain, files, source.size(), std::make_shared<Journal>(), std::make_shared<Appending>(memory));
  copy_image(source, target, with_threads(4));
  target.close();
  CHECK(memory->contents() == disk);
}
