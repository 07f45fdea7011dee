// A rotation that is stopped half way leaves the image as it was, and is done anew (section 13.6).
#include <atomic>
#include <memory>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "native/reachable.h"
#include "native/tangle.h"
#include "native/unlocked.h"
#include "support/image_kit.h"
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

/// All that the world holds, in a file that somebody else has left; then the rotation again.
void expect_and_go_on(Tangle& world, const Bytes& file) {
  MemoryFileSystem files;
  files.add(kPath, file);
  OpenOptions how = world.options(Access::read_only);
  how.file_system = &files;
  how.accept_older_state = true;
  const auto expect = [&] {
    Image image = Image::open(kPath, how);
    CHECK(contents_of(image) == world.held(""));
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
    image.rotate_key();
    image.close();
  }
  how.accept_older_state = false;
  expect();
  CHECK(leaks_of_closed(files.find(kPath)) == "");
  for (const auto& [slot, epochs] : epochs_of(*files.find(kPath))) CHECK(epochs.size() == 1);
  CHECK_FALSE(unlocked(*files.find(kPath)).cipher->uses_older_epochs());
}

TEST_CASE("rotation: after a power cut at any moment the image opens, holds the same, and the rotation is done anew") {
  Rng rng("cut rotations");
  SHOW_SEED(rng);
  for (size_t way = 0; way < 3; ++way) {
    Tangle world(rotated_options()[way], rng);
    world.close();
    FileSet base;
    base.emplace_back(world.file()->contents());
    const auto log = std::make_shared<EventLog>();
    log->file(kPath);
    RecordingFileSystem recording(world.files(), log);
    {
      OpenOptions how = world.options(Access::read_write);
      how.file_system = &recording;
      Image image = Image::open(kPath, how);
      image.rotate_key();
      image.close();
    }
    std::vector<CutState> states;
    std::set<PowerCuts::Hash> distinct;
    PowerCuts(base, log->events(), rng)
        .enumerate(
            distinct, [](size_t) { return 0; }, [&](const CutState& state) { states.push_back(state); });
    CHECK(states.size() > log->count(StorageEvent::Kind::write));
    const size_t step = std::max<size_t>(1, states.size() / scaled(100));
    for (size_t i = 0; i < states.size(); i += step) {
      INFO(states[i].name << " of " << states.size());
      expect_and_go_on(world, states[i].files.front().contents());
    }
    expect_and_go_on(world, world.file()->contents());
  }
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
