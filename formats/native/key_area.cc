#include "native/key_area.h"

#include <algorithm>
#include <cstring>

#include "base/checked_math.h"
#include "base/zero.h"
#include "crypto/kdf.h"
#include "native/tag.h"
#include "varve/error.h"

namespace varve::native {
namespace {

// CVE-2021-4122 and CVE-2025-59054 are about headers that say with which cipher, or from where on, an image is encrypted, and that anybody
// can change: so nothing here is believed before the MAC has been verified, and there is no cipher but one.

constexpr uint32_t kMostP = 16;
constexpr uint32_t kMostR = uint32_t{1} << 20;
constexpr uint32_t kMostLog2N = 40;
constexpr uint32_t kLeastLog2N = 15;
constexpr uint64_t kLeastIterations = 600000;
constexpr size_t kMostPassphrase = 1024;
constexpr size_t kRawKey = 32;

ConstBytes text(const char* label) { return std::as_bytes(std::span(label, std::strlen(label))); }

TagBytes tag_of_area(const KeyAreaRaw& area) {
  auto copy = std::make_unique<KeyAreaRaw>(area);
  copy->tag = {};
  return tag_of(bytes_of(*copy));
}

std::unique_ptr<KeyAreaRaw> read_copy(Storage& file, uint64_t offset, std::string& fault) {
  const auto none = [&](const char* why) {
    fault = why;
    return nullptr;
  };
  if (!range_fits(offset, sizeof(KeyAreaRaw), file.size())) return none("the file ends before it");
  auto area = std::make_unique<KeyAreaRaw>();
  try {
    file.read_at(offset, std::as_writable_bytes(std::span(area.get(), 1)));
  } catch (const Error& error) {
    if (error.code() != Errc::io) throw;
    return none("it can't be read");
  }
  if (area->magic != kKeyAreaMagic) return none("it has no magic");
  if (tag_of_area(*area) != area->tag) return none("its tag is wrong");
  return area;
}

bool is_empty(const KeySlotRaw& slot) { return slot.type == 0; }

void check_slot(const KeySlotRaw& slot) {
  const auto bad = [](const char* what) { throw Error(Errc::corrupt, std::string("a key slot ") + what); };
  if (is_empty(slot)) {
    if (!is_zero(bytes_of(slot))) bad("is empty and holds something");
    return;
  }
  if (slot.type > kSlotRaw) throw Error(Errc::unsupported, "a key slot of a type that is not known").hint("use a newer version");
  if (slot.reserved != 0 || !is_zero(std::as_bytes(std::span(slot.reserved2)))) bad("has reserved bytes set");
  const bool scrypt_possible = slot.log2_n != 0 && slot.r != 0 && slot.p != 0 && slot.log2_n < uint64_t{16} * slot.r;
  if ((slot.type == kSlotScrypt && !scrypt_possible) || (slot.type == kSlotPbkdf2 && slot.iterations == 0))
    bad("names a derivation that there can't be");
  const uint32_t first = slot.wrapped[0].epoch;
  const uint32_t second = slot.wrapped[1].epoch;
  if (first == 0 || (second != 0 && second <= first)) bad("holds no possible keys");
  if (second == 0 && !is_zero(bytes_of(slot.wrapped[1]))) bad("holds half a key");
}

void check_area(const KeyAreaRaw& area) {
  if (area.version != kKeyAreaVersion || area.suite != kSuiteAes256Gcm)
    throw Error(Errc::unsupported, "the image is encrypted in a way that this program does not know").hint("use a newer version");
  if (area.reserved != 0 || !is_zero(std::as_bytes(std::span(area.reserved2))) || !is_zero(std::as_bytes(std::span(area.reserved3))))
    throw Error(Errc::corrupt, "the key area has reserved bytes set");
  for (const KeySlotRaw& slot : area.slots) check_slot(slot);
}

}  // namespace

KeyArea read_key_area(Storage& file) {
  KeyArea area;
  auto first = read_copy(file, key_area_offset(0), area.faults[0]);
  auto second = read_copy(file, key_area_offset(1), area.faults[1]);
  if (first == nullptr && second == nullptr) {
    throw Error(Errc::corrupt,
                "neither copy of the key area is whole: of the first, " + area.faults[0] + "; of the second, " + area.faults[1])
        .at(key_area_offset(0))
        .hint("without it nothing can be read; restore the image from a copy");
  }
  const bool both = first != nullptr && second != nullptr;
  if (both && first->sequence == second->sequence && std::memcmp(first.get(), second.get(), sizeof(KeyAreaRaw)) != 0)
    throw Error(Errc::corrupt, "two different key areas bear the same sequence").at(key_area_offset(0));
  const bool take_second = first == nullptr || (both && second->sequence > first->sequence);
  if (both && first->sequence != second->sequence) area.faults[take_second ? 0 : 1] = "it is older";
  area.raw = std::move(take_second ? second : first);
  check_area(*area.raw);
  return area;
}

KeyArea new_key_area() {
  KeyArea area;
  area.raw = std::make_unique<KeyAreaRaw>();
  area.raw->magic = kKeyAreaMagic;
  area.raw->version = kKeyAreaVersion;
  area.raw->suite = kSuiteAes256Gcm;
  return area;
}

std::vector<KeySlotInfo> slots_of(const KeyAreaRaw& area) {
  std::vector<KeySlotInfo> all;
  for (unsigned i = 0; i < kKeySlots; ++i) {
    const KeySlotRaw& slot = area.slots[i];
    if (is_empty(slot)) continue;
    KeySlotInfo info;
    info.slot = i;
    info.how.kind = slot.type == kSlotScrypt ? KdfKind::scrypt : slot.type == kSlotPbkdf2 ? KdfKind::pbkdf2 : KdfKind::none;
    info.how.log2_n = slot.log2_n;
    info.how.r = slot.r;
    info.how.p = slot.p;
    info.how.iterations = slot.iterations;
    all.push_back(info);
  }
  return all;
}

// ---- what a slot costs ---------------------------------------------------------------------------------

namespace {

/// RES-10: what it takes to try it, as Limits::kdf_work counts. Throws limit if that is more than allowed.
uint64_t work_of(const KeyDerivation& how, const Limits& limits) {
  const auto refuse = [](const std::string& what) -> uint64_t {
    throw Error(Errc::limit, "a key slot wants more work than allowed: " + what).hint("name another slot with --key-slot");
  };
  if (how.kind == KdfKind::none) return 0;
  if (how.kind == KdfKind::pbkdf2) {
    if (how.iterations > limits.kdf_iterations) return refuse(std::to_string(how.iterations) + " iterations of PBKDF2");
    return how.iterations;
  }
  // Without a product that wraps: 128 x N x r is held against its bound, and N x r x p stays below 2^62 then.
  if (how.log2_n > kMostLog2N || how.p > kMostP || how.r > kMostR || how.r > limits.kdf_memory / 128 >> how.log2_n)
    return refuse("scrypt with N=2^" + std::to_string(how.log2_n) + " r=" + std::to_string(how.r) + " p=" + std::to_string(how.p));
  return (uint64_t{how.r} << how.log2_n) * how.p;
}

void require_length(const KeySecret& secret) {
  if (secret.kind == SecretKind::raw_key && secret.bytes.size() != kRawKey)
    throw Error(Errc::invalid_argument, "a raw key has 32 bytes, not " + std::to_string(secret.bytes.size()));
  if (secret.kind == SecretKind::passphrase && (secret.bytes.empty() || secret.bytes.size() > kMostPassphrase))
    throw Error(Errc::invalid_argument, "a passphrase has 1 to 1024 bytes, not " + std::to_string(secret.bytes.size()));
}

/// From the secret to the keys of a slot: one that wraps, and the commitment.
struct SlotKeys {
  Secret wrap;
  SaltBytes commitment{};
};

SlotKeys slot_keys(const KeySlotRaw& slot, const KeySecret& secret) {
  const ConstBytes salt = std::as_bytes(std::span(slot.salt));
  Secret stretched;
  if (slot.type == kSlotScrypt) stretched = scrypt(secret.bytes.bytes(), salt, slot.log2_n, slot.r, slot.p, kRawKey);
  if (slot.type == kSlotPbkdf2) stretched = pbkdf2_sha256(secret.bytes.bytes(), salt, slot.iterations, kRawKey);
  const ConstBytes key = stretched.empty() ? secret.bytes.bytes() : stretched.bytes();
  SlotKeys keys;
  keys.wrap = hkdf_sha256(key, salt, text("varve slot wrap"), kGcmKeySize);
  const Secret commitment = hkdf_sha256(key, salt, text("varve slot commit"), keys.commitment.size());
  std::memcpy(keys.commitment.data(), commitment.bytes().data(), keys.commitment.size());
  return keys;
}

/// What a wrapped key is bound to: all that says how to get at it, and where it stands.
std::vector<std::byte> associated_with(const KeyAreaRaw& area, unsigned index, const Uuid& crypt_uuid, uint32_t epoch) {
  std::vector<std::byte> all;
  const auto add = [&](ConstBytes bytes) { all.insert(all.end(), bytes.begin(), bytes.end()); };
  add(bytes_of(area).first(offsetof(KeyAreaRaw, sequence)));
  add(std::as_bytes(std::span(crypt_uuid.bytes)));
  const std::array<le32, 2> numbers = {le32(index), le32(epoch)};
  add(std::as_bytes(std::span(numbers)));
  add(bytes_of(area.slots[index]).first(offsetof(KeySlotRaw, wrapped)));
  return all;
}

std::optional<MasterKey> open_wrapped(const KeyAreaRaw& area, unsigned index, const Uuid& crypt_uuid, const GcmKey& wrap,
                                      const WrappedKeyRaw& one) {
  MasterKey key{one.epoch, Secret(one.key.size())};
  const auto associated = associated_with(area, index, crypt_uuid, key.epoch);
  if (!wrap.open(one.nonce, associated, std::as_bytes(std::span(one.key)), key.key.bytes(), one.tag)) return std::nullopt;
  return key;
}

std::optional<MasterKeys> open_slot(const KeyAreaRaw& area, unsigned index, const Uuid& crypt_uuid, const SlotKeys& keys) {
  const KeySlotRaw& slot = area.slots[index];
  // GCM commits to no key: two could open one slot.
  if (!equal_in_constant_time(std::as_bytes(std::span(keys.commitment)), std::as_bytes(std::span(slot.commitment)))) return std::nullopt;
  const GcmKey wrap(keys.wrap.bytes());
  MasterKeys all;
  for (const WrappedKeyRaw& one : slot.wrapped) {
    if (one.epoch == 0) continue;
    std::optional<MasterKey> key = open_wrapped(area, index, crypt_uuid, wrap, one);
    if (!key) return std::nullopt;
    all.push_back(std::move(*key));
  }
  return all;
}

std::array<uint8_t, 32> mac_of(const KeyAreaRaw& area, const HeaderRaw& header, const Uuid& crypt_uuid, const MasterKeys& keys) {
  auto copy = std::make_unique<KeyAreaRaw>(area);
  copy->mac = {};
  copy->tag = {};
  std::vector<std::byte> message;
  const auto add = [&](ConstBytes bytes) { message.insert(message.end(), bytes.begin(), bytes.end()); };
  add(bytes_of(header));
  add(bytes_of(*copy));
  const Secret key = hkdf_sha256(keys.back().key.bytes(), std::as_bytes(std::span(crypt_uuid.bytes)), text("varve key area"), 32);
  return hmac_sha256(key.bytes(), message);
}

KdfKind kdf_of(const KeySecret& secret, KdfKind wanted) { return secret.kind == SecretKind::raw_key ? KdfKind::none : wanted; }

}  // namespace

Unlocked unlock(const KeyAreaRaw& area, const Headers& headers, const KeySecret& secret, std::optional<unsigned> only,
                const Limits& limits) {
  require_length(secret);
  std::vector<unsigned> tried;
  uint64_t work = 0;
  for (const KeySlotInfo& slot : slots_of(area)) {
    const bool of_its_kind = (slot.how.kind == KdfKind::none) == (secret.kind == SecretKind::raw_key);
    if (!of_its_kind || (only && *only != slot.slot)) continue;
    work += work_of(slot.how, limits);
    tried.push_back(slot.slot);
    if (work > limits.kdf_work)
      throw Error(Errc::limit, "trying all key slots takes more work than allowed").hint("name one with --key-slot");
  }
  const Uuid& crypt_uuid = headers.header.crypt_uuid;
  for (const unsigned slot : tried) {
    SlotKeys of_slot = slot_keys(area.slots[slot], secret);
    std::optional<MasterKeys> keys = open_slot(area, slot, crypt_uuid, of_slot);
    if (!keys) continue;
    const auto mac = mac_of(area, headers.raw, crypt_uuid, *keys);
    if (!equal_in_constant_time(std::as_bytes(std::span(mac)), std::as_bytes(std::span(area.mac))))
      throw Error(Errc::corrupt, "the header or the key area was changed by someone without the key, or is damaged")
          .hint("restore the image from a copy");
    return {std::move(*keys), slot, std::move(of_slot.wrap)};
  }
  const char* const kind = secret.kind == SecretKind::raw_key ? "key" : "passphrase";
  throw Error(Errc::authentication, std::string("no key slot is opened by this ") + kind +
                                        (only ? ": it is wrong, slot " + std::to_string(*only) + " is another's, or the slot is damaged"
                                              : ": it is wrong, or its slot is damaged"))
      .hint(std::string("give the right ") + kind);
}

// ---- changing --------------------------------------------------------------------------------------------

void require_strong(const KeySecret& secret, const KeyDerivation& how, const Limits& limits) {
  require_length(secret);
  KeyDerivation real = how;
  real.kind = kdf_of(secret, how.kind);
  if (real.kind == KdfKind::scrypt && (how.log2_n < kLeastLog2N || how.r < 8 || how.p == 0))
    throw Error(Errc::invalid_argument, "scrypt with less than N=2^15, r=8 and p=1 protects no passphrase");
  if (real.kind == KdfKind::pbkdf2 && how.iterations < kLeastIterations)
    throw Error(Errc::invalid_argument, "PBKDF2 with less than 600000 iterations protects no passphrase");
  if (work_of(real, limits) > limits.kdf_work) throw Error(Errc::limit, "a key derivation that takes more work than allowed");
}

void add_master_key(KeyAreaRaw& area, unsigned index, const Uuid& crypt_uuid, const Secret& wrap, const MasterKey& key,
                    RandomSource& random) {
  KeySlotRaw& slot = area.slots[index];
  const bool empty = slot.wrapped[0].epoch == 0;
  if (!empty && !open_wrapped(area, index, crypt_uuid, GcmKey(wrap.bytes()), slot.wrapped[0]))
    throw Error(Errc::authentication, "key slot " + std::to_string(index) + " has another secret now").hint("open the image anew");
  WrappedKeyRaw& one = slot.wrapped[empty ? 0 : 1];
  one.epoch = key.epoch;
  random.fill(std::as_writable_bytes(std::span(one.nonce)));
  one.tag = GcmKey(wrap.bytes())
                .seal(one.nonce, associated_with(area, index, crypt_uuid, key.epoch), key.key.bytes(),
                      std::as_writable_bytes(std::span(one.key)));
}

Secret fill_slot(KeyAreaRaw& area, unsigned index, const Uuid& crypt_uuid, const MasterKeys& keys, const KeySecret& secret,
                 const KeyDerivation& how, RandomSource& random) {
  KeySlotRaw& slot = area.slots[index];
  slot = {};
  const KdfKind kind = kdf_of(secret, how.kind);
  slot.type = kind == KdfKind::scrypt ? kSlotScrypt : kind == KdfKind::pbkdf2 ? kSlotPbkdf2 : kSlotRaw;
  if (kind == KdfKind::scrypt) {
    slot.log2_n = how.log2_n;
    slot.r = how.r;
    slot.p = how.p;
  }
  if (kind == KdfKind::pbkdf2) slot.iterations = how.iterations;
  random.fill(std::as_writable_bytes(std::span(slot.salt)));
  SlotKeys of_slot = slot_keys(slot, secret);
  slot.commitment = of_slot.commitment;
  for (const MasterKey& key : keys) add_master_key(area, index, crypt_uuid, of_slot.wrap, key, random);
  return std::move(of_slot.wrap);
}

void empty_slot(KeyAreaRaw& area, unsigned slot) { area.slots[slot] = {}; }

void drop_older_keys(KeyAreaRaw& area) {
  for (KeySlotRaw& slot : area.slots)
    if (slot.wrapped[1].epoch != 0) slot.wrapped = {slot.wrapped[1], WrappedKeyRaw{}};
}

void authenticate(KeyAreaRaw& area, const HeaderRaw& header, const Uuid& crypt_uuid, const MasterKeys& keys) {
  area.mac = mac_of(area, header, crypt_uuid, keys);
  area.tag = tag_of_area(area);
}

void write_key_area(Storage& file, const KeyAreaRaw& area, const std::array<std::string, 2>& faults) {
  const size_t first = faults[0].empty() ? 1 : 0;
  for (const size_t copy : {first, 1 - first}) {
    file.write_at(key_area_offset(copy), bytes_of(area));
    file.flush();
  }
}

}  // namespace varve::native
