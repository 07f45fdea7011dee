// One call fails, each in turn: what the handle shows is right or an error, and what the file holds is what some flush left.
#include <algorithm>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/interval_set.h"
#include "image/node.h"
#include "io/memory_storage.h"
#include "native/superblock.h"
#include "support/image_kit.h"
#include "support/pattern.h"
#include "support/storages.h"
#include "support/test.h"

namespace varve::test {
namespace {

constexpr uint64_t kKiB = 1024;
constexpr uint64_t kMiB = 1024 * kKiB;
/// Trees of two levels, one node for 2 MiB.
constexpr uint64_t kSize = 5 * kMiB;

const ImageConfig kConfig{"two levels", "varve", {{"cluster_size", "4K"}, {"journal_size", "64K"}}, kSize, std::nullopt};

class FaultyRun {
 public:
  /// `by_check`: what is pending becomes durable by a check, after whose failure the handle may go on.
  FaultyRun(std::shared_ptr<FaultPlan> plan, bool by_check)
      : disk_(kConfig), by_check_(by_check), tears_(plan->kind() == FaultKind::torn_write) {
    fill();
    faulty_ = std::make_unique<FaultyFileSystem>(disk_.files(), std::move(plan));
    OpenOptions how = disk_.open_options();
    how.file_system = faulty_.get();
    try {
      image_ = std::make_unique<Image>(Image::open(TestDisk::kPath, how));
    } catch (const Error&) {
    }
  }

  bool open() const { return image_ != nullptr; }

  void write(uint64_t offset, uint64_t length) {
    const std::vector<std::byte> data = pattern(offset, generation_++, length);
    change(offset, length, [&] { image_->write_at(offset, data); });
    disk_.model().write(offset, data);
  }
  void zero(uint64_t offset, uint64_t length) {
    change(offset, length, [&] { image_->zero(offset, length); });
    disk_.model().zero(offset, length);
  }
  void flush() {
    durable([&] {
      if (by_check_)
        image_->check();
      else
        image_->flush();
    });
  }
  void close() {
    durable([&] { image_->close(); });
  }

  /// What the handle shows now.
  std::string look() {
    for (uint64_t at = 0; at < kSize; at += 4096) {
      std::vector<std::byte> seen(4096);
      try {
        image_->read_at(at, seen);
      } catch (const Error&) {
        continue;
      }
      if (const std::string wrong = difference(at, seen, disk_.model().bytes(at, 4096)); !wrong.empty()) return "shows " + wrong;
    }
    return {};
  }
  /// What the file holds for the next one who opens it.
  std::string look_anew() {
    image_.reset();
    Image again = disk_.open(Access::read_only);
    // A superblock that was torn can't be told from one that was damaged later.
    const std::string found = damages(again);
    const bool torn = tears_ && found.starts_with("damage: the other superblock does not count") && found.find('\n') == found.size() - 1;
    if (!found.empty() && !torn) return "left " + found;
    std::vector<std::byte> seen(kSize);
    again.read_at(0, seen);
    std::string wrong;
    for (const auto& state : states_)
      if ((wrong = difference(0, seen, state)).empty()) return {};
    return "left what no flush did: " + wrong;
  }

 private:
  void fill() {
    Image image = disk_.open();
    for (uint64_t at = 0; at < kSize; at += 64 * kKiB) {
      const std::vector<std::byte> data = pattern(at, 7, 8 * kKiB);
      image.write_at(at, data);
      disk_.model().write(at, data);
    }
    image.close();
    keep_state();
  }
  void keep_state() { states_.emplace_back(disk_.model().bytes().begin(), disk_.model().bytes().end()); }
  void change(uint64_t offset, uint64_t length, const std::function<void()>& call) {
    try {
      call();
    } catch (const Error&) {
      unknown_.insert(offset / 512 * 512, (offset + length + 511) / 512 * 512 - offset / 512 * 512);
    }
  }
  void durable(const std::function<void()>& call) {
    try {
      call();
      states_.clear();
    } catch (const Error&) {
    }
    keep_state();
  }
  std::string difference(uint64_t offset, ConstBytes is, ConstBytes should_be) const {
    for (size_t i = 0; i < is.size(); i += 512) {
      const uint64_t at = offset + i;
      if (unknown_.find_overlap(at, 512)) continue;
      if (!std::equal(is.begin() + static_cast<ptrdiff_t>(i), is.begin() + static_cast<ptrdiff_t>(i) + 512,
                      should_be.begin() + static_cast<ptrdiff_t>(i)))
        return describe_block(is.subspan(i)) + " at " + std::to_string(at) + ", should be " + describe_block(should_be.subspan(i));
    }
    return {};
  }

