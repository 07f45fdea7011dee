// Snapshots through the C interface, also while queues are at work.
#include <algorithm>
#include <atomic>
#include <cstring>
#include <thread>

#include "capi/kit.h"
#include "support/test.h"

using namespace varve::test;

namespace {

constexpr uint64_t kSize = 8 << 20;
constexpr uint64_t kCluster = 65536;

Options writing() { return options({{"format", "varve"}, {"read-only", "off"}}); }

Disk make(const std::string& path) {
  close(create(path, kSize, writing()));
  return open(path, writing());
}

uint64_t number_at(const Disk& disk, uint64_t offset) {
  uint64_t number = 0;
  Told told;
  must(varve_read(disk.get(), offset, &number, sizeof(number), told), told);
  return number;
}

/// Writes 1, 2, 3... first to one place and then to another, each when the one before has ended: at any time both hold the same number, or
/// the first one's is larger by one.
class Writer {
 public:
  Writer(const Disk& disk, unsigned self) : queue_(queue_of(disk, 2)), first_(first_place(self)), second_(second_place(self)) {
    thread_ = std::thread([this] { run(); });
  }
  ~Writer() { stop(); }
  Writer(const Writer&) = delete;
  Writer& operator=(const Writer&) = delete;

  void stop() {
    stop_ = true;
    if (thread_.joinable()) thread_.join();
  }
  uint64_t ended() const { return ended_; }
  unsigned failed() const { return failed_; }

  static uint64_t first_place(unsigned self) { return 2 * self * kCluster; }
  static uint64_t second_place(unsigned self) { return kSize / 2 + 2 * self * kCluster + 4096; }

 private:
  void run() {
    for (uint64_t number = 1; !stop_; ++number) {
      write_and_wait(first_, number);
      write_and_wait(second_, number);
      ended_ = number;
    }
  }
  void write_and_wait(uint64_t place, uint64_t number) {
    const iovec one = {&number, sizeof(number)};
    varve_completion done;
    if (varve_queue_write(queue_.get(), place, &one, 1, 0, number, nullptr) != VARVE_OK) ++failed_;
    if (varve_queue_wait(queue_.get(), &done, 1, 1, -1) != 1 || done.code != VARVE_OK || done.cookie != number) ++failed_;
  }

  const Requests queue_;
  const uint64_t first_;
  const uint64_t second_;
  std::atomic<bool> stop_{false};
  std::atomic<uint64_t> ended_{0};
  std::atomic<unsigned> failed_{0};
  std::thread thread_;
};

}  // namespace

TEST_CASE("snapshots are made, listed with what is known of them, renamed, reverted to and deleted") {
  const TempDir dir;
  const Disk disk = make(dir / "a.varve");
  Told told;
  write(disk, 0, pattern(0, kCluster));
  must(varve_snapshot_create(disk.get(), "first", 1000000000, told), told);
  write(disk, 0, pattern(0, kCluster, 1));
  must(varve_snapshot_create(disk.get(), "second", 2000000000, told), told);
  struct Copy {
    std::string name;
    std::string uuid;
    uint64_t id, parent, time, virtual_size;
    uint32_t flags;
  };
  std::vector<Copy> all;
  const auto note = [](void* user, const varve_snapshot* s) {
    CHECK(s->reserved == 0);
    static_cast<std::vector<Copy>*>(user)->push_back({s->name, s->uuid, s->id, s->parent, s->time, s->virtual_size, s->flags});
  };
  must(varve_snapshot_list(disk.get(), note, &all, told), told);
  REQUIRE(all.size() == 2);
  CHECK(all[0].name == "first");
  CHECK(all[0].parent == 0);
  CHECK(all[0].time == 1000000000);
  CHECK(all[0].virtual_size == kSize);
  CHECK(all[0].uuid.size() == 36);
  CHECK(all[1].name == "second");
  CHECK(all[1].parent == all[0].id);
  CHECK(all[1].flags == VARVE_SNAPSHOT_CURRENT);
  CHECK(refused(varve_snapshot_create(disk.get(), "first", 0, told), told) == VARVE_EXISTS);
  CHECK(refused(varve_snapshot_create(disk.get(), "", 0, told), told) == VARVE_INVALID_ARGUMENT);
  must(varve_snapshot_rename(disk.get(), "first", "base", told), told);
  CHECK(refused(varve_snapshot_rename(disk.get(), "first", "x", told), told) == VARVE_NOT_FOUND);
  CHECK(refused(varve_snapshot_rename(disk.get(), "base", "second", told), told) == VARVE_EXISTS);
  must(varve_snapshot_revert(disk.get(), "base", told), told);
  CHECK(read(disk, 0, kCluster) == pattern(0, kCluster));
  CHECK(refused(varve_snapshot_revert(disk.get(), "first", told), told) == VARVE_NOT_FOUND);
  must(varve_snapshot_delete(disk.get(), "second", 0, told), told);
  CHECK(refused(varve_snapshot_delete(disk.get(), "second", 0, told), told) == VARVE_NOT_FOUND);
  CHECK(snapshot_names(disk) == std::vector<std::string>{"base"});
}

