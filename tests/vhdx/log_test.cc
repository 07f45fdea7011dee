// Which entries of a log count [MS-VHDX 2.3.1, 2.3.3].
#include "vhdx/log.h"

#include <chrono>

#include "support/pattern.h"
#include "vhdx/builder.h"

namespace varve::test {
namespace {

constexpr uint64_t kSector = 4096;
constexpr uint64_t kTarget = VhdxSpec::kBlocksAt;

LogChange page(uint64_t offset, uint64_t generation) { return {offset, pattern(offset, generation, kSector)}; }

/// An entry that is its own tail and changes one sector.
Bytes entry(uint64_t sequence, uint64_t tail) {
  return log_entry({.sequence = sequence, .tail = static_cast<uint32_t>(tail), .changes = {page(kTarget, sequence)}});
}
constexpr uint64_t kEntrySize = 2 * kSector;

VhdxSpec with_log(const std::map<uint64_t, Bytes>& entries) {
  VhdxSpec spec;
  spec.set_log(entries);
  return spec;
}

vhdx::PendingLog read(const VhdxSpec& spec, const Limits& limits = {}) {
  const auto file = spec.build();
  return vhdx::read_log(*file, vhdx::read_headers(*file).header(), limits);
}

std::vector<uint64_t> sequences(const std::map<uint64_t, Bytes>& entries) {
  std::vector<uint64_t> numbers;
  for (const vhdx::LogEntry& one : read(with_log(entries)).entries) numbers.push_back(one.sequence);
  return numbers;
}
using Numbers = std::vector<uint64_t>;

TEST_CASE("an entry's data and zero descriptors are applied in order, with the sector's ends put back") {
  const Bytes bytes = log_entry({.changes = {page(kTarget, 1), {kTarget + kSector, {}, 3 * kSector}, page(kTarget, 2)}});
  std::vector<std::string> done;
  vhdx::visit(
      read(with_log({{0, bytes}})),
      {.data =
           [&](uint64_t offset, ConstBytes sector) {
             CHECK(offset == kTarget);
             done.push_back(describe_block(sector.first(512)));
             CHECK(describe_block(sector.last(512)).find("mixed") == std::string::npos);
           },
       .zero = [&](uint64_t offset, uint64_t length) { done.push_back("zero " + std::to_string(offset) + " " + std::to_string(length)); }});
  CHECK(done == std::vector<std::string>{"block 8192 of generation 1", "zero 4198400 12288", "block 8192 of generation 2"});
}

TEST_CASE("126 descriptors fit into the first sector, and 128 into each further one") {
  for (const uint64_t count : {0, 1, 126, 127, 248}) {
    LogEntrySpec spec;
    for (uint64_t i = 0; i < count; ++i)
      spec.changes.push_back(i % 2 == 0 ? page(kTarget + i * kSector, 1) : LogChange{kTarget, {}, kSector});
    const vhdx::PendingLog log = read(with_log({{0, log_entry(spec)}}));
    uint64_t seen = 0;
    vhdx::visit(log, {.data = [&](uint64_t, ConstBytes) { ++seen; }, .zero = [&](uint64_t, uint64_t) { ++seen; }});
    CHECK(seen == count);
  }
}

TEST_CASE("no log without a GUID, and none where no entry bears the header's") {
  VhdxSpec spec = with_log({{0, entry(1, 0)}});
  for (HeaderSpec& header : spec.headers) header.log_guid = kNoGuid;
  CHECK(read(spec).empty());
  CHECK(sequences({}).empty());
  CHECK(sequences({{0, log_entry({.changes = {page(kTarget, 1)}, .guid = kUnknown})}}).empty());
}

TEST_CASE("RES-6: an entry of another GUID ends a sequence") {
  CHECK(sequences({{0, entry(1, 0)}, {kEntrySize, log_entry({.sequence = 2, .changes = {page(kTarget, 1)}, .guid = kUnknown})}}) ==
        Numbers{1});
}

TEST_CASE("RES-6: a torn last entry is left out, whatever was torn of it") {
  for (const uint64_t torn : {uint64_t{5}, uint64_t{70}, kSector - 1, kSector, kSector + 100, 2 * kSector - 1}) {
    Bytes last = entry(2, 0);
    last[torn] ^= std::byte{0x40};
    CHECK(sequences({{0, entry(1, 0)}, {kEntrySize, last}}) == Numbers{1});
  }
}

TEST_CASE("RES-6: replay begins at the tail of the last entry, also one in the middle") {
  const auto three = [](uint64_t tail) {
    return sequences({{0, entry(1, 0)}, {kEntrySize, entry(2, 0)}, {2 * kEntrySize, entry(3, tail)}});
  };
  CHECK(three(0) == Numbers{1, 2, 3});
  CHECK(three(kEntrySize) == Numbers{2, 3});
  CHECK(three(2 * kEntrySize) == Numbers{3});
  // Into an entry: no sequence that includes the third is valid, so none of this start is.
  CHECK_ERRC(three(kSector), Errc::corrupt);
}

TEST_CASE("RES-6: an entry that goes on at the ring's start, and a sequence that does") {
  CHECK(sequences({{kMiB - kSector, entry(7, kMiB - kSector)}}) == Numbers{7});
  const uint64_t first = kMiB - kEntrySize;
  CHECK(sequences({{first, entry(7, first)}, {0, entry(8, first)}, {kEntrySize, entry(9, first)}}) == Numbers{7, 8, 9});
  const uint64_t split = kMiB - kSector;
  CHECK(sequences({{split, entry(7, split)}, {kSector, entry(8, split)}}) == Numbers{7, 8});
}

TEST_CASE("RES-6: a stale sequence loses against a newer one, wherever they lie") {
  CHECK(sequences({{0, entry(10, 0)}, {kMiB / 2, entry(3, kMiB / 2)}, {kMiB / 2 + kEntrySize, entry(4, kMiB / 2)}}) == Numbers{10});
  CHECK(sequences({{0, entry(3, 0)}, {kEntrySize, entry(4, 0)}, {kMiB / 2, entry(10, kMiB / 2)}}) == Numbers{10});
  // Right behind the newer one lies what remains of an older lap.
  CHECK(sequences({{0, entry(10, 0)}, {kEntrySize, entry(4, kEntrySize)}}) == Numbers{10});
}

TEST_CASE("RES-6: numbers that do not follow each other end a sequence") {
  CHECK(sequences({{0, entry(1, 0)}, {kEntrySize, entry(3, kEntrySize)}}) == Numbers{3});
  CHECK(sequences({{0, entry(1, 0)}, {kEntrySize, entry(3, 0)}}) == Numbers{1});
  CHECK(sequences({{0, entry(5, 0)}, {kEntrySize, entry(5, 0)}}) == Numbers{5});
  CHECK(sequences({{0, entry(5, 0)}, {kEntrySize, entry(4, 0)}}) == Numbers{5});
}

TEST_CASE("an entry lies as the specification says: each lie about it makes a log of it corrupt") {
  struct Lie {
    const char* what;
    uint64_t at;
    uint64_t value;
    unsigned size;
  };
  const std::vector<Lie> lies = {{"a length of 0", 8, 0, 4},
                                 {"a length that is not whole sectors", 8, kEntrySize - 1, 4},
                                 {"a length beyond its data", 8, 3 * kSector, 4},
                                 {"a length without its data", 8, kSector, 4},
                                 {"a length beyond the ring", 8, 2 * kMiB, 4},
                                 {"the largest length", 8, 0xfffff000, 4},
                                 {"a tail that is no sector", 12, 1, 4},
                                 {"a tail outside the ring", 12, kMiB, 4},
                                 {"sequence number 0", 16, 0, 8},
                                 {"more descriptors than sectors", 24, 2, 4},
                                 {"descriptors beyond the entry", 24, 1000, 4},
                                 {"the most descriptors", 24, UINT32_MAX, 4},
                                 {"no descriptor for the data", 24, 0, 4},
                                 {"a descriptor of unknown kind", 64, 0x12345678, 4},
                                 {"another number in the descriptor", 64 + 24, 2, 8},
                                 {"another upper half in the descriptor", 64 + 28, 1, 4},
                                 {"no signature of the data", kSector, 0, 4},
                                 {"another upper half in the data", kSector + 4, 1, 4},
                                 {"another lower half in the data", 2 * kSector - 4, 2, 4}};
  for (const Lie& lie : lies) {
    INFO(lie.what);
    Bytes bytes = entry(1, 0);
    put(bytes, lie.at, lie.value, lie.size);
    const uint64_t length = get(bytes, 8, 4);
    bytes.resize(std::max<uint64_t>(bytes.size(), std::min(length, kMiB)));
    seal(bytes, 0, length == 0 || length > kMiB ? bytes.size() : length);
    opening_fails(with_log({{0, bytes}}), Errc::corrupt);
  }
  Bytes bytes = entry(1, 0);
  bytes[4] ^= std::byte{1};
  opening_fails(with_log({{0, bytes}}), Errc::corrupt);
}

TEST_CASE("RES-6: a file shorter than when the log was written was cut: corrupt, and untouched") {
  const auto flushed = [](uint64_t size) { return with_log({{0, log_entry({.changes = {page(kTarget, 1)}, .flushed_size = size})}}); };
  CHECK_NOTHROW(read(flushed(8 * kMiB)));
  for (const uint64_t size : {8 * kMiB + 1, kTiB, uint64_t{UINT64_MAX}}) opening_fails(flushed(size), Errc::corrupt);
}

TEST_CASE("RES-6: of a sequence the last entry tells how long the file is: it may have been made shorter since an older one") {
  const Bytes older = log_entry({.sequence = 1, .changes = {page(kTarget, 1)}, .flushed_size = 12 * kMiB, .last_size = 12 * kMiB});
  CHECK(sequences({{0, older}, {kEntrySize, entry(2, 0)}}) == Numbers{1, 2});
}

TEST_CASE("RES-5: an entry lets the file grow by 1 GiB at most") {
  const auto grown = [](uint64_t size) { return with_log({{0, log_entry({.changes = {page(kTarget, 1)}, .last_size = size})}}); };
  for (const uint64_t size : {uint64_t{0}, 8 * kMiB, 8 * kMiB + 5000, 9 * kMiB, 8 * kMiB + kGiB}) CHECK_NOTHROW(read(grown(size)));
  for (const uint64_t size : {8 * kMiB + kGiB + 1, kTiB, uint64_t{UINT64_MAX}}) opening_fails(grown(size), Errc::corrupt);
}

TEST_CASE("RES-5: an entry changes neither headers nor log nor what lies outside the file") {
  const auto refuse = [](const LogChange& change) {
    opening_fails(with_log({{0, log_entry({.changes = {page(kTarget, 1), change}})}}), Errc::corrupt);
  };
  for (const uint64_t offset : {uint64_t{0}, 64 * kKiB, 128 * kKiB, 192 * kKiB - kSector, kMiB, 2 * kMiB - kSector, 8 * kMiB, kTiB,
                                uint64_t{UINT64_MAX} - kSector + 1, kTarget + 1, kTarget + 512})
    refuse(page(offset, 1));
  for (const auto& [offset, length] : std::vector<std::pair<uint64_t, uint64_t>>{{0, 8 * kMiB},
                                                                                 {128 * kKiB, 64 * kKiB},
                                                                                 {512 * kKiB, kMiB},
                                                                                 {kTarget, 4 * kMiB + kSector},
                                                                                 {kTarget, kSector + 1},
                                                                                 {kTarget, UINT64_MAX - kSector + 1},
                                                                                 {kTarget, UINT64_MAX},
                                                                                 {kGiB, 64 * kMiB}})
    refuse({offset, {}, length});
  // Region tables and everything behind the log may change.
  CHECK_NOTHROW(read(with_log({{0, log_entry({.changes = {page(192 * kKiB, 1), page(2 * kMiB, 1), page(8 * kMiB - kSector, 1)}})}})));
}

TEST_CASE("RES-6: a log larger than the limit, or outside the file, is refused") {
  Limits limits;
  limits.metadata_bytes = kMiB - 1;
  CHECK_ERRC(read(with_log({{0, entry(1, 0)}}), limits), Errc::limit);
  VhdxSpec spec = with_log({});
  for (HeaderSpec& header : spec.headers) header.log_length = 8 * kMiB;
  spec.regions = {{kBat, 10 * kMiB}, {kMetadata, 11 * kMiB}};
  opening_fails(spec, Errc::corrupt);
}

TEST_CASE("RES-6: a log of which every sector claims to begin a long entry is refused in bounded time") {
  constexpr uint64_t kRing = 32 * kMiB;
  VhdxSpec spec;
  for (HeaderSpec& header : spec.headers) {
    header.log_length = kRing;
    header.log_offset = 8 * kMiB;
  }
  spec.file_size = 8 * kMiB + kRing;
  std::map<uint64_t, Bytes> heads;
  for (uint64_t at = 0; at < kRing; at += kSector) {
    Bytes head = log_entry({.sequence = 1 + at / kSector, .changes = {}});
    put(head, 8, kRing, 4);
    heads[at] = head;
  }
  spec.set_log(heads);
  const auto start = std::chrono::steady_clock::now();
  CHECK_ERRC(read(spec), Errc::limit);
  // Without a bound it reads 8192 times 32 MiB, which takes minutes.
  CHECK(std::chrono::steady_clock::now() - start < std::chrono::seconds(20));
}

}  // namespace
}  // namespace varve::test
