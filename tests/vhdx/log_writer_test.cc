// Entries as LogWriter writes them [MS-VHDX 2.3.1].
#include "vhdx/log_writer.h"

#include "support/pattern.h"
#include "vhdx/builder.h"
#include "vhdx/log.h"

namespace varve::test {
namespace {

using Items = std::vector<vhdx::PageBatch::Item>;

Items pages(uint64_t first, uint64_t count, uint64_t generation) {
  Items items;
  for (uint64_t i = 0; i < count; ++i) {
    auto page = std::make_shared<vhdx::Page>();
    fill_pattern(first + i * 4096, generation, *page);
    items.push_back({first + i * 4096, page});
  }
  return items;
}

std::vector<LogChange> changes(const Items& items) {
  std::vector<LogChange> all;
  for (const auto& item : items) all.push_back({item.offset, {item.page->begin(), item.page->end()}, 0});
  return all;
}

/// An image whose log a writer fills.
struct Writing {
  explicit Writing(uint64_t length = kMiB) {
    spec.set_log({});
    for (HeaderSpec& copy : spec.headers) {
      copy.log_length = static_cast<uint32_t>(length);
      copy.log_offset = 16 * kMiB;
    }
    spec.file_size = 16 * kMiB + length;
    file = spec.build();
    header = vhdx::read_headers(*file).header();
    writer.emplace(*file, header, parse_uuid(kLogGuid));
  }
  std::vector<uint64_t> sequences() {
    std::vector<uint64_t> numbers;
    for (const vhdx::LogEntry& entry : vhdx::read_log(*file, header, {}).entries) numbers.push_back(entry.sequence);
    return numbers;
  }

  VhdxSpec spec;
  std::shared_ptr<MemoryStorage> file;
  vhdx::Header header;
  std::optional<vhdx::LogWriter> writer;
};

TEST_CASE("an entry is written as the specification says, byte by byte") {
  for (const uint64_t count : {1, 2, 126}) {
    Writing w;
    const Items items = pages(2 * kMiB, count, 3);
    w.writer->append(items, w.file->size());
    const Bytes expected = log_entry({.changes = changes(items), .flushed_size = w.file->size(), .last_size = w.file->size()});
    Bytes written(expected.size());
    w.file->read_at(16 * kMiB, written);
    CHECK(written == expected);
  }
}

TEST_CASE("sizes of the file are whole MiB in an entry: what is surely there, and what has room for all") {
  Writing w;
  w.writer->append(pages(2 * kMiB, 1, 3), 17 * kMiB + 512);
  Bytes head(64);
  w.file->read_at(16 * kMiB, head);
  CHECK(get(head, 48, 8) == 17 * kMiB);
  CHECK(get(head, 56, 8) == 18 * kMiB);
}

TEST_CASE("each entry is its own tail and has the next number: only the last one is replayed") {
  Writing w;
  for (uint64_t i = 1; i <= 5; ++i) {
    w.writer->append(pages(2 * kMiB, 3, i), w.file->size());
    CHECK(w.sequences() == std::vector<uint64_t>{i});
  }
}

TEST_CASE("an entry takes at most half of the ring, and the last whole one survives the next one's being torn, at every turn of the ring") {
  CHECK(vhdx::LogWriter::capacity_of(kMiB) == 126);
  for (const uint64_t count : {uint64_t{1}, uint64_t{50}, uint64_t{126}}) {
    Writing w;
    REQUIRE(w.writer->capacity() >= count);
    for (uint64_t i = 1; i <= 12; ++i) {
      w.writer->append(pages(2 * kMiB, count, i), w.file->size());
      const Bytes before = w.file->contents();
      vhdx::LogWriter next = *w.writer;
      next.append(pages(2 * kMiB, count, i + 1), w.file->size());
      const Bytes after = w.file->contents();
      // Each half of what the next entry changes, as a torn write would leave it.
      for (const bool first_half : {true, false}) {
        Bytes torn = before;
        for (uint64_t at = 16 * kMiB; at < torn.size(); at += 4096) {
          const bool early = (at / 4096) % 2 == 0;
          if (early == first_half) std::copy_n(after.begin() + static_cast<ptrdiff_t>(at), 4096, torn.begin() + static_cast<ptrdiff_t>(at));
        }
        if (torn == after) continue;
        MemoryStorage left("left", torn);
        const vhdx::PendingLog log = vhdx::read_log(left, w.header, {});
        REQUIRE(log.entries.size() == 1);
        CHECK(log.entries.front().sequence == i);
      }
      w.file->write_at(0, before);
    }
  }
}

TEST_CASE("how many pages fit into half of a ring: heads and pages, counted one by one") {
  for (const uint64_t mib : {1, 2, 3, 64, 4095}) {
    const uint64_t capacity = vhdx::LogWriter::capacity_of(mib * kMiB);
    const auto sectors = [](uint64_t count) { return (64 + 32 * count + 4095) / 4096 + count; };
    CHECK(sectors(capacity) <= mib * kMiB / 8192);
    CHECK(sectors(capacity + 1) > mib * kMiB / 8192);
  }
}

}  // namespace
}  // namespace varve::test
