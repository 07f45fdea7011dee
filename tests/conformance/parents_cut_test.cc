// Rebase and commit when the power fails: whatever is on the medium then, the child reads as before.
#include "conformance/conformance.h"
#include "support/pattern.h"
#include "support/power_cut.h"
#include "support/secrets.h"

namespace varve::test {
namespace {

/// Longer than what a VMDK's descriptor has room for in the place of the first parent's name.
const std::string kOtherName = std::string(150, 'x') + ".img";
const std::string kOther = "dir/" + kOtherName;
/// A copy of that one, and no room for its name either.
const std::string kThirdName = std::string(200, 'y') + ".img";
constexpr size_t kMostStates = 40;  ///< looked at, of all

/// A delta over one parent, another parent, and a log of what is asked of their files.
class Stage {
 public:
  /// `first`: a parent that it has got before; empty: the one that it was made over.
  explicit Stage(const ImageConfig& config, const std::string& first = {}) : disk(config), rng_("cut parents " + config.name) {
    Image image = disk.open();
    write(image, 4096, 2, 20000);
    write(image, 2u << 20, 2, 512 * 9);
    image.zero(1u << 20, 1u << 17);
    disk.model().zero(1u << 20, 1u << 17);
    image.close();
    OptionMap options;
    if (config.sector != 512) options["logical_sector_size"] = std::to_string(config.sector);
    create_image(disk.files(), kOther, config.format, 3u << 20, options);
    Image other = Image::open(kOther, disk.open_options());
    other.write_at(300000, pattern(300000, 5, 500000));
    other.close();
    disk.files().add("dir/" + kThirdName, disk.files().find(kOther)->contents());
    if (!first.empty()) {
      RebaseOptions how;
      how.parent = first;
      how.open = disk.open_options();
      rebase(TestDisk::kPath, how);
    }
    for (const std::string& path : disk.files().paths()) {
      log_->file(path);
      base_.emplace_back(disk.files().find(path)->contents());
    }
  }

  OpenOptions recorded() {
    OpenOptions how = disk.open_options();
    how.secret = test_key();
    how.accept_older_state = true;  // a superblock may have been cut
    how.file_system = &recording_;
    return how;
  }

  /// Calls `look` with files as a cut may have left them.
  void cut(const std::function<void(MemoryFileSystem&)>& look) {
    std::set<PowerCuts::Hash> distinct;
    std::vector<CutState> states;
    PowerCuts(base_, log_->events(), rng_)
        .enumerate(
            distinct, [](size_t) { return 0; }, [&](const CutState& s) { states.push_back(s); });
    const size_t step = std::max<size_t>(1, states.size() / kMostStates);
    const std::vector<std::string> names = log_->files();
    for (size_t i = 0; i < states.size(); i += step) {
      MemoryFileSystem files;
      for (size_t file = 0; file < states[i].files.size(); ++file) files.add(names[file], states[i].files[file].contents());
      INFO(states[i].name << " of " << states.size());
      look(files);
    }
    CHECK(states.size() > 1);
  }

  OpenOptions reading(FileSystem& files) {
    OpenOptions how = disk.open_options(Access::read_only);
    how.secret = test_key();
    how.accept_older_state = true;  // a superblock may have been cut
    how.file_system = &files;
    return how;
  }
  std::string difference(FileSystem& files, const std::string& path = TestDisk::kPath) {
    OpenOptions how = reading(files);
    const ImageConfig& config = disk.config();
    if (path == TestDisk::kParentPath && !config.parent_format.empty()) how.format = config.parent_format;
    Image image = Image::open(path, how);
    return disk.model().difference(image);
  }

  TestDisk disk;

 private:
  void write(Image& image, uint64_t offset, uint64_t generation, size_t length) {
    const std::vector<std::byte> data = pattern(offset, generation, length);
    image.write_at(offset, data);
    disk.model().write(offset, data);
  }

  Rng rng_;
  const std::shared_ptr<EventLog> log_ = std::make_shared<EventLog>();
  RecordingFileSystem recording_{disk.files(), log_};
  FileSet base_;
};

/// False if the parent is not the one that the child expects.
bool opens(Stage& stage, FileSystem& files) {
  try {
    Image::open(TestDisk::kPath, stage.reading(files));
    return true;
  } catch (const Error& error) {
    INFO(error.what());
    REQUIRE(error.code() == Errc::corrupt);
    REQUIRE(error.message().find("is not the one that this image was made over") != std::string::npos);
    return false;
  }
}

void rebase_and_cut(const ImageConfig& config, const std::string& parent, const std::string& first = {}) {
  Stage stage(config, first);
  RebaseOptions how;
  how.parent = parent;
  how.open = stage.recorded();
  how.threads = 1;
  rebase(TestDisk::kPath, how);
  stage.cut([&](MemoryFileSystem& files) { CHECK(stage.difference(files) == ""); });
}

CONFORMANCE_CASE("a power cut during a rebase leaves the disk as it was") {
  if (!config.parent_size) return;
  rebase_and_cut(config, kOtherName);
  rebase_and_cut(config, "");
  rebase_and_cut(config, kThirdName, kOtherName);
}

CONFORMANCE_CASE("a power cut during a commit leaves the child as it was, and what it leaves can be committed again") {
  if (!config.parent_size) return;
  Stage stage(config);
  CommitOptions how;
  how.open = stage.recorded();
  how.threads = 1;
  commit(TestDisk::kPath, how);
  CHECK(stage.difference(stage.disk.files()) == "");
  stage.cut([&](MemoryFileSystem& files) {
    CommitOptions again;
    again.open = stage.disk.open_options();
    again.open.secret = test_key();
    again.open.accept_older_state = true;
    again.open.file_system = &files;
    if (!opens(stage, files)) {
      // Between the parent's new identity and the child's record of it nothing has been written yet.
      REQUIRE((config.format != "varve" || config.parent_format == "vmdk"));
      RebaseOptions told;
      told.parent = "base.img";
      told.parent_format = config.parent_format;
      told.unsafe = true;
      told.open = again.open;
      rebase(TestDisk::kPath, told);
    }
    CHECK(stage.difference(files) == "");
    commit(TestDisk::kPath, again);
    CHECK(stage.difference(files) == "");
    CHECK(stage.difference(files, TestDisk::kParentPath) == "");
  });
}

}  // namespace
}  // namespace varve::test
