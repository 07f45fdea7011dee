// Key slots: the master key of an image, wrapped once for each secret that opens it (docs/formats/varve.md, section 13).
#ifndef VARVE_FORMATS_NATIVE_KEY_AREA_H
#define VARVE_FORMATS_NATIVE_KEY_AREA_H

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "native/cipher.h"
#include "native/header.h"
#include "varve/key.h"
#include "varve/limits.h"

namespace varve::native {

/// As it stands in the file, both copies: 56 KiB.
struct KeyArea {
  std::unique_ptr<KeyAreaRaw> raw;    ///< the copy that counts
  std::array<std::string, 2> faults;  ///< why a copy does not count; empty if it does
};

/// Throws corrupt if no copy counts or what counts contradicts itself, unsupported for a suite that is not known.
KeyArea read_key_area(Storage& file);
/// Without slots.
KeyArea new_key_area();

/// What the slots say of themselves, in ascending order. Nothing of it is authenticated.
std::vector<KeySlotInfo> slots_of(const KeyAreaRaw& area);

/// Of one slot whose secret was given.
struct Unlocked {
  MasterKeys keys;
  unsigned slot = 0;
  Secret wrap;  ///< what its master keys are wrapped with
};

/// Tries the secret on the slots of its kind, or on `only` alone. Throws authentication if none is opened by it, limit for slots that would
/// cost more than is allowed, before any work, and corrupt if header or key area are not as they were written.
Unlocked unlock(const KeyAreaRaw& area, const Headers& headers, const KeySecret& secret, std::optional<unsigned> only,
                const Limits& limits);

/// Throws invalid_argument for a secret that can't be or a derivation that is too weak or too costly.
void require_strong(const KeySecret& secret, const KeyDerivation& how, const Limits& limits);
/// Wraps the keys for the secret. The MAC is another step. Returns what they are wrapped with.
Secret fill_slot(KeyAreaRaw& area, unsigned slot, const Uuid& crypt_uuid, const MasterKeys& keys, const KeySecret& secret,
                 const KeyDerivation& how, RandomSource& random);
void empty_slot(KeyAreaRaw& area, unsigned slot);
/// A further master key, for which the slot has room. Throws authentication if `wrap` is not what the slot's keys are wrapped with.
void add_master_key(KeyAreaRaw& area, unsigned slot, const Uuid& crypt_uuid, const Secret& wrap, const MasterKey& key,
                    RandomSource& random);
/// All slots keep the newest master key alone.
void drop_older_keys(KeyAreaRaw& area);

/// MAC, under the newest of the keys, and tag.
void authenticate(KeyAreaRaw& area, const HeaderRaw& header, const Uuid& crypt_uuid, const MasterKeys& keys);
/// One copy, flush, the other one, flush. What does not count is written first: so one of the two is whole at any time, and none comes
/// back.
void write_key_area(Storage& file, const KeyAreaRaw& area, const std::array<std::string, 2>& faults);

constexpr uint64_t key_area_offset(size_t copy) { return kRegions[copy] + kKeyAreaInRegion; }

}  // namespace varve::native

#endif
