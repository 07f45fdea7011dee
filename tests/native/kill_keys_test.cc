// A program that changes the key slots of an image is killed, on real files.
#include <signal.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <optional>
#include <sstream>
#include <thread>
#include <utility>
#include <vector>

#include "native/numbered_secrets.h"
#include "support/image_kit.h"
#include "support/pattern.h"
#include "support/process.h"
#include "support/seeds.h"
#include "support/test.h"

namespace varve::test {
namespace {

constexpr uint64_t kKills = 40;
constexpr uint64_t kSize = 100000;
constexpr uint64_t kLongestLife = 150;  // ms

struct Change {
  unsigned slot = 0;
  uint64_t old_secret = 0;
  uint64_t new_secret = 0;
};

/// An image, whose secrets open it, and which ones did once.
class Victim {
 public:
  Victim(const TempDir& dir, Rng& rng) : path_(dir / "disk.varve"), log_(dir / "log"), rng_(rng) {
    CreateOptions create;
    create.options = {{"encryption", "aes-256-gcm"}};
    create.secret = provider_of(numbered_secret(slots_.at(0)));
    Image image = Image::create(path_, "varve", kSize, create);
    image.write_at(0, pattern(0, 1, kSize));
    image.close();
  }

  /// Empty, or what is wrong afterwards. Adds up the changes that had returned.
  std::string kill(const std::string& writer, uint64_t session, uint64_t& changes) {
    std::ofstream(log_, std::ios::trunc).flush();
    Background program({writer, path_, std::to_string(session), text_of(slots_), log_});
    std::this_thread::sleep_for(std::chrono::microseconds(rng_.below(kLongestLife * 1000)));
    if (program.stop(SIGKILL) != 128 + SIGKILL) return "the writer ended by itself";
    std::optional<Change> pending;
    std::ifstream log(log_);
    for (std::string line; std::getline(log, line) && !log.eof();) {
      if (line == "end") {
        make(*pending);
        pending.reset();
        ++changes;
        continue;
      }
      std::istringstream words(line.substr(6));
      pending.emplace();
      words >> pending->slot >> pending->old_secret >> pending->new_secret;
    }
    if (pending) {
      const bool old_opens = pending->old_secret != 0 && opens(pending->old_secret);
      const bool new_opens = pending->new_secret != 0 && opens(pending->new_secret);
      if (old_opens && new_opens) return "both secrets of a change open the image";
      if (!old_opens && !new_opens && pending->old_secret != 0 && pending->new_secret != 0)
        return "neither secret of a change opens the image";
      if (pending->old_secret == 0 ? new_opens : !old_opens) make(*pending);
    }
    return judge();
  }

 private:
  void make(const Change& change) {
    if (change.old_secret != 0) gone_.push_back(change.old_secret);
    if (change.new_secret != 0)
      slots_[change.slot] = change.new_secret;
    else
      slots_.erase(change.slot);
  }

  bool opens(uint64_t secret) const {
    OpenOptions how;
    how.format = "varve";
    how.secret = provider_of(numbered_secret(secret));
    std::vector<std::byte> all(kSize);
    try {
      Image image = Image::open(path_, how);
      image.read_at(0, all);
    } catch (const Error& error) {
      if (error.code() != Errc::authentication) throw;
      return false;
    }
    CHECK(all == pattern(0, 1, kSize));
    return true;
  }

  std::string judge() const {
    OpenOptions how;
    how.format = "varve";
    how.for_info = true;
    NumberedSlots filled;
    for (const KeySlotInfo& slot : Image::open(path_, how).key_slots())
      filled[slot.slot] = slots_.contains(slot.slot) ? slots_.at(slot.slot) : 0;
    if (filled != slots_) return "the slots are " + text_of(filled) + "and should be " + text_of(slots_);
    for (const auto& [slot, secret] : slots_)
      if (!opens(secret)) return "secret " + std::to_string(secret) + " does not open slot " + std::to_string(slot);
    // Of passphrases, which take long, the latest one.
    bool tried = false;
    for (auto secret = gone_.rbegin(); secret != gone_.rend(); ++secret) {
      if (is_passphrase(*secret) && std::exchange(tried, true)) continue;
      if (opens(*secret)) return "secret " + std::to_string(*secret) + " was removed, and opens the image";
    }
    return {};
  }

  const std::string path_;
  const std::string log_;
  Rng& rng_;
  NumberedSlots slots_{{0, 1}};
  std::vector<uint64_t> gone_;
};

TEST_CASE(
    "a program that changes keys, killed at 40 moments: each secret opens the image from its return to its removal, and none after it") {
  const char* writer = std::getenv("VARVE_TEST_KEY_WRITER");
  if (writer == nullptr) SKIP_TEST("VARVE_TEST_KEY_WRITER is not set: run this by way of ./dev test native");
  Rng rng("varve kills of key writers");
  SHOW_SEED(rng);
  const TempDir dir;
  Victim victim(dir, rng);
  const uint64_t kills = scaled(kKills);
  uint64_t changes = 0;
  for (uint64_t session = 1; session <= kills; ++session) {
    const std::string wrong = victim.kill(writer, session, changes);
    REQUIRE_MESSAGE(wrong == "", "kill " << session << ", after " << changes << " changes");
  }
  std::printf("killed writers of keys: %llu, after %llu changes\n", static_cast<unsigned long long>(kills),
              static_cast<unsigned long long>(changes));
  CHECK(changes > kills);
}

}  // namespace
}  // namespace varve::test
