// An encrypted image of any bytes, which a mutator that knows key areas has made (varve_key_mutator.cc), and a script of changes of its
// keys: what is known without a secret can be told of all that can be opened, reading changes nothing, a key that was added opens the image
// until it is removed, and no key that was removed does.
#include <map>

#include "data_producer.h"
#include "sparse_input.h"
#include "support/secrets.h"
#include "target.h"

namespace varve::fuzz {

const char* const kTargetName = "varve_keyarea";

namespace {

constexpr uint64_t kMaxSteps = 8;
constexpr uint8_t kFirstKey = 100;  ///< of those that are added here

OpenOptions options(const KeySecret& secret, Access access = Access::read_only) {
  OpenOptions how;
  how.access = access;
  how.format = "varve";
  how.ignore_parent = true;
  how.accept_older_state = true;
  how.secret = test::provider_of(secret);
  how.limits = tight_limits();
  return how;
}

/// 0, or why it does not open.
int opens(const std::shared_ptr<Storage>& file, const KeySecret& secret) {
  return only_errors([&] { Image::open(file, options(secret)); });
}

void look(const std::shared_ptr<Storage>& file) {
  const FileState before(*file);
  bool told = false;
  only_errors([&] {
    OpenOptions how = options({});
    how.secret = {};
    how.for_info = true;
    Image image = Image::open(file, how);
    image.info();
    if (image.info().encrypted) image.key_slots();
    told = true;
  });
  const int by_key = opens(file, test::raw_key());
  const int by_passphrase = opens(file, test::passphrase("fuzz"));
  require(told || (by_key != 0 && by_passphrase != 0), "an image can be opened, and its slots can't be told");
  require(FileState(*file) == before, "looking at an image changed it");
}

/// Adds, changes and removes keys. The keys of slots that were filled here: by slot.
void change_keys(const std::shared_ptr<Storage>& file, DataProducer& script) {
  std::map<unsigned, uint8_t> ours;
  std::vector<uint8_t> gone;
  const uint64_t steps = script.byte() % (kMaxSteps + 1);
  only_errors([&] {
    Image image = Image::open(file, options(test::raw_key(), Access::read_write));
    if (!image.info().encrypted) return;
    const auto forget = [&](unsigned slot) {
      if (const auto old = ours.find(slot); old != ours.end()) {
        gone.push_back(old->second);
        ours.erase(old);
      }
    };
    for (uint64_t i = 0; i < steps; ++i) {
      const uint8_t what = script.byte() % 3;
      const unsigned slot = script.byte() % 20;
      const auto key = static_cast<uint8_t>(kFirstKey + i);
      only_errors([&] {
        if (what == 0) ours[image.add_key(test::raw_key(key))] = key;
        if (what == 1) {
          image.change_key(slot, test::raw_key(key));
          forget(slot);
          ours[slot] = key;
        }
        if (what == 2) {
          image.remove_key(slot);
          forget(slot);
        }
      });
    }
    if (script.boolean()) image.write_at(0, std::vector<std::byte>(std::min<uint64_t>(image.size(), 512)));
    image.close();
  });
  for (const auto& [slot, key] : ours) require(opens(file, test::raw_key(key)) == 0, "a key that was added does not open the image");
  for (const uint8_t key : gone) require(opens(file, test::raw_key(key)) != 0, "a key that was removed opens the image");
}

}  // namespace

void run(std::span<const uint8_t> input) {
  const SparseInput parts(input);
  DataProducer script(parts.tail);
  const HeapBound bound(parts.file->size() * 4);
  look(parts.file);
  change_keys(parts.file, script);
}

}  // namespace varve::fuzz
