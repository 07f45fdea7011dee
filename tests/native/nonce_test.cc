// R9: whatever becomes of an encrypted image and of copies of it, no nonce is used twice under one key.
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "native/nonce_watch.h"
#include "native/reachable.h"
#include "native/workout.h"
#include "support/image_kit.h"
#include "support/power_cut.h"
#include "support/secrets.h"
#include "support/storages.h"
#include "support/test.h"
#include "varve/ops.h"

namespace varve::test {
namespace {

using Bytes = std::vector<std::byte>;
constexpr const char* kPath = "dir/disk.varve";
constexpr uint64_t kSize = 300 * 1024 + 512;

const std::vector<OptionMap>& ways() {
  static const std::pair<std::string, std::string> kEncrypted = {"encryption", "aes-256-gcm"};
  static const std::vector<OptionMap> kAll = {{{"cluster_size", "4K"}, {"journal_size", "64K"}, kEncrypted},
                                              {{"cluster_size", "16K"}, {"compression", "zstd"}, {"journal_size", "64K"}, kEncrypted},
                                              {{"cluster_size", "4K"}, {"compression", "zlib:1"}, {"journal_size", "0"}, kEncrypted}};
  return kAll;
}

OpenOptions writing(FileSystem& files) {
  OpenOptions how;
  how.access = Access::read_write;
  how.format = "varve";
  how.secret = test_key();
  how.accept_older_state = true;
  how.file_system = &files;
  how.limits.write_buffer = 64 * 1024;  // so much is written between commits, too
  return how;
}

/// A closed image that has seen some work.
Bytes worked_on(const OptionMap& options, Rng& rng) {
  MemoryFileSystem files;
  create_image(files, kPath, "varve", kSize, options);
  Image image = Image::open(kPath, writing(files));
  Workout(image, rng).run(30);
  image.close();
  return files.find(kPath)->contents();
}

/// A session on the file; the image is closed, or left as if its program had been killed.
void work(FileSystem& files, Rng& rng, uint64_t steps) {
  Image image = Image::open(kPath, writing(files));
  Workout(image, rng).run(steps);
  if (!rng.one_in(4)) image.close();
}

void work_on_copy(const Bytes& file, Rng& rng, uint64_t steps) {
  MemoryFileSystem files;
  files.add(kPath, file);
  work(files, rng, steps);
}

void expect_no_repeat(const NonceWatch& watch, uint64_t least) {
  std::printf("nonces: %llu under %llu keys, %llu at most under one\n", static_cast<unsigned long long>(watch.seals()),
              static_cast<unsigned long long>(watch.keys()), static_cast<unsigned long long>(watch.most_of_a_key()));
  CHECK(watch.repeats() == 0);
  CHECK(watch.seals() >= (stride() == 1 ? least : scaled(least) / 2));  // fewer rounds have rounding of their own
  CHECK(watch.most_of_a_key() <= uint64_t{1} << 22);
}

TEST_CASE("nonces: a repeat is found") {
  NonceWatch watch;
  const GcmKey key(Bytes(kGcmKeySize, std::byte{1}));
  const GcmKey same(Bytes(kGcmKeySize, std::byte{1}));
  const GcmKey other(Bytes(kGcmKeySize, std::byte{2}));
  Bytes bytes(100);
  key.seal({1}, {}, bytes, bytes);
  key.seal({2}, {}, bytes, bytes);
  other.seal({1}, {}, bytes, bytes);
  CHECK(watch.repeats() == 0);
  same.seal({2}, {}, bytes, bytes);
  CHECK(watch.repeats() == 1);
  CHECK(watch.seals() == 4);
  CHECK(watch.keys() == 2);
}

TEST_CASE("nonces: two copies of a file whose programs draw the same random numbers repeat them, and that is found") {
  NonceWatch watch;
  Rng rng("nonces of one salt");
  const Bytes file = worked_on(ways().front(), rng);
  CHECK(watch.repeats() == 0);
  for (int copy = 0; copy < 2; ++copy) {
    MemoryFileSystem files;
    files.add(kPath, file);
    SeededRandom same(1);
    OpenOptions how = writing(files);
    how.random = &same;
    Image image = Image::open(kPath, how);
    image.write_at(0, pattern(0, 7 + copy, 4096));
    image.close();
  }
  CHECK(watch.repeats() > 0);
}

TEST_CASE("nonces: sessions of all kinds of work") {
  NonceWatch watch;
  Rng rng("nonces of sessions");
  SHOW_SEED(rng);
  for (const OptionMap& options : ways()) {
    MemoryFileSystem files;
    create_image(files, kPath, "varve", kSize, options);
    for (uint64_t session = 0; session < scaled(30); ++session) work(files, rng, 60);
  }
  expect_no_repeat(watch, 8000);
}

TEST_CASE("nonces: copies of a file that go ways of their own, and copies of those") {
  NonceWatch watch;
  Rng rng("nonces of copies");
  SHOW_SEED(rng);
  for (const OptionMap& options : ways()) {
    std::vector<Bytes> copies = {worked_on(options, rng)};
    for (uint64_t i = 0; i < scaled(40); ++i) {
      MemoryFileSystem files;
      files.add(kPath, copies[rng.below(copies.size())]);
      work(files, rng, 20);
      copies.push_back(files.find(kPath)->contents());
    }
  }
  expect_no_repeat(watch, 4000);
}

TEST_CASE("nonces: every branch that power cuts make of one session") {
  NonceWatch watch;
  Rng rng("nonces of branches");
  SHOW_SEED(rng);
  for (const OptionMap& options : ways()) {
    MemoryFileSystem files;
    files.add(kPath, worked_on(options, rng));
    FileSet base;
    base.emplace_back(files.find(kPath)->contents());
    const auto log = std::make_shared<EventLog>();
    log->file(kPath);
    RecordingFileSystem recording(files, log);
    work(recording, rng, 40);
    const std::vector<CutState> states = all_states(base, log->events(), rng);
    CHECK(states.size() > 100);
    const size_t step = std::max<size_t>(1, states.size() / scaled(150));
    for (size_t i = 0; i < states.size(); i += step) {
      INFO(states[i].name);
      work_on_copy(states[i].files.front().contents(), rng, 8);
    }
  }
  expect_no_repeat(watch, 7000);
}

TEST_CASE("nonces: calls that failed and are tried again in the same session") {
  NonceWatch watch;
  Rng rng("nonces of retries");
  SHOW_SEED(rng);
  uint64_t struck = 0;
  for (const OptionMap& options : ways()) {
    const Bytes file = worked_on(options, rng);
    for (const FaultKind kind : {FaultKind::io, FaultKind::torn_write, FaultKind::no_space}) {
      for (const Hit hit : {Hit::write, Hit::flush, Hit::resize}) {
        for (uint64_t at = 0; at < scaled(25); ++at) {
          MemoryFileSystem files;
          files.add(kPath, file);
          const auto plan = std::make_shared<FaultPlan>(at * (hit == Hit::write ? 3 : 1), kind, false, hit);
          FaultyFileSystem faulty(files, plan);
          Image image = Image::open(kPath, writing(faulty));
          Workout workout(image, rng);
          for (int i = 0; i < 25; ++i) {
            try {
              workout.step();
            } catch (const Error& error) {
              REQUIRE((error.code() == Errc::io || error.code() == Errc::no_space));
            }
          }
          try {
            image.flush();
            image.close();
          } catch (const Error&) {
          }
          struck += plan->struck() ? 1 : 0;
          work(files, rng, 5);
        }
      }
    }
  }
  CHECK(struck > scaled(200));
  expect_no_repeat(watch, 20000);
}

std::string repaired(const std::shared_ptr<Storage>& file, Rng& rng) {
  OpenOptions how = writing(host_file_system());
  how.for_check = true;
  CheckOptions all;
  all.data = true;
  all.repair = Repair::all;
  std::optional<Image> image(Image::open(file, how));
  if (rng.one_in(2)) {  // what a repair does is then not the first work of its session
    try {
      image->create_snapshot("before", 1);
    } catch (const Error& error) {
      if (error.code() != Errc::corrupt && error.code() != Errc::exists) throw;
      image.reset();
      image.emplace(Image::open(file, how));
    }
  }
  const CheckReport report = image->check(all);
  if (report.damages != 0) return "it leaves " + describe(report);
  image->close();
  return {};
}

TEST_CASE("nonces: repairs of damaged nodes and clusters, again and again, and what they wrote can be read") {
  NonceWatch watch;
  Rng rng("nonces of repairs");
  SHOW_SEED(rng);
  uint64_t mended = 0;
  for (const OptionMap& options : ways()) {
    for (uint64_t round = 0; round < scaled(40); ++round) {
      MemoryFileSystem files;
      files.add(kPath, worked_on(options, rng));
      for (int again = 0; again < 3; ++again) {
        const std::shared_ptr<MemoryStorage> file = files.find(kPath);
        const Reachable found = reachable(file);
        const Interval sessions = {found.superblocks.current.sessions.offset, found.superblocks.current.sessions.length};
        for (int i = 0; i < 4; ++i) {
          const uint64_t place = native::kFirstExtent + rng.below(file->size() - native::kFirstExtent);
          if (!found.current.contains(place, 1) || (place >= sessions.offset && place < sessions.end())) continue;
          std::array<std::byte, 1> byte{};
          file->read_at(place, byte);
          byte[0] ^= std::byte{4};
          file->write_at(place, byte);
          ++mended;
        }
        REQUIRE(repaired(file, rng) == "");
        OpenOptions how = writing(files);
        {
          Image image = Image::open(kPath, how);
          REQUIRE(damages(image) == "");
          Workout(image, rng).run(6);
          image.close();
        }
        Image image = Image::open(kPath, how);
        REQUIRE(damages(image) == "");
      }
    }
  }
  CHECK(mended > scaled(100));
  expect_no_repeat(watch, 3000);
}

TEST_CASE("nonces: another master key, interrupted at many points and begun again") {
  NonceWatch watch;
  Rng rng("nonces of rotations");
  SHOW_SEED(rng);
  for (const OptionMap& options : ways()) {
    MemoryFileSystem files;
    files.add(kPath, worked_on(options, rng));
    FileSet base;
    base.emplace_back(files.find(kPath)->contents());
    const auto log = std::make_shared<EventLog>();
    log->file(kPath);
    RecordingFileSystem recording(files, log);
    {
      Image image = Image::open(kPath, writing(recording));
      Workout(image, rng).run(10);
      image.rotate_key();
      Workout(image, rng).run(10);
      image.rotate_key();
      image.close();
    }
    const std::vector<CutState> states = all_states(base, log->events(), rng);
    const size_t step = std::max<size_t>(1, states.size() / scaled(60));
    for (size_t i = 0; i < states.size(); i += step) {
      INFO(states[i].name);
      MemoryFileSystem cut;
      cut.add(kPath, states[i].files.front().contents());
      Image image = Image::open(kPath, writing(cut));
      Workout workout(image, rng);
      workout.run(3);
      image.rotate_key();
      workout.run(3);
      image.close();
    }
  }
  expect_no_repeat(watch, 7000);
}

TEST_CASE("nonces: rebase and commit") {
  NonceWatch watch;
  Rng rng("nonces of parents");
  SHOW_SEED(rng);
  for (uint64_t round = 0; round < scaled(10); ++round) {
    MemoryFileSystem files;
    for (const char* parent : {"dir/one.varve", "dir/two.varve"}) {
      create_image(files, parent, "varve", kSize, ways()[rng.below(ways().size())]);
      Image image = Image::open(parent, writing(files));
      for (int i = 0; i < 10; ++i) Workout(image, rng).write();
      image.close();
    }
    CreateOptions over;
    over.options = ways()[rng.below(ways().size())];
    over.parent = "one.varve";
    over.secret = test_key();
    over.parent_secret = test_key();
    over.file_system = &files;
    Image::create(kPath, "varve", kSize, over).close();
    for (const char* parent : {"two.varve", "one.varve", "two.varve"}) {
      Image image = Image::open(kPath, writing(files));
      for (int i = 0; i < 5; ++i) Workout(image, rng).write();
      image.close();
      RebaseOptions rebasing;
      rebasing.parent = parent;
      rebasing.open = writing(files);
      rebase(kPath, rebasing);
      CommitOptions committing;
      committing.open = writing(files);
      commit(kPath, committing);
    }
  }
  expect_no_repeat(watch, 2000);
}

template <typename Call>
bool refused(Call call) {
  try {
    call();
  } catch (const Error& error) {
    return error.code() == Errc::io;
  }
  return false;
}

TEST_CASE("R10: a child process neither reads nor writes an image that its parent has opened, and the parent goes on") {
  MemoryFileSystem files;
  create_image(files, kPath, "varve", kSize, ways().front());
  Image image = Image::open(kPath, writing(files));
  const Bytes data = pattern(0, 1, 9000);
  image.write_at(0, data);
  image.flush();
  image.write_at(0, data);  // so a flush has something to do
  const Bytes before = files.find(kPath)->contents();
  const pid_t child = fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    Bytes out(4096);
    int wrong = 0;
    if (!refused([&] { image.read_at(0, out); })) wrong |= 1;
    if (!refused([&] { image.read_at(100000, out); })) wrong |= 2;
    if (!refused([&] { image.write_at(0, out); })) wrong |= 4;
    if (!refused([&] { image.flush(); })) wrong |= 8;
    if (!refused([&] { image.create_snapshot("child", 1); })) wrong |= 16;
    if (!refused([&] { image.close(); })) wrong |= 32;
    if (files.find(kPath)->contents() != before) wrong |= 64;
    _exit(wrong);
  }
  int status = 0;
  REQUIRE(waitpid(child, &status, 0) == child);
  REQUIRE(WIFEXITED(status));
  CHECK(WEXITSTATUS(status) == 0);
  Bytes out(9000);
  image.read_at(0, out);
  CHECK(out == data);
  image.write_at(9000, data);
  image.close();
  Image again = Image::open(kPath, writing(files));
  again.read_at(9000, out);
  CHECK(out == data);
  CHECK(damages(again) == "");
}

}  // namespace
}  // namespace varve::test
