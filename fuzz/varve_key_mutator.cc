// Mutations that know key areas: boundary values in their fields, slots filled anew with keys and derivations of any kind, copies that
// differ. Tags are right again afterwards, mostly, and so is the MAC under the master key that the image had.
#include <algorithm>
#include <array>
#include <cstring>
#include <random>

#include "base/checked_math.h"
#include "base/random.h"
#include "native/key_area.h"
#include "native/tag.h"
#include "packed_mutator.h"
#include "support/secrets.h"

namespace varve::fuzz {
namespace {

using namespace native;

constexpr std::array<uint64_t, 14> kValues = {0, 1, 2, 3, 4, 8, 15, 16, 41, 1000, 65536, 0x7fffffff, 0xffffffff, UINT64_MAX};

class Mutation {
 public:
  Mutation(MemoryStorage& file, unsigned seed) : file_(file), random_(seed), secrets_(seed) {
    if (file_.size() < kFirstExtent) file_.resize(kFirstExtent);
    for (size_t copy = 0; copy < 2; ++copy) {
      file_.read_at(kRegions[copy], std::as_writable_bytes(std::span(&headers_[copy], 1)));
      file_.read_at(key_area_offset(copy), std::as_writable_bytes(std::span(&areas_[copy], 1)));
    }
    std::memcpy(crypt_uuid_.bytes.data(), headers_[0].crypt_uuid.data(), crypt_uuid_.bytes.size());
    try {
      const KeyArea area = read_key_area(file_);
      keys_ = unlock(*area.raw, read_headers(file_), test::raw_key(), {}, tight_limits()).keys;
    } catch (const Error&) {
      keys_.push_back({1, Secret(kGcmKeySize)});
    }
  }

  void once() {
    const uint64_t copy = below(2);
    KeyAreaRaw& area = areas_[copy];
    switch (below(8)) {
      case 0: put(bytes_of(area), 8 + 4 * below(6)); break;
      case 1: put(bytes_of(area), below(sizeof(KeyAreaRaw))); break;
      case 2:
      case 3: put(slot_bytes(area), 4 * below(56)); break;
      case 4:
      case 5: refill(area, static_cast<unsigned>(below(kKeySlots))); break;
      case 6: put(bytes_of(headers_[copy]), 8 + 4 * below(24)); break;
      default: mutate_bytes(slot_bytes(area).first(224));
    }
    if (below(8) != 0) {
      areas_[1 - copy] = areas_[copy];
      headers_[1 - copy] = headers_[copy];
    }
    if (below(8) == 0) areas_[copy].sequence = areas_[1 - copy].sequence + below(3) - 1;
    store();
  }

  void repair() {
    for (size_t copy = 0; copy < 2; ++copy) {
      headers_[copy].tag = tag_of(std::as_bytes(std::span(&headers_[copy], 1)).first(offsetof(HeaderRaw, tag)));
      const std::array<uint8_t, 32> mac = areas_[copy].mac;
      authenticate(areas_[copy], headers_[copy], crypt_uuid_, keys_);
      if (below(8) == 0) {
        areas_[copy].mac = mac;
        areas_[copy].tag = {};
        areas_[copy].tag = tag_of(bytes_of(areas_[copy]));
      }
    }
    store();
  }

  uint64_t below(uint64_t bound) { return random_() % bound; }

 private:
  template <typename Raw>
  static MutableBytes bytes_of(Raw& raw) {
    return std::as_writable_bytes(std::span(&raw, 1));
  }
  /// Mostly one that holds something.
  MutableBytes slot_bytes(KeyAreaRaw& area) {
    size_t slot = below(kKeySlots);
    for (int tries = 0; tries < 8 && area.slots[slot].type == 0; ++tries) slot = below(kKeySlots);
    return bytes_of(area.slots[slot]);
  }
  void put(MutableBytes bytes, uint64_t at) {
    const le64 value(kValues[below(kValues.size())]);
    const size_t width = size_t{1} << below(4);
    if (at < bytes.size()) std::memcpy(bytes.data() + at, &value, std::min<size_t>(width, bytes.size() - at));
  }
  static void mutate_bytes(MutableBytes bytes) {
    std::vector<uint8_t> raw(bytes.size());
    std::memcpy(raw.data(), bytes.data(), raw.size());
    LLVMFuzzerMutate(raw.data(), raw.size(), raw.size());
    std::memcpy(bytes.data(), raw.data(), raw.size());
  }

  /// With the master key that there is, beside another one perhaps, for the test's key or passphrase.
  void refill(KeyAreaRaw& area, unsigned slot) {
    if (below(6) == 0) return empty_slot(area, slot);
    MasterKeys keys;
    const auto epoch = keys_.back().epoch;
    if (below(4) == 0) keys.push_back({static_cast<uint32_t>(epoch - 1 + below(2)), Secret(kGcmKeySize)});
    keys.push_back({epoch, keys_.back().key.copy()});
    if (below(4) == 0) keys.push_back({static_cast<uint32_t>(epoch + below(2)), Secret(kGcmKeySize)});
    KeyDerivation how;
    how.kind = below(2) == 0 ? KdfKind::scrypt : KdfKind::pbkdf2;
    how.log2_n = static_cast<uint32_t>(1 + below(6));
    how.r = 1;
    how.iterations = 1 + below(20);
    const KeySecret secret = below(2) == 0 ? test::raw_key(static_cast<uint8_t>(1 + below(2))) : test::passphrase("fuzz");
    fill_slot(area, slot, crypt_uuid_, keys, secret, how, secrets_);
  }

  void store() {
    for (size_t copy = 0; copy < 2; ++copy) {
      file_.write_at(kRegions[copy], bytes_of(headers_[copy]));
      file_.write_at(key_area_offset(copy), bytes_of(areas_[copy]));
    }
  }

  MemoryStorage& file_;
  std::minstd_rand random_;
  SeededRandom secrets_;
  std::array<HeaderRaw, 2> headers_{};
  std::array<KeyAreaRaw, 2> areas_{};
  Uuid crypt_uuid_;
  MasterKeys keys_;
};

}  // namespace
}  // namespace varve::fuzz

extern "C" size_t LLVMFuzzerCustomMutator(uint8_t* data, size_t size, size_t max_size, unsigned seed) {
  return varve::fuzz::mutate_packed<varve::fuzz::Mutation>(data, size, max_size, seed);
}
