// Attachments beside everything else that writes: the order of writes, many threads, and calls that fail.
#include <algorithm>
#include <atomic>
#include <map>
#include <thread>

#include "io/memory_file_system.h"
#include "native/ordering_storage.h"
#include "support/image_kit.h"
#include "support/pattern.h"
#include "support/secrets.h"
#include "support/seeds.h"
#include "support/test.h"

namespace varve::test {
namespace {

using Bytes = std::vector<std::byte>;
constexpr const char* kPath = "dir/disk.varve";
constexpr uint64_t kSize = 700 * 1024;

AttachmentSource source_of(const Bytes& bytes) {
  auto at = std::make_shared<size_t>(0);
  return [&bytes, at](MutableBytes out) {
    const size_t count = std::min(out.size(), bytes.size() - *at);
    std::copy_n(bytes.begin() + static_cast<ptrdiff_t>(*at), count, out.begin());
    *at += count;
    return count;
  };
}

Image open_in(FileSystem& files, Access access) {
  OpenOptions how;
  how.access = access;
  how.format = "varve";
  how.secret = test_key();
  how.file_system = &files;
  return Image::open(kPath, how);
}

/// Every opening for writing is held against the rules.
struct Watched {
  MemoryFileSystem below;
  std::shared_ptr<OrderRules> rules;
  std::unique_ptr<WrappingFileSystem> files;