TEST_CASE("threads: a snapshot beside writers is one point in time, and holds what had ended before") {
  const TempDir dir;
  constexpr unsigned kWriters = 3;
  constexpr unsigned kSnapshots = 12;
  std::vector<std::vector<uint64_t>> ended_before;
  std::vector<std::vector<uint64_t>> ended_after;
  {
    Disk disk = make(dir / "a.varve");
    std::vector<std::unique_ptr<Writer>> writers;
    for (unsigned i = 0; i < kWriters; ++i) writers.push_back(std::make_unique<Writer>(disk, i));
    const auto ended = [&] {
      std::vector<uint64_t> all;
      for (const auto& writer : writers) all.push_back(writer->ended());
      return all;
    };
    Told told;
    for (unsigned i = 0; i < kSnapshots; ++i) {
      const uint64_t before = writers[0]->ended();
      REQUIRE(eventually([&] { return writers[0]->ended() > before + 5; }));
      ended_before.push_back(ended());
      must(varve_snapshot_create(disk.get(), std::to_string(i).c_str(), i, told), told);
      ended_after.push_back(ended());
    }
    for (const auto& writer : writers) {
      writer->stop();
      CHECK(writer->failed() == 0);
    }
    writers.clear();
    close(std::move(disk));
  }
  for (unsigned i = 0; i < kSnapshots; ++i) {
    CAPTURE(i);
    const Options how = options({{"format", "varve"}});
    Told told;
    must(varve_options_set(how.get(), "snapshot", std::to_string(i).c_str(), told), told);
    const Disk then = open(dir / "a.varve", how);
    for (unsigned w = 0; w < kWriters; ++w) {
      CAPTURE(w);
      const uint64_t first = number_at(then, Writer::first_place(w));
      const uint64_t second = number_at(then, Writer::second_place(w));
      CHECK(first >= second);
      CHECK(first <= second + 1);
      CHECK(second >= ended_before[i][w]);
      CHECK(first <= ended_after[i][w] + 1);
    }
  }
}

TEST_CASE("threads: snapshots are renamed, deleted and listed beside writers, which lose nothing") {
  const TempDir dir;
  Disk disk = make(dir / "a.varve");
  Told told;
  {
    Writer writer(disk, 0);
    for (unsigned i = 0; i < 8; ++i) {
      must(varve_snapshot_create(disk.get(), "new", i, told), told);
      must(varve_snapshot_rename(disk.get(), "new", std::to_string(i).c_str(), told), told);
      if (i >= 2) must(varve_snapshot_delete(disk.get(), std::to_string(i - 2).c_str(), 0, told), told);
      CHECK(snapshot_names(disk).size() == std::min(i + 1, 2U));
    }
    REQUIRE(eventually([&] { return writer.ended() > 0; }));
    writer.stop();
    CHECK(writer.failed() == 0);
    CHECK(number_at(disk, Writer::first_place(0)) == writer.ended());
    CHECK(number_at(disk, Writer::second_place(0)) == writer.ended());
  }
  varve_check_report report = {};
  must(varve_check(disk.get(), "none", 1, nullptr, nullptr, nullptr, &report, told), told);
  CHECK(report.damages == 0);
  close(std::move(disk));
}

TEST_CASE("threads: the disk goes back to a snapshot between two requests, and writers go on from there") {
  const TempDir dir;
  Disk disk = make(dir / "a.varve");
  Told told;
  const Block before = pattern(0, kCluster);
  write(disk, kSize - kCluster, before);
  must(varve_snapshot_create(disk.get(), "before", 0, told), told);
  {
    Writer writer(disk, 0);
    for (unsigned i = 0; i < 8; ++i) {
      write(disk, kSize - kCluster, pattern(0, kCluster, i + 1));
      REQUIRE(eventually([&] { return writer.ended() > 3 * i; }));
      must(varve_snapshot_revert(disk.get(), "before", told), told);
      CHECK(read(disk, kSize - kCluster, kCluster) == before);
    }
    const uint64_t then = writer.ended();
    REQUIRE(eventually([&] { return writer.ended() > then + 1; }));
    writer.stop();
    CHECK(writer.failed() == 0);
    CHECK(number_at(disk, Writer::second_place(0)) == writer.ended());
  }
  close(std::move(disk));
}

TEST_CASE("threads: a disk grows and shrinks beside writers, and a check looks at it") {
  const TempDir dir;
  Disk disk = make(dir / "a.varve");
  Told told;
  {
    Writer writer(disk, 1);
    for (unsigned i = 0; i < 6; ++i) {
      must(varve_resize(disk.get(), (2 + i) * kSize, 0, told), told);
      CHECK(read(disk, (1 + i) * kSize, 4096) == Block(4096));
      must(varve_resize(disk.get(), kSize, 1, told), told);
      varve_check_report report = {};
      must(varve_check(disk.get(), "none", 0, nullptr, nullptr, nullptr, &report, told), told);
      CHECK(report.damages == 0);
    }
    REQUIRE(eventually([&] { return writer.ended() > 0; }));
    writer.stop();
    CHECK(writer.failed() == 0);
  }
  close(std::move(disk));
}
