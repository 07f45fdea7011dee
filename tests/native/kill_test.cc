// A program that writes is killed, as the host would do it for want of memory, on real files.
#include <signal.h>

#include <array>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <optional>
#include <thread>

#include "io/file_system.h"
#include "native/killed_disk.h"
#include "native/reachable.h"
#include "support/image_kit.h"
#include "support/process.h"
#include "support/test.h"

namespace varve::test {
namespace {

constexpr uint64_t kKills = 200;
constexpr uint64_t kKillsOfAnImage = 50;
constexpr uint64_t kSize = (uint64_t{1} << 20) + 5 * 512;
constexpr uint64_t kLongestLife = 60;  // ms

OpenOptions options(Access access) {
  OpenOptions how;
  how.access = access;
  how.format = "varve";
  return how;
}

uint64_t number_in(const std::string& path) {
  uint64_t number = 0;
  std::ifstream(path, std::ios::binary).read(reinterpret_cast<char*>(&number), sizeof number);
  return number;
}

/// One image and what becomes of it, killing by killing.
class Victim {
 public:
  Victim(const TempDir& dir, const OptionMap& how, Rng& rng) : path_(dir / "disk.varve"), done_(dir / "done"), rng_(rng), disk_(kSize) {
    CreateOptions create;
    create.options = how;
    create.force = true;
    Image::create(path_, "varve", kSize, create).close();
  }

  /// Empty, or what is wrong afterwards. Adds up the steps that had returned.
  std::string kill(const std::string& writer, uint64_t session, uint64_t& steps) {
    std::ofstream(done_, std::ios::binary | std::ios::trunc) << std::string(8, '\0');
    Background program({writer, path_, std::to_string(session), done_});
    std::this_thread::sleep_for(std::chrono::microseconds(rng_.below(kLongestLife * 1000)));
    if (program.stop(SIGKILL) != 128 + SIGKILL) return "the writer ended by itself";
    const uint64_t done = number_in(done_);
    steps += done;
    std::string wrong = judge(session, done);
    return wrong.empty() ? go_on() : "after " + std::to_string(done) + " steps: " + wrong;
  }

 private:
  /// All steps that had returned are there, and the next one in whole or not at all.
  std::string judge(uint64_t session, uint64_t done) {
    Image image = Image::open(path_, options(Access::read_only));
    if (std::string wrong = damages(image); !wrong.empty()) return "check --data finds " + wrong;
    Rng steps(base_seed() + session);
    for (uint64_t number = 0; number < done; ++number) disk_.step(steps, session, number, nullptr);
    const std::string without = disk_.difference(image, path_);
    if (without.empty()) return {};
    disk_.step(steps, session, done, nullptr);
    const std::string with = disk_.difference(image, path_);
    return with.empty() ? with : without + "; and with one step more: " + with;
  }

  /// A session with a change and a close leaves nothing unused.
  std::string go_on() {
    {
      Image image = Image::open(path_, options(Access::read_write));
      image.create_snapshot("after", 1);
      image.delete_snapshot("after");
      image.close();
      if (std::string wrong = disk_.difference(image, path_); !wrong.empty()) return "after one more session: " + wrong;
    }
    return leaks_of_closed(host_file_system().open(path_, {}));
  }

  const std::string path_;
  const std::string done_;
  Rng& rng_;
  KilledDisk disk_;
};

TEST_CASE("a writer killed at 200 moments: every flush and every change of a snapshot that returned is there, and no space is lost") {
  const char* writer = std::getenv("VARVE_TEST_KILL_WRITER");
  if (writer == nullptr) SKIP_TEST("VARVE_TEST_KILL_WRITER is not set: run this by way of ./dev test native");
  Rng rng("varve kills");
  SHOW_SEED(rng);
  static const std::array<OptionMap, 4> kOptions = {{{{"cluster_size", "4K"}, {"compression", "zstd:1"}, {"journal_size", "128K"}},
                                                     {{"journal_size", "1M"}},
                                                     {{"cluster_size", "4K"}, {"journal_size", "0"}},
                                                     {{"cluster_size", "64K"}, {"compression", "zlib:1"}, {"journal_size", "64K"}}}};
  const TempDir dir;
  const auto begin = std::chrono::steady_clock::now();
  const uint64_t kills = scaled(kKills);
  uint64_t steps = 0;
  std::optional<Victim> victim;
  for (uint64_t session = 0; session < kills; ++session) {
    if (session % kKillsOfAnImage == 0) victim.emplace(dir, kOptions[session / kKillsOfAnImage % kOptions.size()], rng);
    const std::string wrong = victim->kill(writer, session, steps);
    REQUIRE_MESSAGE(wrong == "", "kill " << session);
  }
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
  std::printf("killed writers of varve: %llu, after %llu steps, in %.1f s\n", static_cast<unsigned long long>(kills),
              static_cast<unsigned long long>(steps), took.count());
  CHECK(steps > kills);
}

}  // namespace
}  // namespace varve::test