  TestDisk disk_;
  const bool by_check_;
  const bool tears_;
  std::unique_ptr<FaultyFileSystem> faulty_;
  std::unique_ptr<Image> image_;
  std::vector<std::vector<std::byte>> states_;  ///< that may be in the file
  IntervalSet unknown_;                         ///< of failed changes
  uint64_t generation_ = 10;
};

std::string script(FaultyRun& run) {
  run.write(100 * kKiB, 20 * kKiB);
  run.flush();
  run.write(3 * kMiB + 512, 1024);
  run.flush();
  run.zero(kMiB, 3 * kMiB + 4096);  // a node as a whole, two in part
  run.write(4 * kMiB, 100 * kKiB);
  if (std::string wrong = run.look(); !wrong.empty()) return wrong;
  run.flush();
  if (std::string wrong = run.look(); !wrong.empty()) return wrong;
  run.write(512, 512);
  for (uint64_t i = 0; i < 6; ++i) {  // what was given up is used again
    run.write(2 * kMiB + i * 32 * kKiB, 24 * kKiB);
    run.flush();
  }
  if (std::string wrong = run.look(); !wrong.empty()) return wrong;
  run.close();
  return run.look_anew();
}

void fail_each_in_turn(FaultKind kind, Hit hit) {
  for (const bool by_check : {false, true}) {
    uint64_t at = 0;
    for (bool struck = true; struck; at += stride()) {
      auto plan = std::make_shared<FaultPlan>(at, kind, false, hit);
      FaultyRun run(plan, by_check);
      if (!run.open()) continue;
      std::string wrong;
      try {
        wrong = script(run);
      } catch (const Error& error) {
        wrong = error.what();
      }
      CHECK_MESSAGE(wrong == "", "call " << at << (by_check ? ", by checks: " : ": ") << wrong);
      struck = plan->struck();
    }
    CHECK(at > (hit == Hit::write ? 10 : 3));
  }
}

TEST_CASE("varve: a write that fails loses nothing that was written before it") { fail_each_in_turn(FaultKind::io, Hit::write); }
TEST_CASE("varve: a write that is torn loses nothing") { fail_each_in_turn(FaultKind::torn_write, Hit::write); }
TEST_CASE("varve: a host that is full for a moment loses nothing") { fail_each_in_turn(FaultKind::no_space, Hit::space); }
TEST_CASE("varve: a read that fails loses nothing") { fail_each_in_turn(FaultKind::io, Hit::read); }
TEST_CASE("varve: a flush that fails ends the handle, and the file holds what an earlier one left") {
  fail_each_in_turn(FaultKind::io, Hit::flush);
}

TEST_CASE("varve: a flush that is done has made everything durable, whatever failed on its way") {
  ImageConfig made = kConfig;
  made.size = 512 * kKiB;
  uint64_t done_after_a_fault = 0;
  bool struck = true;
  for (uint64_t at = 0; struck; ++at) {
    INFO("write " << at);
    TestDisk disk(made);
    const auto plan = std::make_shared<FaultPlan>(at, FaultKind::torn_write, false, Hit::write);
    FaultyFileSystem faulty(disk.files(), plan);
    OpenOptions how = disk.open_options();
    how.file_system = &faulty;
    Image image = Image::open(TestDisk::kPath, how);
    for (uint64_t i = 0; i < 7; ++i) {
      const std::vector<std::byte> data = pattern(i * 64 * kKiB, 1, 8 * kKiB);
      image.write_at(i * 64 * kKiB, data);
      disk.model().write(i * 64 * kKiB, data);
      try {
        image.flush();
      } catch (const Error&) {
        break;  // that ends the handle
      }
      if (plan->struck()) ++done_after_a_fault;
      OpenOptions as_it_is;
      as_it_is.format = "varve";
      Image copy = Image::open(std::make_shared<MemoryStorage>("copy", disk.files().find(TestDisk::kPath)->contents()), as_it_is);
      CHECK(disk.model().difference(copy) == "");
    }
    struck = plan->struck();
  }
  CHECK(done_after_a_fault > 0);  // in a record: then it is a commit
}

TEST_CASE("varve: a commit that failed leaves the slot of the newest superblock alone, and its births unused; a close is clean") {
  ImageConfig made = kConfig;
  made.options["journal_size"] = "0";
  uint64_t failed = 0;
  for (uint64_t at = 0; at < 12; ++at) {
    INFO("write " << at);
    TestDisk disk(made);
    FaultyFileSystem faulty(disk.files(), std::make_shared<FaultPlan>(at, FaultKind::io, false, Hit::write));
    OpenOptions how = disk.open_options();
    how.file_system = &faulty;
    const auto file = disk.files().find(TestDisk::kPath);
    const auto superblocks = [&] { return native::read_superblocks(*file, native::read_headers(*file).header); };
    Image image = Image::open(TestDisk::kPath, how);
    for (uint64_t i = 0; i < 3; ++i) {
      image.write_at(i * kMiB, pattern(i * kMiB, 1, 8 * kKiB));
      const uint64_t before = superblocks().current.generation;
      try {
        image.check();  // a commit whose failure leaves the handle usable
        CHECK(superblocks().current.generation == before + 1);
        continue;
      } catch (const Error&) {
      }
      try {
        image.check();
      } catch (const Error&) {
        break;  // that was the superblock: what stands there is not known
      }
      ++failed;
      CHECK(superblocks().current.generation == before + 3);
      CHECK(superblocks().older->generation == before);
      CHECK_FALSE(superblocks().current.clean);
      image.close();
      CHECK(superblocks().current.clean);
      break;
    }
  }
  CHECK(failed > 3);
}

/// After a failed flush a second one may succeed though the data are gone.
TEST_CASE("varve: a handle whose flush has failed writes nothing more, and says so to everyone") {
  for (const char* const journal : {"64K", "0"}) {
    uint64_t failed = 0;
    bool struck = true;
    for (uint64_t at = 0; struck; ++at) {
      INFO("journal " << journal << ", flush " << at);
      ImageConfig made = kConfig;
      made.options["journal_size"] = journal;
      TestDisk disk(made);
      const auto plan = std::make_shared<FaultPlan>(at, FaultKind::io, false, Hit::flush);
      FaultyFileSystem faulty(disk.files(), plan);
      OpenOptions how = disk.open_options();
      how.file_system = &faulty;
      Image image = Image::open(TestDisk::kPath, how);
      for (uint64_t i = 0; i < 6 && !plan->struck(); ++i) {
        image.write_at(i * 64 * kKiB, pattern(i * 64 * kKiB, 1, 8 * kKiB));
        try {
          image.flush();
        } catch (const Error&) {
          CHECK(plan->struck());
        }
      }
      struck = plan->struck();
      if (!struck) break;
      ++failed;
      const auto file = disk.files().find(TestDisk::kPath);
      const std::vector<std::byte> before = file->contents();
      CHECK_ERRC(image.flush(), Errc::io);
      CHECK_ERRC(image.zero(0, kMiB), Errc::io);
      CHECK_ERRC(image.create_snapshot("a", 1), Errc::io);
      CHECK_ERRC(image.close(), Errc::io);
      FormatImage& driver = image.node().image();  // which does not rely on what stands before it
      CHECK_ERRC(driver.flush(), Errc::io);
      CHECK_ERRC(driver.zero(0, kMiB), Errc::io);
      CHECK_ERRC(driver.close(), Errc::io);
      CHECK(file->contents() == before);
    }
    CHECK(failed > 5);
  }
}

TEST_CASE("varve: a node that can't be read while much is zeroed does not set free what the tree still leads to") {
  constexpr uint64_t kGiB = 1024 * kMiB;
  ImageConfig made = kConfig;
  made.size = 2 * kGiB;
  for (uint64_t at = 0; at < 12; ++at) {
    TestDisk disk({made.name, made.format, made.options, kMiB, std::nullopt});
    {
      Image image = disk.open();
      image.resize(made.size);
      for (uint64_t i = 0; i < 3; ++i) image.write_at(i * 2 * kMiB, pattern(i * 2 * kMiB, 1, 4096));
      image.close();
    }
    FaultyFileSystem faulty(disk.files(), std::make_shared<FaultPlan>(at, FaultKind::io, false, Hit::read));
    OpenOptions how = disk.open_options();
    how.file_system = &faulty;
    try {
      Image image = Image::open(TestDisk::kPath, how);
      try {
        image.zero(0, kGiB);
      } catch (const Error&) {
      }
      for (uint64_t i = 0; i < 40; ++i) {
        image.write_at(kGiB + i * 128 * kKiB, pattern(0, i, 64 * kKiB));
        image.flush();
      }
      image.close();
    } catch (const Error&) {
      continue;  // hit elsewhere
    }
    INFO("read " << at);
    Image again = disk.open(Access::read_only);
    CHECK(damages(again) == "");
    for (uint64_t i = 0; i < 3; ++i) {
      std::vector<std::byte> seen(4096);
      CHECK_NOTHROW(again.read_at(i * 2 * kMiB, seen));
      CHECK((seen == pattern(i * 2 * kMiB, 1, 4096) || seen == std::vector<std::byte>(4096)));
    }
  }
}

TEST_CASE("varve: without room for a journal every flush is a commit") {
  auto file = std::make_shared<MemoryStorage>("small", 600 * kKiB, UINT64_MAX);
  MemoryFileSystem files;
  ImageConfig made = kConfig;
  made.options["journal_size"] = "1M";
  TestDisk disk(made);
  const auto whole = disk.files().find(TestDisk::kPath);
  file->write_at(0, whole->contents());
  MemoryFileSystem small;
  small.add(TestDisk::kPath, file);
  OpenOptions how = disk.open_options();
  how.file_system = &small;
  Image image = Image::open(TestDisk::kPath, how);
  for (uint64_t i = 0; i < 4; ++i) {
    image.write_at(i * 4096, pattern(i * 4096, 1, 4096));
    CHECK_NOTHROW(image.flush());
  }
  image.close();
  Image again = Image::open(TestDisk::kPath, how);
  std::vector<std::byte> seen(4 * 4096);
  again.read_at(0, seen);
  CHECK(seen == pattern(0, 1, seen.size()));
  CHECK(damages(again) == "");
}

}  // namespace
}  // namespace varve::test
