#include "native/keys.h"

#include <algorithm>
#include <string>

#include "native/rotate.h"
#include "varve/error.h"

namespace varve::native {

std::vector<KeySlotInfo> NativeKeys::list() {
  const std::lock_guard lock(image_.change_mutex_);
  std::vector<KeySlotInfo> all = slots_of(area());
  for (KeySlotInfo& one : all) one.opened = one.slot == image_.parts_.opened.slot;
  return all;
}

/// A copy to be changed. The lock is held.
std::unique_ptr<KeyAreaRaw> NativeKeys::begin() const {
  if (image_.parts_.created)
    throw Error(Errc::unsupported, "the keys of an image that is being created can't change").hint("close it first");
  if (!image_.parts_.headers.header.may_be_written)
    throw Error(Errc::unsupported, "the image has features that this program does not know, so it can't be written to")
        .hint("use a newer version");
  image_.require_sound();
  image_.cipher()->require_own_process();
  return std::make_unique<KeyAreaRaw>(area());
}

void NativeKeys::require_filled(unsigned slot) const {
  if (slot < kKeySlots && area().slots[slot].type != 0) return;
  throw Error(Errc::not_found, "key slot " + std::to_string(slot) + " is empty").hint("`varve key list` shows those that are not");
}

/// The step that makes it real. A copy that was torn before is whole afterwards.
void NativeKeys::put(std::unique_ptr<KeyAreaRaw> next) {
  next->sequence = next->sequence + 1;
  authenticate(*next, encode(image_.parts_.headers.header), image_.cipher()->crypt_uuid(), image_.cipher()->master_keys());
  image_.last_if_it_fails([&] { write_key_area(*image_.file_, *next, image_.parts_.key_area.faults); });
  image_.parts_.key_area.raw = std::move(next);
  image_.parts_.key_area.faults = {};
}

unsigned NativeKeys::add(const KeySecret& secret, const KeyDerivation& how) {
  require_strong(secret, how, image_.parts_.limits);
  const std::lock_guard lock(image_.change_mutex_);
  auto next = begin();
  const auto free = std::find_if(next->slots.begin(), next->slots.end(), [](const KeySlotRaw& slot) { return slot.type == 0; });
  if (free == next->slots.end())
    throw Error(Errc::limit, "all " + std::to_string(kKeySlots) + " key slots are taken").hint("remove or change one");
  const auto slot = static_cast<unsigned>(free - next->slots.begin());
  fill_slot(*next, slot, image_.cipher()->crypt_uuid(), image_.cipher()->master_keys(), secret, how, *image_.parts_.random);
  put(std::move(next));
  return slot;
}

void NativeKeys::change(unsigned slot, const KeySecret& secret, const KeyDerivation& how) {
  require_strong(secret, how, image_.parts_.limits);
  const std::lock_guard lock(image_.change_mutex_);
  auto next = begin();
  require_filled(slot);
  Secret wrap = fill_slot(*next, slot, image_.cipher()->crypt_uuid(), image_.cipher()->master_keys(), secret, how, *image_.parts_.random);
  put(std::move(next));
  if (image_.parts_.opened.slot == slot) image_.parts_.opened.wrap = std::move(wrap);
}

void NativeKeys::remove(unsigned slot) {
  const std::lock_guard lock(image_.change_mutex_);
  auto next = begin();
  require_filled(slot);
  if (slots_of(*next).size() == 1)
    throw Error(Errc::invalid_argument,
                "key slot " + std::to_string(slot) + " is the last one, and nothing would open the image without it")
        .hint("add another one first");
  empty_slot(*next, slot);
  put(std::move(next));
  if (image_.parts_.opened.slot == slot) image_.parts_.opened = {{}, kKeySlots, {}};
}

// ---- another master key ----------------------------------------------------------------------------------

/// The slots that go on: that which opened the image, and those of further secrets.
std::vector<Unlocked> NativeKeys::all_unlocked(const RotateOptions& options) const {
  std::vector<Unlocked> all;
  const Unlocked& opened = image_.parts_.opened;
  if (opened.slot < kKeySlots) all.push_back({{}, opened.slot, opened.wrap.copy()});
  for (const KeySecret& secret : options.also)
    all.push_back(unlock(area(), image_.parts_.headers, secret, std::nullopt, image_.parts_.limits));
  return all;
}

/// From here on each slot holds both master keys, and what is written is under the new one.
void NativeKeys::begin_rotation(const RotateOptions& options) {
  auto next = begin();
  const std::vector<Unlocked> kept = all_unlocked(options);
  const auto is_kept = [&](unsigned slot) {
    return std::any_of(kept.begin(), kept.end(), [&](const Unlocked& one) { return one.slot == slot; });
  };
  std::string dropped;
  for (const KeySlotInfo& one : slots_of(area())) {
    if (is_kept(one.slot)) continue;
    dropped += (dropped.empty() ? "" : ", ") + std::to_string(one.slot);
    empty_slot(*next, one.slot);
  }
  if (kept.empty())
    throw Error(Errc::invalid_argument, "the key slot that opened the image was removed, and no other secret is given")
        .hint("open the image with another one");
  if (!dropped.empty() && !options.drop_others)
    throw Error(Errc::invalid_argument, "key slots that are opened by none of the secrets given can't be kept: " + dropped)
        .hint("give their secrets with --also-key-file, or --drop-others");
  MasterKey key{image_.cipher()->master_keys().back().epoch + 1, Secret(kGcmKeySize)};
  image_.parts_.random->fill(key.key.bytes());
  for (unsigned slot = 0; slot < kKeySlots; ++slot) {
    const auto one = std::find_if(kept.begin(), kept.end(), [&](const Unlocked& k) { return k.slot == slot; });
    if (one != kept.end()) add_master_key(*next, slot, image_.cipher()->crypt_uuid(), one->wrap, key, *image_.parts_.random);
  }
  image_.last_if_it_fails([&] {
    image_.cipher()->add_master_key(std::move(key));
    put(std::move(next));
  });
}

void NativeKeys::rotate(const RotateOptions& options) {
  image_.begin_session();
  const std::lock_guard lock(image_.change_mutex_);
  // All that was written before is in the trees then, and the new key's session has a generation of its own to begin with.
  image_.commit();
  if (image_.cipher()->master_keys().size() == 1) begin_rotation(options);
  // What is in memory fits to the file again when all is done.
  image_.last_if_it_fails([&] {
    if (image_.cipher()->session().epoch != image_.cipher()->master_keys().back().epoch) {
      image_.begin_cipher_session();
      image_.commit();
    }
    if (image_.cipher()->uses_older_epochs()) Rotation(image_, options).run();
    // Neither superblock leads to anything under the older key now.
    image_.commit();
    image_.cipher()->forget_older_keys();
    auto next = begin();
    drop_older_keys(*next);
    put(std::move(next));
  });
}

Keys* NativeImage::keys() {
  if (cipher() == nullptr) return nullptr;
  const std::lock_guard lock(change_mutex_);
  if (keys_ == nullptr) keys_ = std::make_unique<NativeKeys>(*this);
  return keys_.get();
}

}  // namespace varve::native
