// A rotation that is stopped half way leaves the image as it was, and goes on later (section 13.6).
#include <algorithm>
#include <atomic>
#include <memory>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "native/catalog.h"
#include "native/extents.h"
#include "native/reachable.h"
#include "native/tangle.h"
#include "native/unlocked.h"
#include "support/image_kit.h"
#include "support/pattern.h"
#include "support/power_cut.h"
#include "support/storages.h"
#include "support/test.h"

namespace varve::test {
namespace {

using Bytes = std::vector<std::byte>;
constexpr const char* kPath = World::kPath;

/// What a check finds besides copies and superblocks that a cut has left behind.
std::string lost(Image& image) {
  std::istringstream lines(damages(image));
  std::string all;
  for (std::string line; std::getline(lines, line);)
    if (line.find("does not count") == std::string::npos) all += line + "\n";
  return all;
}

/// What is done before the rotation goes on.
enum class Between { nothing, write, snapshot, attachment };

/// `disk`: what it holds then.
void work(Image& image, Between what, Bytes& disk) {
  if (what == Between::write) {
    disk.front() ^= std::byte{1};
    image.write_at(0, ConstBytes(disk).first(1));
  } else if (what == Between::snapshot) {
    image.create_snapshot("between", 1);
    image.delete_snapshot("between");
  } else if (what == Between::attachment) {
    image.put_attachment({"between"}, 1, [](MutableBytes) { return size_t{0}; });
    image.delete_attachment({"between"});
  }
}

/// Is there a record of what is done?
bool has_progress(const std::shared_ptr<Storage>& file) {
  const Unlocked image = unlocked(*file);
  native::Extents extents(file, image.headers.header, 1 << 20, 1 << 20, image.cipher);
  const native::Superblock& s = image.superblocks.current;
  const native::Catalog catalog =
      native::parse_catalog(native::read_object(extents, s.catalog, s.end), s.rules(image.headers.header), s.generation, s.head_parent);
  return std::any_of(catalog.others.begin(), catalog.others.end(),
                     [](const native::OtherRecord& record) { return record.type == native::kRotationRecord; });
}

/// All that the world holds, in a file that somebody else has left; then the rotation again.
void expect_and_go_on(Tangle& world, const Bytes& file, Between between = Between::nothing) {
  MemoryFileSystem files;
  files.add(kPath, file);
  OpenOptions how = world.options(Access::read_only);
  how.file_system = &files;
  how.accept_older_state = true;
  Bytes disk = world.held("");
  const auto expect = [&] {
    Image image = Image::open(kPath, how);
    CHECK(contents_of(image) == disk);
    CHECK(lost(image) == "");
    for (const std::string& name : world.kept()) {
      OpenOptions shown = how;
      shown.snapshot = name;
      Image snapshot = Image::open(kPath, shown);
      CHECK(contents_of(snapshot) == world.held(name));
    }
    CHECK(image.attachments().size() == 3);
  };
  expect();
  OpenOptions writing = how;
  writing.access = Access::read_write;
  {
    Image image = Image::open(kPath, writing);
    work(image, between, disk);
    if (between != Between::nothing) image.flush();
    image.rotate_key();
    image.close();
  }
  how.accept_older_state = false;
  expect();
  CHECK(leaks_of_closed(files.find(kPath)) == "");
  for (const auto& [slot, epochs] : epochs_of(*files.find(kPath))) CHECK(epochs.size() == 1);
  CHECK_FALSE(unlocked(*files.find(kPath)).cipher->uses_older_epochs());
}

TEST_CASE("rotation: after a power cut at any moment the image opens, holds the same, and the rotation goes on") {
  Rng rng("cut rotations");
  SHOW_SEED(rng);
  uint64_t with_progress = 0;
  for (size_t way = 0; way < 6; ++way) {
    Tangle world(rotated_options()[way % 3], rng);
    world.close();
    FileSet base;
    base.emplace_back(world.file()->contents());
    const auto log = std::make_shared<EventLog>();
    log->file(kPath);
    RecordingFileSystem recording(world.files(), log);
    {
      OpenOptions how = world.options(Access::read_write);
      how.file_system = &recording;
      if (way >= 3) how.limits.write_buffer = 4096;  // so what is done is kept often
      Image image = Image::open(kPath, how);
      image.rotate_key();
      image.close();
    }
    const std::vector<CutState> states = all_states(base, log->events(), rng);
    CHECK(states.size() > log->count(StorageEvent::Kind::write));
    const size_t step = std::max<size_t>(1, states.size() / scaled(60));
    for (size_t i = 0; i < states.size(); i += step) {
      INFO(states[i].name << " of " << states.size());
      const Bytes left = states[i].files.front().contents();
      MemoryFileSystem files;
      files.add(kPath, left);
      with_progress += has_progress(files.find(kPath)) ? 1 : 0;
      expect_and_go_on(world, left, static_cast<Between>(way < 3 ? 0 : rng.below(4)));
    }
    expect_and_go_on(world, world.file()->contents());
  }
  CHECK(with_progress > scaled(40));
}

/// Cancels at a write.
class CancellingStorage final : public PassingStorage {
 public:
  CancellingStorage(std::shared_ptr<Storage> below, uint64_t at, CancelToken& token)
      : PassingStorage(std::move(below)), at_(at), token_(token) {}
  void write_at(uint64_t offset, ConstBytes data) override {
    if (writes_++ == at_) token_.cancel();
    below_->write_at(offset, data);
  }

