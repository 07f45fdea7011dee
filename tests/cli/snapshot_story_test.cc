// A disk with snapshots as somebody uses it from a shell: ten of them, reverts, branches and deletes in any order.
#include <algorithm>
#include <map>

#include "cli.h"
#include "support/seeds.h"

using namespace varve::test;  // NOLINT

namespace {

constexpr size_t kSize = (3 << 20) + 512;
constexpr int kSnapshots = 10;

/// The disk that the image should hold, and what each snapshot should.
class Story {
 public:
  explicit Story(Rng& rng) : rng_(rng), disk_(kSize, '\0') {
    scribble();
    write_file(raw_, disk_);
    must({"convert", "--sync=none", "-f", "raw", raw_, image_, "-o", "compression=zstd"});
  }

  /// Other bytes in a few places, of which some compress.
  void write() {
    scribble();
    write_file(raw_, disk_);
    must({"convert", "--sync=none", "-n", "-f", "raw", "-O", "varve", raw_, image_});
  }
  void create() {
    const std::string name = "snapshot " + std::to_string(next_++);
    snapshot({"create", name});
    kept_.emplace(name, disk_);
  }
  void revert() {
    const std::string name = any();
    snapshot({"revert", name});
    disk_ = kept_.at(name);
  }
  void remove() {
    const std::string name = any();
    snapshot({"delete", name});
    kept_.erase(name);
  }
  size_t count() const { return kept_.size(); }

  void expect_all() {
    const RunResult checked = tool({"check", "--data", image_});
    INFO(checked.out << checked.err);
    CHECK(checked.exit_code == 0);
    CHECK(shown({}) == disk_);
    for (const auto& kept : kept_) CHECK_MESSAGE(shown({"-l", kept.first}) == kept.second, "'" << kept.first << "' is not what it was");
    size_t named = 0;
    const Json listed = json_of(tool({"snapshot", "list", "--json", image_}));
    for (const Json& one : listed["snapshots"]) named += one["name"] == "" ? 0 : 1;
    CHECK(named == kept_.size());
  }

 private:
  void must(const std::vector<std::string>& arguments) {
    const RunResult result = tool(arguments);
    REQUIRE_MESSAGE(result.exit_code == 0, result.err);
  }
  void snapshot(std::vector<std::string> words) {
    words.insert(words.begin(), "snapshot");
    words.insert(words.begin() + 2, {"-f", "varve", image_});
    must(words);
  }
  std::string shown(const std::vector<std::string>& which) {
    std::vector<std::string> words = {"convert", "--sync=none", "--force", "-O", "raw", image_, out_};
    words.insert(words.begin() + 1, which.begin(), which.end());
    must(words);
    return read_file(out_);
  }
  std::string any() {
    auto at = kept_.begin();
    std::advance(at, static_cast<ptrdiff_t>(rng_.below(kept_.size())));
    return at->first;
  }
  void scribble() {
    for (int i = 0; i < 6; ++i) {
      const size_t offset = rng_.below(kSize);
      const size_t length = std::min<size_t>(kSize - offset, rng_.between(1, 200000));
      const auto seed = static_cast<uint32_t>(rng_.next());
      disk_.replace(offset, length, rng_.one_in(3) ? std::string(length, static_cast<char>(seed % 3)) : noise(length, seed));
    }
  }

  Rng& rng_;
  const TempDir dir_;
  const std::string raw_ = dir_ / "disk.raw";
  const std::string image_ = dir_ / "d.varve";
  const std::string out_ = dir_ / "out.raw";
  std::string disk_;
  std::map<std::string, std::string> kept_;
  int next_ = 0;
};

TEST_CASE(
    "ten snapshots with writes between, then reverts, branches and deletes in any order: check finds nothing, and each stays what it was") {
  Rng rng("snapshot story");
  SHOW_SEED(rng);
  Story story(rng);
  for (int i = 0; i < kSnapshots; ++i) {
    story.create();
    story.write();
  }
  story.expect_all();
  for (int step = 0; story.count() > 0; ++step) {
    INFO("step " << step);
    const uint64_t choice = rng.below(6);
    if (choice == 0) {
      story.revert();
    } else if (choice < 3 && step < 12) {
      story.revert();
      story.write();
      story.create();
    } else {
      story.remove();
    }
    story.expect_all();
  }
}

}  // namespace
