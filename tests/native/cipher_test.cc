// The test vectors of encryption in docs/formats/varve.md, section 15: tests/independent/vectors.py computes them.
#include "native/cipher.h"

#include "native/builder.h"
#include "native/key_area.h"
#include "varve/limits.h"

namespace varve::test {
namespace {

using native::Cipher;
using native::KeyAreaRaw;
using native::Kind;
using native::MasterKeys;
using native::Pointer;

constexpr unsigned kSlot = 3;
constexpr uint64_t kUnit = 4096;

Bytes counting(uint8_t first, size_t size) {
  Bytes bytes(size);
  for (size_t i = 0; i < size; ++i) bytes[i] = static_cast<std::byte>(first + i);
  return bytes;
}

template <size_t size>
std::array<uint8_t, size> counting_array(uint8_t first) {
  std::array<uint8_t, size> bytes{};
  for (size_t i = 0; i < size; ++i) bytes[i] = static_cast<uint8_t>(first + i);
  return bytes;
}

template <size_t size>
std::string hex_of(const std::array<uint8_t, size>& bytes) {
  return to_hex(std::as_bytes(std::span(bytes)));
}

MasterKeys master_keys() {
  MasterKeys keys;
  keys.push_back({1, Secret(counting(0x40, 32))});
  return keys;
}

Uuid crypt_uuid() { return {counting_array<16>(0x80)}; }

/// What a slot draws: its salt, then the nonce of its master key.
class SaltAndNonce final : public RandomSource {
 public:
  void fill(MutableBytes out) override {
    const Bytes next = out.size() == 32 ? counting(0x20, 32) : counting(0x90, 12);
    REQUIRE(out.size() == next.size());
    std::copy(next.begin(), next.end(), out.begin());
  }
};

Pointer pointer(Kind kind, uint8_t level, uint64_t address, uint64_t length) {
  Pointer p;
  p.kind = kind;
  p.level = level;
  p.birth = 3;
  p.offset = address * kUnit;
  p.length = length * kUnit;
  return p;
}

const Pointer kCluster = pointer(Kind::data, 0, 0x20, 1);
const Pointer kNodeAgain = pointer(Kind::node, 1, 0x400004, 4);

/// One session, and a rewrite of the node in generation 9.
void load_sessions(Cipher& cipher) {
  Bytes table(kBlock);
  put_bytes(table, 0, hex("56534553"));
  put(table, 4, 1, 4);
  put(table, 8, 1, 4);
  put(table, 16, 1, 8);
  put(table, 24, 1, 4);
  put_bytes(table, 32, counting(0x60, 32));
  put(table, 64, kNodeAgain.offset, 8);
  put(table, 72, kNodeAgain.end(), 8);
  put(table, 80, 9, 8);
  cipher.load_session_table(table, {1, 1, counting_array<32>(0x60)});
}

TEST_CASE("section 15: a key slot and the MAC of its area") {
  native::KeyArea area = native::new_key_area();
  area.raw->sequence = 1;
  const KeySecret secret{SecretKind::raw_key, Secret(counting(0, 32))};
  SaltAndNonce random;
  native::fill_slot(*area.raw, kSlot, crypt_uuid(), master_keys(), secret, {}, random);
  const native::KeySlotRaw& slot = area.raw->slots[kSlot];
  CHECK(hex_of(slot.commitment) == "4e648f5a38758120442c61cb694d5b44588f77434f7e51db5687b039f55fe289");
  CHECK(hex_of(slot.wrapped[0].key) == "aa049ea5e6f32dbbdce84be83383c0a32f1089fd9616ec45865890713b78c5c3");
  CHECK(hex_of(slot.wrapped[0].tag) == "e832b5c28799d8afbac646838ca912f2");

  native::Headers headers;
  headers.header.crypt_uuid = crypt_uuid();
  native::authenticate(*area.raw, headers.raw, crypt_uuid(), master_keys());
  CHECK(hex_of(area.raw->mac) == "c23cd560a9d1754f7f766a21cac08db5fa6a6b59fe7efb9743c13c23b00b54c4");
  const native::Unlocked unlocked = native::unlock(*area.raw, headers, secret, std::nullopt, {});
  CHECK(to_hex(unlocked.wrap.bytes()) == "1c3e84d8d8a88d5559c098867bbc99bc20521e892ded8d160750a4f4ce3b3a8a");
  REQUIRE(unlocked.keys.size() == 1);
  CHECK(to_hex(unlocked.keys[0].key.bytes()) == to_hex(counting(0x40, 32)));
}

TEST_CASE("section 15: a cluster") {
  Cipher cipher(crypt_uuid(), kUnit, master_keys());
  load_sessions(cipher);
  Bytes sealed(kCluster.length);
  const native::TagBytes tag = cipher.seal(kCluster, Bytes(kCluster.length), sealed);
  CHECK(to_hex(ConstBytes(sealed).first(16)) == "1d574d270dd2cd35ddf5cbfe38186d6e");
  CHECK(hex_of(tag) == "537508b4cf14891cdd39767d8e7da1ac");

  const GcmKey key(hex("b8df35aca127b6fd09d9e1ceec73c9f8d5205262895edffff1c45b877d28ce86"));
  GcmNonce nonce;
  const Bytes nonce_bytes = hex("200000000000030000000000");
  std::copy(nonce_bytes.begin(), nonce_bytes.end(), std::as_writable_bytes(std::span(nonce)).begin());
  const Bytes associated =
      hex("808182838485868788898a8b8c8d8e8f0200000000000000"
          "001000000000000003000000000000000300000000000000");
  Bytes opened(kCluster.length, std::byte{1});
  CHECK(key.open(nonce, associated, sealed, opened, tag));
  CHECK(opened == Bytes(kCluster.length));
}

TEST_CASE("section 15: a node that was encrypted again, in another part of the file") {
  Cipher cipher(crypt_uuid(), kUnit, master_keys());
  load_sessions(cipher);
  Bytes sealed(kNodeAgain.length);
  const native::TagBytes tag = cipher.seal(kNodeAgain, Bytes(kNodeAgain.length), sealed);
  CHECK(hex_of(tag) == "5871b4d75ad04ccafe7f5a21d4b2dc17");
  Pointer written = kNodeAgain;
  written.tag = tag;
  CHECK(cipher.open(written, sealed));
  CHECK(sealed == Bytes(kNodeAgain.length));
  written.birth = 9;  // as if it had been born then
  cipher.seal(kNodeAgain, Bytes(kNodeAgain.length), sealed);
  CHECK_FALSE(cipher.open(written, sealed));
}

}  // namespace
}  // namespace varve::test
