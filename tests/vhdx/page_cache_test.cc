// Metadata in memory: pages, sector bitmaps, free space.
#include "vhdx/page_cache.h"

#include <algorithm>
#include <atomic>
#include <thread>

#include "base/in_flight.h"
#include "support/pattern.h"
#include "support/seeds.h"
#include "vhdx/builder.h"
#include "vhdx/file_space.h"
#include "vhdx/owner_map.h"
#include "vhdx/sector_bitmap.h"

namespace varve::test {
namespace {

using vhdx::kPageSize;
using vhdx::PageCache;

std::shared_ptr<MemoryStorage> file_of_pages(uint64_t count) {
  auto file = std::make_shared<MemoryStorage>("pages");
  file->write_at(0, pattern(0, 1, count * kPageSize));
  return file;
}

void store(Storage& file, const vhdx::PageBatch& batch) {
  for (const auto& item : batch.pages) file.write_at(item.offset, *item.page);
}

TEST_CASE("pages: what was written is read back at once, and reaches the file only by take()") {
  auto file = file_of_pages(8);
  const Bytes before = file->contents();
  PageCache pages(file, kMiB);
  pages.write(kPageSize - 3, filled(6, 7));
  const Bytes tail(pages.page(0)->end() - 5, pages.page(0)->end());
  CHECK(Bytes(tail.begin() + 2, tail.end()) == filled(3, 7));
  CHECK(tail[0] == before[kPageSize - 5]);
  CHECK(pages.page(kPageSize)->at(2) == std::byte{7});
  CHECK(pages.page(kPageSize)->at(3) == before[kPageSize + 3]);
  CHECK(pages.changed_bytes() == 2 * kPageSize);
  CHECK(file->contents() == before);

  const vhdx::PageBatch batch = pages.take();
  REQUIRE(batch.pages.size() == 2);
  CHECK(batch.pages[0].offset == 0);
  CHECK(batch.pages[1].offset == kPageSize);
  CHECK(pages.changed_bytes() == 0);
  CHECK(pages.take().pages.empty());
  store(*file, batch);
  pages.finish(batch);
  Bytes expected = before;
  std::fill_n(expected.begin() + kPageSize - 3, 6, std::byte{7});
  CHECK(file->contents() == expected);
}

TEST_CASE("pages: a batch holds what was there when it was taken; later changes are another batch's") {
  auto file = file_of_pages(2);
  PageCache pages(file, kMiB);
  pages.write(0, filled(1, 1));
  const vhdx::PageBatch first = pages.take();
  pages.write(0, filled(1, 2));
  const vhdx::PageBatch second = pages.take();
  CHECK(first.pages.at(0).page->front() == std::byte{1});
  CHECK(second.pages.at(0).page->front() == std::byte{2});
  pages.finish(first);
  pages.finish(second);
}

TEST_CASE("pages: a change that changes nothing leaves nothing to write") {
  PageCache pages(file_of_pages(1), kMiB);
  pages.update(0, [](vhdx::Page&) { return false; });
  CHECK(pages.changed_bytes() == 0);
}

TEST_CASE("pages: neither changed nor pending pages are dropped for room, whatever else is read") {
  auto file = file_of_pages(300);
  PageCache pages(file, 16 * kPageSize);
  pages.write(5 * kPageSize, filled(1, 1));
  const vhdx::PageBatch pending = pages.take();
  pages.write(7 * kPageSize, filled(1, 2));
  for (uint64_t i = 0; i < 300; ++i) pages.page(i * kPageSize);
  CHECK(pages.page(5 * kPageSize)->front() == std::byte{1});
  CHECK(pages.page(7 * kPageSize)->front() == std::byte{2});
  // Once it is in its place it may be dropped and is read again from there.
  store(*file, pending);
  pages.finish(pending);
  file->write_at(5 * kPageSize, filled(1, 9));
  for (uint64_t i = 100; i < 300; ++i) pages.page(i * kPageSize);
  CHECK(pages.page(5 * kPageSize)->front() == std::byte{9});
}

TEST_CASE("pages: one that the file ends before is corrupt, and asks for nothing") {
  PageCache pages(file_of_pages(2), kMiB);
  CHECK_ERRC(pages.page(2 * kPageSize), Errc::corrupt);
  CHECK_ERRC(pages.page(1000 * kPageSize), Errc::corrupt);
  CHECK(pages.changed_bytes() == 0);
}

TEST_CASE("threads: every count survives, while others evict and a third writes batches out") {
  constexpr uint64_t kPages = 64;
  auto file = std::make_shared<MemoryStorage>("pages");
  file->resize(kPages * kPageSize);
  PageCache pages(file, 16 * kPageSize);
  constexpr int kThreads = 4;
  constexpr int kRounds = 800;
  std::atomic<bool> done = false;
  const auto flush = [&] {
    const vhdx::PageBatch batch = pages.take();
    store(*file, batch);
    pages.finish(batch);
  };
  std::thread flusher([&] {
    while (!done) flush();
  });
  std::vector<std::thread> writers;
  for (uint64_t thread = 0; thread < kThreads; ++thread) {
    writers.emplace_back([&pages, thread] {
      Rng rng(thread);
      for (int round = 0; round < kRounds; ++round) {
        pages.update(rng.below(kPages) * kPageSize, [thread](vhdx::Page& page) {
          page[8 * thread + 0] = static_cast<std::byte>(std::to_integer<unsigned>(page[8 * thread]) + 1);
          if (page[8 * thread] == std::byte{0})
            page[8 * thread + 1] = static_cast<std::byte>(std::to_integer<unsigned>(page[8 * thread + 1]) + 1);
          return true;
        });
      }
    });
  }
  for (std::thread& writer : writers) writer.join();
  done = true;
  flusher.join();
  flush();
  uint64_t total = 0;
  const Bytes all = file->contents();
  for (uint64_t page = 0; page < kPages; ++page)
    for (uint64_t thread = 0; thread < kThreads; ++thread) total += get(all, page * kPageSize + 8 * thread, 2);
  CHECK(total == kThreads * kRounds);
}

// ---- sector bitmaps ------------------------------------------------------------------------------------

TEST_CASE("sector bitmaps: the least significant bit is the first sector, 1 is here") {
  auto file = std::make_shared<MemoryStorage>("bitmap");
  file->resize(2 * kMiB);
  file->write_at(kMiB, Bytes{std::byte{0x01}, std::byte{0x80}, std::byte{0xff}, std::byte{0xff}});
  PageCache pages(file, kMiB);
  const vhdx::SectorBitmap bitmap(pages, kMiB);
  const auto run = [&](uint64_t first, uint64_t most) {
    const auto found = bitmap.run_at(first, most);
    return (found.present ? "here " : "parent ") + std::to_string(found.sectors);
  };
  CHECK(run(0, 100) == "here 1");
  CHECK(run(1, 100) == "parent 14");
  CHECK(run(15, 100) == "here 17");
  CHECK(run(15, 3) == "here 3");
  CHECK(run(32, 5) == "parent 5");
  CHECK(run(32767, 100) == "parent 1");
  CHECK(run(0x7fffff, 1) == "parent 1");
}

TEST_CASE("sector bitmaps: random fills against a plain vector, over the borders of pages") {
  auto file = std::make_shared<MemoryStorage>("bitmap");
  file->resize(2 * kMiB);
  PageCache pages(file, kMiB);
  vhdx::SectorBitmap bitmap(pages, kMiB);
  std::vector<bool> model(4 * 32768);
  Rng rng("sector bitmap");
  SHOW_SEED(rng);
  for (uint64_t round = scaled(200); round > 0; --round) {
    const uint64_t first = rng.one_in(2) ? rng.below(model.size()) : 32768 * rng.below(4) + rng.below(20);
    const uint64_t count = rng.below(std::min<uint64_t>(model.size() - first, rng.one_in(3) ? 70000 : 40) + 1);
    const bool present = rng.one_in(2);
    bitmap.fill(first, count, present);
    std::fill_n(model.begin() + static_cast<ptrdiff_t>(first), count, present);
  }
  for (uint64_t at = 0; at < model.size();) {
    const auto run = bitmap.run_at(at, model.size() - at);
    REQUIRE(run.sectors > 0);
    for (uint64_t i = 0; i < run.sectors; ++i) REQUIRE(model[at + i] == run.present);
    if (at + run.sectors < model.size() && (at + run.sectors) % 32768 != 0) CHECK(model[at + run.sectors] != run.present);
    at += run.sectors;
  }
}

TEST_CASE("sector bitmaps: filling with what is there changes no page") {
  auto file = std::make_shared<MemoryStorage>("bitmap");
  file->resize(2 * kMiB);
  PageCache pages(file, kMiB);
  vhdx::SectorBitmap bitmap(pages, kMiB);
  bitmap.fill(0, 100000, false);
  CHECK(pages.changed_bytes() == 0);
  bitmap.fill(32767, 2, true);
  CHECK(pages.changed_bytes() == 2 * kPageSize);
}

// ---- space ---------------------------------------------------------------------------------------------

TEST_CASE("free space: free blocks are known by runs, and the end only grows by what is taken there") {
  vhdx::FileSpace space(2 * kMiB, 10 * kMiB);
  CHECK_FALSE(space.has_free_block());
  CHECK(space.take_end(kMiB) == 10 * kMiB);
  CHECK(space.take_end(2 * kMiB) == 11 * kMiB);
  space.give_blocks(2 * kMiB, 0);
  CHECK_FALSE(space.has_free_block());
  space.give_blocks(4 * kMiB, 2);
  std::vector<uint64_t> taken;
  while (space.has_free_block()) taken.push_back(space.take_free_block());
  std::sort(taken.begin(), taken.end());
  CHECK(taken == std::vector<uint64_t>{4 * kMiB, 6 * kMiB});
  CHECK(space.end() == 13 * kMiB);
}

TEST_CASE("free space: what is free at the end is given up, from the last run on") {
  vhdx::FileSpace space(2 * kMiB, 10 * kMiB);
  space.give_blocks(6 * kMiB, 1);
  space.give_blocks(kMiB, 1);
  space.give_blocks(8 * kMiB, 1);
  CHECK(space.trim() == 6 * kMiB);
  CHECK(space.end() == 6 * kMiB);
  CHECK(space.take_free_block() == kMiB);
  CHECK_FALSE(space.has_free_block());
}

TEST_CASE("requests under way: a generation ends only when all that began before it have ended") {
  InFlight requests;
  CHECK(requests.advance());
  auto old = std::make_unique<InFlight::Request>(requests);
  CHECK(requests.advance());
  const InFlight::Request young(requests);
  CHECK_FALSE(requests.advance());  // the old one may still know an old place
  old.reset();
  CHECK(requests.advance());
  CHECK_FALSE(requests.advance());  // now the young one is the old one
}

TEST_CASE("owners: a place is taken once, wholly or in part; gaps are what nobody took") {
  vhdx::OwnerMap owners(10 * kMiB + 1, kMiB);
  CHECK(owners.take(kMiB, 2 * kMiB));
  CHECK_FALSE(owners.take(2 * kMiB, kMiB));
  CHECK_FALSE(owners.take(0, 2 * kMiB));
  CHECK_FALSE(owners.take(2 * kMiB + 1, 1));
  CHECK(owners.take(10 * kMiB, 5 * kMiB));
  CHECK(owners.take(kTiB, kMiB));
  CHECK(owners.take(UINT64_MAX - kMiB + 1, kMiB));
  CHECK(owners.take(5 * kMiB, 1));
  std::vector<std::pair<uint64_t, uint64_t>> gaps;
  owners.for_each_gap([&](uint64_t offset, uint64_t length) { gaps.emplace_back(offset / kMiB, length / kMiB); });
  CHECK(gaps == std::vector<std::pair<uint64_t, uint64_t>>{{0, 1}, {3, 2}, {6, 4}});
  CHECK_ERRC(vhdx::OwnerMap(64 * kTiB, kMiB), Errc::limit);
}

}  // namespace
}  // namespace varve::test