 private:
  const uint64_t at_;
  CancelToken& token_;
  std::atomic<uint64_t> writes_ = 0;
};

/// Counts what is written.
class CountingStorage final : public PassingStorage {
 public:
  using Written = std::function<void(uint64_t bytes)>;
  CountingStorage(std::shared_ptr<Storage> below, const Written& written) : PassingStorage(std::move(below)), written_(written) {}
  void write_at(uint64_t offset, ConstBytes data) override {
    written_(data.size());
    below_->write_at(offset, data);
  }

 private:
  const Written& written_;
};

/// A disk of which nothing else is there, its rotation stopped when three quarters of it were written.
struct HalfRotated {
  static constexpr uint64_t kSize = 8 << 20;
  MemoryFileSystem files;
  std::atomic<uint64_t> bytes = 0;
  std::atomic<CancelToken*> stop = nullptr;
  const CountingStorage::Written count = [this](uint64_t more) {
    if ((bytes += more) >= kSize * 3 / 4 && stop != nullptr) stop.load()->cancel();
  };
  WrappingFileSystem through{files,
                             [this](std::shared_ptr<Storage> below) { return std::make_shared<CountingStorage>(std::move(below), count); }};
  OpenOptions how;

  HalfRotated() {
    create_image(files, kPath, "varve", kSize, {{"encryption", "aes-256-gcm"}});
    how.access = Access::read_write;
    how.format = "varve";
    how.secret = test_key();
    how.file_system = &through;
    how.limits.write_buffer = 128 << 10;
    {
      Image image = Image::open(kPath, how);
      image.write_at(0, pattern(0, 1, kSize));
      image.close();
    }
    Image image = Image::open(kPath, how);
    CancelToken token;
    RotateOptions stopped;
    stopped.cancel = &token;
    stop = &token;
    bytes = 0;
    CHECK_ERRC(image.rotate_key(stopped), Errc::cancelled);
    stop = nullptr;
    bytes = 0;
  }
};

TEST_CASE("rotation: what was done before a stop is not done again") {
  HalfRotated half;
  Image image = Image::open(kPath, half.how);
  image.rotate_key();
  CHECK(half.bytes < HalfRotated::kSize / 2);
  CHECK(contents_of(image) == pattern(0, 1, HalfRotated::kSize));
}

TEST_CASE("rotation: what was written after a stop is not lost when it goes on") {
  HalfRotated half;
  Bytes disk = pattern(0, 1, HalfRotated::kSize);
  disk.front() ^= std::byte{1};
  {
    Image image = Image::open(kPath, half.how);
    image.write_at(0, ConstBytes(disk).first(1));
    image.close();
  }
  Image image = Image::open(kPath, half.how);
  image.rotate_key();
  CHECK(contents_of(image) == disk);
  image.close();
  CHECK(leaks_of_closed(half.files.find(kPath)) == "");
}

TEST_CASE("rotation: cancelled in the middle, and done anew") {
  Rng rng("cancelled rotations");
  SHOW_SEED(rng);
  Tangle world(rotated_options().front(), rng);
  world.close();
  const Bytes file = world.file()->contents();
  uint64_t cancelled = 0;
  for (uint64_t at = 0; at < 120; at += 7) {
    INFO("at write " << at);
    CancelToken token;
    const auto cancelling = [&](std::shared_ptr<Storage> below) {
      return std::make_shared<CancellingStorage>(std::move(below), at, token);
    };
    MemoryFileSystem files;
    files.add(kPath, file);
    WrappingFileSystem through(files, cancelling);
    OpenOptions how = world.options(Access::read_write);
    how.file_system = &through;
    {
      Image image = Image::open(kPath, how);
      RotateOptions rotating;
      rotating.cancel = &token;
      try {
        image.rotate_key(rotating);
      } catch (const Error& error) {
        CHECK(errc_name(error.code()) == errc_name(Errc::cancelled));
        ++cancelled;
        CHECK(contents_of(image) == world.held(""));
        CHECK_ERRC(image.write_at(0, Bytes(512)), Errc::io);  // until it is opened anew
      }
    }
    expect_and_go_on(world, files.find(kPath)->contents());
  }
  CHECK(cancelled > 5);
}

}  // namespace
}  // namespace varve::test
