// An encrypted image with a history, for tests of its rotation.
#ifndef VARVE_TESTS_NATIVE_TANGLE_H
#define VARVE_TESTS_NATIVE_TANGLE_H

#include <algorithm>
#include <array>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "native/key_area.h"
#include "native/workout.h"
#include "native/world.h"
#include "support/pattern.h"
#include "support/test.h"

namespace varve::test {

/// Of encrypted images.
inline const std::vector<OptionMap>& rotated_options() {
  static const std::pair<std::string, std::string> kEncrypted = {"encryption", "aes-256-gcm"};
  static const std::vector<OptionMap> kAll = {{{"cluster_size", "4K"}, {"journal_size", "64K"}, kEncrypted},
                                              {{"cluster_size", "16K"}, {"compression", "zstd"}, {"journal_size", "64K"}, kEncrypted},
                                              {{"cluster_size", "4K"}, {"compression", "zlib:1"}, {"journal_size", "0"}, kEncrypted},
                                              {{"cluster_size", "64K"}, {"journal_size", "128K"}, kEncrypted}};
  return kAll;
}

/// Branches, a branch point that is hidden, snapshots of other sizes, and attachments of the image and of a snapshot.
struct Tangle : World {
  Tangle(const OptionMap& options, Rng& rng) : World(options) {
    const auto change = [&](int count) {
      for (int i = 0; i < count; ++i) random_change(rng, rng.below(1000));
    };
    change(12);
    create("one");
    change(6);
    create("two");
    change(6);
    create("gone");
    change(4);
    create("three");
    revert("gone");
    change(4);
    create("four");
    remove("gone");  // stays hidden
    resize(150 * 1024);
    change(4);
    create("small");
    resize(420 * 1024);
    zero(100 * 1024, 100 * 1024);
    change(2);
    attach({"note"}, 20000);
    attach({"state", "two"}, 70000);
    attach({"empty", "three"}, 0);
  }
  void attach(const AttachmentKey& key, uint64_t length) {
    const World::Bytes bytes = pattern(0, ++attached_, length);
    image().put_attachment(key, 1, source_of(bytes));
    attachments_.emplace_back(key, bytes);
  }
  void forget_attachments_of(const std::string& snapshot) {
    std::erase_if(attachments_, [&](const auto& one) { return one.first.snapshot == snapshot; });
  }

  /// All of it, and what each state differs from each other in.
  void expect_everything() {
    expect_all();
    for (const std::string& from : kept()) {
      expect_diff(image(), from, "");
      for (const std::string& to : kept()) expect_diff(image(), from, to);
    }
    CHECK(image().attachments().size() == attachments_.size());
    for (const auto& [key, bytes] : attachments_) {
      World::Bytes seen(bytes.size());
      image().read_attachment(key, 0, seen);
      CHECK(seen == bytes);
    }
  }
  std::shared_ptr<MemoryStorage> file() { return files().find(kPath); }

 private:
  std::vector<std::pair<AttachmentKey, World::Bytes>> attachments_;
  uint64_t attached_ = 0;
};

using Epochs = std::map<unsigned, std::vector<uint32_t>>;
/// The slots that hold something, by number: the epochs of what they hold.
inline Epochs epochs_of(Storage& file) {
  const native::KeyArea area = native::read_key_area(file);
  CHECK(area.faults == std::array<std::string, 2>{});
  Epochs all;
  for (unsigned slot = 0; slot < area.raw->slots.size(); ++slot)
    for (const native::WrappedKeyRaw& one : area.raw->slots[slot].wrapped)
      if (one.epoch != 0) all[slot].push_back(one.epoch);
  return all;
}

}  // namespace varve::test

#endif
