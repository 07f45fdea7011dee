// Races and ends that whole images seldom come to.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <memory>
#include <thread>
#include <vector>

#include "native/dirty_blocks.h"
#include "native/journal.h"
#include "native/space.h"
#include "support/image_kit.h"
#include "support/pattern.h"
#include "support/storages.h"
#include "support/test.h"

namespace varve::test {
namespace {

using Bytes = std::vector<std::byte>;
constexpr uint64_t kKiB = 1024;

TEST_CASE("varve: what lies behind the end of a disk that became smaller never comes into a record") {
  native::DirtyBlocks blocks(65536);
  const auto nothing = [](uint64_t, MutableBytes out) { std::fill(out.begin(), out.end(), std::byte{0}); };
  blocks.write(0, Bytes(16384, std::byte{1}), nothing);
  Bytes storage;
  std::vector<native::DirtyBlocks::Ticket> tickets;
  for (const uint64_t size : {4096, 6000, 8192}) {
    tickets.clear();
    for (const native::JournalChange& change : blocks.changes(size, storage, tickets)) CHECK(change.offset + change.length <= size);
  }
  blocks.journaled(tickets);
  CHECK(blocks.unjournaled() == 0);
}

TEST_CASE("varve: space: what two owners had is told, and what is freed while somebody reads waits") {
  native::Space space(native::kFirstExtent, 512);
  space.found(UnitSet(512));
  const uint64_t first = space.take(8192);
  CHECK(space.free(first, 8192));
  CHECK_FALSE(space.free(first + 4096, 512));
  for (int i = 0; i < 5; ++i) {
    space.advance(false);
    CHECK(space.take(4096) > first);
  }
  space.advance(true);
  space.advance(true);
  CHECK(space.take(4096) == first);
}

/// Reads wait while the gate is shut.
class GatedStorage final : public PassingStorage {
 public:
  using PassingStorage::PassingStorage;
  void read_at(uint64_t offset, MutableBytes out) override {
    if (shut) {
      waiting = true;
      shut.wait(true);
    }
    below_->read_at(offset, out);
  }
  void open() {
    shut = false;
    shut.notify_all();
  }
  std::atomic<bool> shut{false};
  std::atomic<bool> waiting{false};
};

TEST_CASE("varve: a write of a part of a block does not bring back what is zeroed meanwhile") {
  TestDisk disk({"race", "varve", {{"cluster_size", "4K"}}, 64 * kKiB, std::nullopt});
  {
    Image image = disk.open();
    image.write_at(0, pattern(0, 1, 64 * kKiB));
    image.close();
  }
  std::shared_ptr<GatedStorage> gate;
  WrappingFileSystem gated(disk.files(),
                           [&](std::shared_ptr<Storage> below) { return gate = std::make_shared<GatedStorage>(std::move(below)); });
  disk.through = &gated;
  Image image = disk.open();
  Bytes seen(4096);
  image.read_at(8 * kKiB, seen);  // the node is known then
  gate->shut = true;
  std::thread writer([&] { image.write_at(512, pattern(512, 2, 512)); });
  while (!gate->waiting) std::this_thread::yield();
  std::atomic<bool> zeroed{false};
  std::thread zeroer([&] {
    image.zero(0, 4096);
    zeroed = true;
  });
  for (int i = 0; i < 50 && !zeroed; ++i) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  gate->open();
  writer.join();
  zeroer.join();
  image.read_at(0, seen);
  for (size_t at = 0; at < seen.size(); at += 512)
    if (at != 512) CHECK(describe_block(ConstBytes(seen).subspan(at, 512)) == "zeros");
}

// ---- the journal of another program ------------------------------------------------------------------

/// An image that was not closed, the first flush of its session behind it; its journal is empty.
struct Unclean {
  TestDisk disk;
  std::shared_ptr<MemoryStorage> file;
  native::Superblock superblock;

  explicit Unclean(const ImageConfig& config) : disk(config) {
    {
      Image image = disk.open();
      for (uint64_t i = 0; i < 2; ++i) {  // the second flush is the first that could use a journal
        image.write_at(0, pattern(0, 1 + i, 512));
        image.flush();
      }
    }
    file = disk.files().find(TestDisk::kPath);
    superblock = native::read_superblocks(*file, native::read_headers(*file).header).current;
  }
};

TEST_CASE("varve: changes of whole blocks in the journal of a child lie over its parent's bytes; of less than a block they are damage") {
  Unclean left({"child", "varve", {{"journal_size", "128K"}}, 256 * kKiB, 256 * kKiB});
  const Bytes data = pattern(128 * kKiB + 4096, 5, 4096);
  native::JournalWriter journal(*left.file, left.superblock, nullptr);
  REQUIRE(journal.append({{native::kChangeWrite, 128 * kKiB + 4096, 4096, data}, {native::kChangeZero, 192 * kKiB + 4096, 8192, {}}}));
  ShadowDisk model(256 * kKiB);
  model.write(0, left.disk.parent_model().bytes());
  model.write(0, pattern(0, 2, 512));
  model.write(128 * kKiB + 4096, data);
  model.zero(192 * kKiB + 4096, 8192);
  {
    Image image = left.disk.open(Access::read_only);
    CHECK(model.difference(image) == "");
  }
  {
    Image image = left.disk.open();
    CHECK(model.difference(image) == "");
    image.write_at(4096, pattern(4096, 9, 512));
    model.write(4096, pattern(4096, 9, 512));
    image.close();
    Image again = left.disk.open(Access::read_only);
    CHECK(model.difference(again) == "");
  }
  for (const uint32_t type : {native::kChangeWrite, native::kChangeZero}) {
    Unclean other({"child", "varve", {{"journal_size", "128K"}}, 256 * kKiB, 256 * kKiB});
    native::JournalWriter writer(*other.file, other.superblock, nullptr);
    REQUIRE(writer.append({{type, 128 * kKiB + 512, 512, type == native::kChangeWrite ? ConstBytes(data).first(512) : ConstBytes()}}));
    CHECK_ERRC(other.disk.open(Access::read_only), Errc::corrupt);
  }
}

}  // namespace
}  // namespace varve::test
