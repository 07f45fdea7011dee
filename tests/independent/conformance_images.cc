// The varve configurations of the conformance suite after a random workload with snapshots: conformance_images DIRECTORY
//
// Each image becomes DIRECTORY/N.varve, its disk N.head.raw, each of its snapshots N.SNAPSHOT.raw and its parent's disk N.parent.raw. A
// line for each says N, "alone" or "child", the configuration's name, and the snapshots in order, with tabs between them.
#include <fstream>
#include <iostream>
#include <map>
#include <string>
#include <vector>

#include "support/image_kit.h"
#include "support/pattern.h"
#include "varve/error.h"

namespace varve::test {
namespace {

constexpr int kRounds = 8;
constexpr uint64_t kSteps = 25;

void save(const std::string& path, ConstBytes bytes) {
  std::ofstream out(path, std::ios::binary);
  out.write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
  if (!out.flush()) throw Error(Errc::io, "can't write").in(path);
}

/// Writes between snapshots, some of them reverted to, so that there are branches, and some deleted, so that there is a branch point.
class History {
 public:
  explicit History(const ImageConfig& config) : config_(config), disk_(config), rng_("conformance images " + config.name) {}

  /// Leaves every second image as a program leaves it that is killed after a flush.
  void run(bool close) {
    Image image = disk_.open();
    for (int round = 0; round < kRounds; ++round) {
      work(image, static_cast<uint64_t>(round));
      const std::string name = "s" + std::to_string(round);
      image.create_snapshot(name, 1);
      kept_.emplace(name, disk_.model());
      if (round % 3 == 2) go_back(image, "s" + std::to_string(round - 1));
    }
    work(image, kRounds);
    image.flush();
    if (config_.size != 0) write_a_little(image);
    if (close) image.close();
  }

  void save_all(const std::string& directory, size_t number) const {
    const std::string prefix = directory + "/" + std::to_string(number) + ".";
    save(prefix + "varve", disk_.files().find(TestDisk::kPath)->contents());
    save(prefix + "head.raw", disk_.model().bytes());
    if (config_.parent_size) save(prefix + "parent.raw", disk_.parent_model().bytes());
    std::cout << number << '\t' << (config_.parent_size ? "child" : "alone") << '\t' << config_.name;
    for (const auto& [name, content] : kept_) {
      save(prefix + name + ".raw", content.bytes());
      std::cout << '\t' << name;
    }
    std::cout << '\n';
  }

 private:
  void work(Image& image, uint64_t round) {
    Workload load(image, disk_.model(), rng_);
    load.set_generation(1 + round * kSteps);
    if (const std::string wrong = load.run(kSteps); !wrong.empty()) throw Error(Errc::corrupt, config_.name + ": " + wrong);
  }
  void go_back(Image& image, const std::string& name) {
    image.revert_to_snapshot(name);
    disk_.model() = kept_.at(name);
    image.delete_snapshot(name);
    kept_.erase(name);
  }
  /// For the journal.
  void write_a_little(Image& image) {
    const auto data = pattern(0, 7777, 512);
    image.write_at(0, data);
    disk_.model().write(0, data);
    image.flush();
  }

  const ImageConfig& config_;
  mutable TestDisk disk_;
  Rng rng_;
  std::map<std::string, ShadowDisk> kept_;
};

int run(const std::string& directory) {
  const std::vector<ImageConfig>& all = writable_configs();
  for (size_t number = 0; number < all.size(); ++number) {
    if (all[number].format != "varve") continue;
    History history(all[number]);
    history.run(number % 2 == 0);
    history.save_all(directory, number);
  }
  return 0;
}

}  // namespace
}  // namespace varve::test

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  try {
    return varve::test::run(argv[1]);
  } catch (const varve::Error& error) {
    std::cerr << error.what() << '\n';
    return 1;
  }
}