  explicit Watched(const OptionMap& options) {
    create_image(below, kPath, "varve", kSize, options);
    rules = std::make_shared<OrderRules>(below.find(kPath));
    files = std::make_unique<WrappingFileSystem>(
        below, [this](std::shared_ptr<Storage> file) { return std::make_shared<OrderingStorage>(std::move(file), rules); });
  }
};

void random_step(Image& image, Rng& rng, std::map<std::string, Bytes>& model) {
  const std::string name = "n" + std::to_string(rng.below(3));
  switch (rng.below(7)) {
    case 0:
    case 1: model[name] = pattern(0, rng.next(), rng.below(300000)); return image.put_attachment({name}, 1, source_of(model[name]), true);
    case 2:
      if (model.erase(name) != 0) image.delete_attachment({name});
      return;
    case 3: return image.flush();
    case 4:
      if (!image.snapshots().empty()) return image.delete_snapshot("s");
      image.create_snapshot("s", 1);
      return image.put_attachment({"state", "s"}, 1, source_of(pattern(0, rng.next(), 50000)));
    default: {
      const uint64_t offset = rng.below(kSize);
      image.write_at(offset, pattern(offset, rng.next(), std::min<uint64_t>(kSize - offset, rng.below(40000))));
    }
  }
}

TEST_CASE("varve: the order of writes holds while attachments come and go") {
  Rng rng("attachment order");
  SHOW_SEED(rng);
  for (const char* encryption : {"none", "aes-256-gcm"}) {
    Watched watched({{"cluster_size", "4K"}, {"compression", "zstd:1"}, {"journal_size", "128K"}, {"encryption", encryption}});
    std::map<std::string, Bytes> model;
    for (uint64_t session = 0; session < scaled(8); ++session) {
      Image image = open_in(*watched.files, Access::read_write);
      for (int step = 0; step < 25; ++step) random_step(image, rng, model);
      for (const auto& one : model) {
        Bytes seen(one.second.size());
        image.read_attachment({one.first}, 0, seen);
        CHECK(seen == one.second);
      }
      image.close();
      CHECK(watched.rules->broken() == "");
    }
    Image image = open_in(watched.below, Access::read_only);
    CHECK(damages(image) == "");
    if (stride() == 1) CHECK(watched.rules->reused() > 20);
  }
}

TEST_CASE("varve: attachments are put while others write to the disk, flush, read and put") {
  Watched watched({{"cluster_size", "4K"}, {"journal_size", "128K"}});
  const Bytes one = pattern(0, 1, 3000000);
  const Bytes two = pattern(0, 2, 2000000);
  std::atomic<bool> wrong{false};
  {
    Image image = open_in(*watched.files, Access::read_write);
    std::thread first([&] {
      for (int i = 0; i < 4; ++i) image.put_attachment({"one"}, 1, source_of(one), true);
    });
    std::thread second([&] {
      Bytes seen(two.size());
      for (int i = 0; i < 4; ++i) {
        image.put_attachment({"two"}, 1, source_of(two), true);
        image.read_attachment({"two"}, 0, seen);
        if (seen != two) wrong = true;
      }
    });
    for (uint64_t i = 0; i < 200; ++i) {
      image.write_at(i * 3000, pattern(i * 3000, 5, 3000));
      if (i % 5 == 0) image.flush();
    }
    first.join();
    second.join();
    image.close();
  }
  CHECK_FALSE(wrong);
  CHECK(watched.rules->broken() == "");
  Image image = open_in(watched.below, Access::read_only);
  CHECK(damages(image) == "");
  Bytes seen(one.size());
  image.read_attachment({"one"}, 0, seen);
  CHECK(seen == one);
  Bytes disk(600000);
  image.read_at(0, disk);
  CHECK(disk == pattern(0, 5, disk.size()));
}

/// Each step may fail; what it promised before the failure holds in the file.
void fail_each_in_turn(FaultKind kind, Hit hit) {
  const Bytes old_one = pattern(0, 1, 60000);
  const Bytes new_one = pattern(0, 2, 90000);
  const Bytes disk = pattern(0, 3, kSize);
  uint64_t at = 0;
  for (bool struck = true; struck; at += stride()) {
    MemoryFileSystem below;
    create_image(below, kPath, "varve", kSize, {{"cluster_size", "4K"}, {"journal_size", "0"}});
    {
      Image image = open_in(below, Access::read_write);
      image.write_at(0, disk);
      image.put_attachment({"a"}, 1, source_of(old_one));
      image.create_snapshot("s", 1);
      image.close();
    }
    const auto plan = std::make_shared<FaultPlan>(at, kind, false, hit);
    FaultyFileSystem faulty(below, plan);
    int done = 0;
    try {
      Image image = open_in(faulty, Access::read_write);
      image.put_attachment({"a"}, 1, source_of(new_one), true);
      done = 1;
      image.hold_snapshot("s");
      done = 2;
      image.delete_snapshot("s", true);
      done = 3;
      image.close();
    } catch (const Error&) {
    }
    struck = plan->struck();
    INFO("call " << at << ", after step " << done);
    Image image = open_in(below, Access::read_only);
    CHECK(damages(image) == "");
    Bytes seen(kSize);
    image.read_at(0, seen);
    CHECK(seen == disk);
    const uint64_t size = image.attachments().front().size;
    CHECK((size == new_one.size() || (size == old_one.size() && done < 1)));
    seen.resize(size);
    image.read_attachment({"a"}, 0, seen);
    CHECK(seen == (size == new_one.size() ? new_one : old_one));
    const std::vector<SnapshotInfo> snapshots = image.snapshots();
    CHECK((done < 3 || snapshots.empty()));
    if (done == 2 && !snapshots.empty()) CHECK(snapshots.front().held);
  }
  CHECK(at > 5);
}

TEST_CASE("varve: a write that fails leaves an attachment and a snapshot as they were, or as they were to be") {
  fail_each_in_turn(FaultKind::io, Hit::write);
}
TEST_CASE("varve: a flush that fails leaves an attachment and a snapshot as they were, or as they were to be") {
  fail_each_in_turn(FaultKind::io, Hit::flush);
}
TEST_CASE("varve: a full disk leaves an attachment and a snapshot as they were, or as they were to be") {
  fail_each_in_turn(FaultKind::no_space, Hit::space);
}

}  // namespace
}  // namespace varve::test
