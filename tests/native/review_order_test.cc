// Rules R1 to R5 as they run: no superblock before what it refers to, and nothing written over that could still be needed.
#include <atomic>
#include <thread>

#include "native/builder.h"
#include "native/ordering_storage.h"
#include "support/image_kit.h"
#include "support/pattern.h"
#include "support/test.h"

namespace varve::test {
namespace {

constexpr uint64_t kKiB = 1024;

/// An image whose every opening for writing is held against the rules.
struct Watched {
  TestDisk disk;
  std::shared_ptr<OrderRules> rules;
  WrappingFileSystem files;

  explicit Watched(const ImageConfig& config)
      : disk(config),
        rules(std::make_shared<OrderRules>(disk.files().find(TestDisk::kPath))),
        files(disk.files(), [this](std::shared_ptr<Storage> below) -> std::shared_ptr<Storage> {
          if (below->name() != TestDisk::kPath) return below;
          return std::make_shared<OrderingStorage>(std::move(below), rules);
        }) {
    disk.through = &files;
  }
};

ImageConfig config(const char* name, const char* cluster, const char* compression, const char* journal, uint64_t size) {
  return {name, "varve", {{"cluster_size", cluster}, {"compression", compression}, {"journal_size", journal}}, size, std::nullopt};
}

std::vector<ImageConfig> configs() {
  return {config("4 KiB, zlib", "4K", "zlib:1", "128K", 300 * kKiB + 512), config("64 KiB", "64K", "none", "128K", 1300 * kKiB + 512),
          config("16 KiB, zstd, no journal", "16K", "zstd:1", "0", 700 * kKiB)};
}

TEST_CASE("varve: the order of writes holds over random sessions") {
  Rng rng("varve order");
  SHOW_SEED(rng);
  for (const ImageConfig& made : configs()) {
    INFO(made.name);
    Watched watched(made);
    for (uint64_t session = 0; session < scaled(12); ++session) {
      Image image = watched.disk.open();
      Workload work(image, watched.disk.model(), rng, {.read = 1, .write = 6, .zero = 2, .discard = 2, .flush = 3, .max_length = 60000});
      work.set_generation(session * 1000);
      REQUIRE(work.run(60) == "");
      if (session % 3 == 1) image.resize(image.size() - 24 * kKiB), watched.disk.model().resize(image.size());
      if (session % 3 == 2) image.resize(image.size() + 20 * kKiB), watched.disk.model().resize(image.size());
      REQUIRE(work.run(30) == "");
      image.close();
      CHECK(watched.rules->broken() == "");
    }
    if (stride() == 1) {  // the rules had something to say
      CHECK(watched.rules->superblocks() > 50);
      CHECK(watched.rules->reused() > 50);
      CHECK((watched.rules->records() > 20 || made.options.at("journal_size") == "0"));
    }
    Image image = watched.disk.open(Access::read_only);
    CHECK(watched.disk.model().difference(image) == "");
    CHECK(damages(image) == "");
  }
}

/// Each thread has its own part of the disk and knows what it holds.
void work_on_part(Image& image, uint64_t part, uint64_t begin, uint64_t length, std::atomic<bool>& wrong) {
  Rng rng(part);
  ShadowDisk model(length);
  std::vector<std::byte> old(length);
  image.read_at(begin, old);
  model.write(0, old);
  for (int i = 0; i < 150; ++i) {
    const uint64_t offset = rng.below(length);
    const uint64_t n = std::min(length - offset, rng.between(1, 20000));
    const uint64_t choice = rng.below(8);
    if (choice < 4) {
      const std::vector<std::byte> data = pattern(begin + offset, part * 1000 + static_cast<uint64_t>(i), n);
      image.write_at(begin + offset, data);
      model.write(offset, data);
    } else if (choice == 4) {
      image.zero(begin + offset, n);
      model.zero(offset, n);
    } else if (choice == 5) {
      image.flush();
    } else {
      std::vector<std::byte> now(n);
      image.read_at(begin + offset, now);
      if (!std::equal(now.begin(), now.end(), model.bytes(offset, n).begin())) wrong = true;
    }
  }
}

TEST_CASE("varve: the order of writes holds when many threads write, zero, read and flush, and each reads what it wrote") {
  for (const ImageConfig& made : configs()) {
    INFO(made.name);
    Watched watched(made);
    Image image = watched.disk.open();
    std::atomic<bool> wrong{false};
    std::vector<std::thread> threads;
    const uint64_t part = made.size / 6;
    for (uint64_t i = 0; i < 6; ++i) threads.emplace_back([&, i] { work_on_part(image, i, i * part, part, wrong); });
    for (std::thread& thread : threads) thread.join();
    CHECK_FALSE(wrong);
    CHECK(watched.rules->broken() == "");
    CHECK(damages(image) == "");
    image.close();
    CHECK(watched.rules->broken() == "");
  }
}

// ---- one reader holds back what is freed, and nothing else ---------------------------------------------

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
  std::atomic<bool> shut{false};
  std::atomic<bool> waiting{false};
};

TEST_CASE("varve: a commit begins at a block though a reader has been under way for long") {
  Watched watched(config("4 KiB, zlib", "4K", "zlib:1", "0", 64 * kKiB));
  {
    Image image = watched.disk.open();
    image.write_at(32 * kKiB, pattern(32 * kKiB, 1, 4096));
    image.close();
  }
  std::shared_ptr<GatedStorage> gate;
  WrappingFileSystem gated(watched.files,
                           [&](std::shared_ptr<Storage> below) { return gate = std::make_shared<GatedStorage>(std::move(below)); });
  watched.disk.through = &gated;
  Image image = watched.disk.open();
  image.write_at(0, pattern(0, 3, 4096));  // compresses well
  image.flush();
  gate->shut = true;
  std::vector<std::byte> seen(4096);
  std::thread reader([&] { image.read_at(32 * kKiB, seen); });
  while (!gate->waiting) std::this_thread::yield();
  for (uint64_t i = 1; i < 6; ++i) {
    CHECK_NOTHROW(image.write_at(i * 4096, pattern(i * 4096, 3, 4096)));
    CHECK_NOTHROW(image.flush());
  }
  gate->shut = false;
  gate->shut.notify_all();
  reader.join();
  CHECK(watched.rules->broken() == "");
  CHECK(seen == pattern(32 * kKiB, 1, 4096));
}

TEST_CASE("varve: a repair that gives the catalog up writes into no hole before its commit, also after a clean close") {
  const auto cluster = [](uint64_t number, const Bytes& bytes) {
    PointerSpec spec;
    spec.address = kExtents + number * kBlock;
    spec.length = kBlock;
    spec.tag = xxh3(bytes);
    return pointer_bytes(spec);
  };
  const Bytes data(kBlock, std::byte{7});
  SuperblockSpec s;
  s.flags = 1;
  s.generation = 3;
  // Before the node lies what snapshots may have held. The disk's second cluster is damaged, so the node is written anew.
  Bytes node(kNode);
  put_bytes(node, 0, cluster(14, data));
  put_bytes(node, 32, cluster(15, data));
  PointerSpec root;
  root.address = kExtents + 10 * kBlock;
  root.length = kNode;
  root.kind = 3;
  root.level = 1;
  root.tag = xxh3(node);
  s.head = object_bytes(2 * kBlock, 1, pointer_bytes(root));
  s.catalog = object_bytes(100, 0, cluster(16, data));  // whole, and no catalog
  s.end = kExtents + 17 * kBlock;
  const auto file = file_of({}, s);
  s.generation = 4;
  put_superblock(*file, s);
  file->write_at(kExtents + 10 * kBlock, node);
  file->write_at(kExtents + 14 * kBlock, data);
  file->write_at(kExtents + 15 * kBlock, Bytes(kBlock, std::byte{8}));
  file->write_at(kExtents + 16 * kBlock, data);
  const auto log = std::make_shared<EventLog>();
  OpenOptions how;
  how.access = Access::read_write;
  how.format = "varve";
  how.for_check = true;
  Image image = Image::open(std::make_shared<RecordingStorage>(file, log), how);
  CheckOptions all;
  all.repair = Repair::all;
  CHECK(image.check(all).repaired > 0);
  uint64_t written = 0;
  for (const StorageEvent& event : log->events()) {
    if (event.kind != StorageEvent::Kind::write) continue;
    if (event.offset == 4096 || event.offset == 69632) break;
    CHECK((event.offset < kExtents || event.offset >= s.end));
    ++written;
  }
  image.close();
  CHECK(written > 0);
}

}  // namespace
}  // namespace varve::test
