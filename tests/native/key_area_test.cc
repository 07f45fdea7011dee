// The key area against bytes made by hand from docs/formats/varve.md (sections 13.1 and 13.2), and what a slot may cost.
#include "native/key_area.h"

#include <chrono>
#include <cstring>

#include "base/random.h"
#include "crypto/gcm.h"
#include "crypto/kdf.h"
#include "native/victim.h"

namespace varve::test {
namespace {

constexpr uint64_t kAreaSize = 57344;
constexpr uint64_t kSlotSize = 3072;

Bytes bytes_of_text(const std::string& text) {
  const auto bytes = std::as_bytes(std::span(text));
  return {bytes.begin(), bytes.end()};
}

Bytes counted(size_t n, uint8_t first) {
  Bytes bytes(n);
  for (size_t i = 0; i < n; ++i) bytes[i] = static_cast<std::byte>(first + i);
  return bytes;
}

Bytes part(ConstBytes bytes, uint64_t offset, uint64_t length) {
  const ConstBytes piece = bytes.subspan(offset, length);
  return {piece.begin(), piece.end()};
}

Bytes plain(const Secret& secret) { return {secret.bytes().begin(), secret.bytes().end()}; }

Bytes number(uint64_t value, unsigned size) {
  Bytes bytes(size);
  put(bytes, 0, value, size);
  return bytes;
}

template <size_t size>
std::array<uint8_t, size> array_of(ConstBytes bytes) {
  std::array<uint8_t, size> array;
  std::memcpy(array.data(), bytes.data(), size);
  return array;
}

// ---- by hand -----------------------------------------------------------------------------------------

struct SlotSpec {
  unsigned slot = 0;
  uint32_t type = 3;
  uint32_t log2_n = 0, r = 0, p = 0;
  uint64_t iterations = 0;
  KeySecret secret = raw_key();
  std::vector<std::pair<uint32_t, Bytes>> masters;  ///< epochs and keys
};

Bytes stretched(const SlotSpec& spec, ConstBytes salt) {
  const ConstBytes secret = spec.secret.bytes.bytes();
  if (spec.type == 1) return plain(scrypt(secret, salt, spec.log2_n, spec.r, spec.p, 32));
  if (spec.type == 2) return plain(pbkdf2_sha256(secret, salt, spec.iterations, 32));
  return {secret.begin(), secret.end()};
}

/// Fills a slot of `area`, whose first 16 bytes are there.
void put_slot(Bytes& area, const Bytes& crypt_uuid, const SlotSpec& spec) {
  Bytes slot(kSlotSize);
  const Bytes salt = counted(32, static_cast<uint8_t>(0x50 + spec.slot));
  put(slot, 0, spec.type, 4);
  put(slot, 4, spec.log2_n, 4);
  put(slot, 8, spec.r, 4);
  put(slot, 12, spec.p, 4);
  put(slot, 16, spec.iterations, 8);
  put_bytes(slot, 32, salt);
  const Bytes key = stretched(spec, salt);
  const GcmKey wrap(hkdf_sha256(key, salt, bytes_of_text("varve slot wrap"), 32).bytes());
  put_bytes(slot, 64, hkdf_sha256(key, salt, bytes_of_text("varve slot commit"), 32).bytes());
  for (size_t i = 0; i < spec.masters.size(); ++i) {
    const auto& [epoch, master] = spec.masters[i];
    const Bytes nonce = counted(12, static_cast<uint8_t>(0x90 + i));
    const Bytes associated = part(area, 0, 16) + crypt_uuid + number(spec.slot, 4) + number(epoch, 4) + part(slot, 0, 96);
    Bytes sealed(32);
    const GcmTag tag = wrap.seal(array_of<12>(nonce), associated, master, sealed);
    const uint64_t at = 96 + 64 * i;
    put(slot, at, epoch, 4);
    put_bytes(slot, at + 4, nonce);
    put_bytes(slot, at + 16, sealed);
    put_bytes(slot, at + 48, std::as_bytes(std::span(tag)));
  }
  put_bytes(area, 4096 + kSlotSize * spec.slot, slot);
}

/// MAC and tag of an area in which both are zero.
void finish(Bytes& area, const Bytes& header, const Bytes& crypt_uuid, const Bytes& master) {
  const Secret key = hkdf_sha256(master, crypt_uuid, bytes_of_text("varve key area"), 32);
  const auto mac = hmac_sha256(key.bytes(), header + area);
  put_bytes(area, 32, std::as_bytes(std::span(mac)));
  put_bytes(area, 4080, xxh3(area));
}

Bytes area_bytes(const Bytes& header, const std::vector<SlotSpec>& slots) {
  Bytes area(kAreaSize);
  put_bytes(area, 0, hex("89564b410d0a1a0a"));
  put(area, 8, 1, 4);
  put(area, 12, 1, 4);
  put(area, 16, 7, 8);
  const Bytes crypt_uuid = part(header, 64, 16);
  for (const SlotSpec& slot : slots) put_slot(area, crypt_uuid, slot);
  finish(area, header, crypt_uuid, slots[0].masters.back().second);
  return area;
}

Bytes encrypted_header() {
  HeaderSpec spec;
  spec.incompatible = 1;
  Bytes header = header_bytes(spec);
  put_bytes(header, 64, counted(16, 0xc0));
  seal(header);
  return header;
}

std::shared_ptr<MemoryStorage> file_with(const Bytes& header, const Bytes& first, const Bytes& second) {
  auto file = std::make_shared<MemoryStorage>();
  file->resize(kExtents);
  for (const uint64_t region : {0, 65536}) file->write_at(region, header);
  file->write_at(8192, first);
  file->write_at(73728, second);
  return file;
}

native::Unlocked unlock(Storage& file, const KeySecret& secret, std::optional<unsigned> only = {}) {
  return native::unlock(*native::read_key_area(file).raw, native::read_headers(file), secret, only, {});
}

TEST_CASE("key area: one that was made by hand opens") {
  const Bytes header = encrypted_header();
  const Bytes master = counted(32, 0x10);
  std::vector<SlotSpec> slots;
  slots.push_back({0, 3, 0, 0, 0, 0, raw_key(), {{3, master}}});
  slots.push_back({4, 1, 5, 8, 2, 0, passphrase("scrypt's"), {{3, master}}});
  slots.push_back({15, 2, 0, 0, 0, 100, passphrase("PBKDF2's"), {{3, master}}});
  const Bytes area = area_bytes(header, slots);
  const auto file = file_with(header, area, area);
  for (const SlotSpec& spec : slots) {
    const native::Unlocked found = unlock(*file, spec.secret);
    CHECK(found.slot == spec.slot);
    REQUIRE(found.keys.size() == 1);
    CHECK(found.keys[0].epoch == 3);
    CHECK(plain(found.keys[0].key) == master);
  }
  const std::vector<KeySlotInfo> listed = native::slots_of(*native::read_key_area(*file).raw);
  REQUIRE(listed.size() == 3);
  CHECK(listed[1].slot == 4);
  CHECK(listed[1].how.kind == KdfKind::scrypt);
  CHECK(listed[1].how.log2_n == 5);
  CHECK(listed[2].how.iterations == 100);
  CHECK_ERRC(unlock(*file, passphrase("another")), Errc::authentication);
}

TEST_CASE("key area: of two master keys the one of the higher epoch has made the MAC") {
  const Bytes header = encrypted_header();
  std::vector<SlotSpec> slots;
  slots.push_back({0, 3, 0, 0, 0, 0, raw_key(), {{1, counted(32, 0x10)}, {2, counted(32, 0x40)}}});
  const Bytes area = area_bytes(header, slots);
  const native::Unlocked found = unlock(*file_with(header, area, area), raw_key());
  REQUIRE(found.keys.size() == 2);
  CHECK(plain(found.keys[1].key) == counted(32, 0x40));
  std::swap(slots[0].masters[0], slots[0].masters[1]);
  const Bytes descending = area_bytes(header, slots);
  CHECK_ERRC(unlock(*file_with(header, descending, descending), raw_key()), Errc::corrupt);
}

TEST_CASE("key area: one that the library made is what the specification says, byte for byte") {
  const Victim v(OptionMap{{"cluster_size", "4K"}});
  const Bytes file = v.file();
  const Bytes header = part(file, 0, kBlock);
  const Bytes area = part(file, 8192, kAreaSize);
  CHECK(part(file, 73728, kAreaSize) == area);
  CHECK(part(area, 0, 16) == hex("89564b410d0a1a0a0100000001000000"));
  CHECK(get(area, 16, 8) == 1);
  CHECK(part(area, 24, 8) == Bytes(8));
  CHECK(part(area, 64, 4016) == Bytes(4016));
  CHECK(part(area, 4096 + kSlotSize, kAreaSize - 4096 - kSlotSize) == Bytes(kAreaSize - 4096 - kSlotSize));
  const Bytes slot = part(area, 4096, kSlotSize);
  CHECK(part(slot, 0, 32) == number(3, 4) + Bytes(28));
  CHECK(part(slot, 160, kSlotSize - 160) == Bytes(kSlotSize - 160));
  // All that is random in it, put into one made by hand, gives the same.
  const Bytes salt = part(slot, 32, 32);
  const Bytes key = part(raw_key().bytes.bytes(), 0, 32);
  CHECK(plain(hkdf_sha256(key, salt, bytes_of_text("varve slot commit"), 32)) == part(slot, 64, 32));
  CHECK(get(slot, 96, 4) == 1);
  const GcmKey wrap(hkdf_sha256(key, salt, bytes_of_text("varve slot wrap"), 32).bytes());
  const Bytes crypt_uuid = part(header, 64, 16);
  const Bytes associated = part(area, 0, 16) + crypt_uuid + number(0, 4) + number(1, 4) + part(slot, 0, 96);
  Bytes master(32);
  REQUIRE(wrap.open(array_of<12>(part(slot, 100, 12)), associated, part(slot, 112, 32), master, array_of<16>(part(slot, 144, 16))));
  Bytes again = area;
  put_bytes(again, 32, Bytes(32));
  put_bytes(again, 4080, Bytes(16));
  finish(again, header, crypt_uuid, master);
  CHECK(again == area);
}

TEST_CASE("key area: the copy with the higher sequence counts, and a torn one does not") {
  const Bytes header = encrypted_header();
  const Bytes master = counted(32, 0x10);
  std::vector<SlotSpec> slots;
  slots.push_back({0, 3, 0, 0, 0, 0, raw_key(), {{1, master}}});
  const Bytes older = area_bytes(header, slots);
  const auto with_sequence = [&](uint64_t sequence, uint8_t first) {
    slots[0].secret = raw_key(first);
    Bytes area = area_bytes(header, slots);
    put(area, 16, sequence, 8);
    put_bytes(area, 32, Bytes(32));
    put_bytes(area, 4080, Bytes(16));
    finish(area, header, part(header, 64, 16), master);
    return area;
  };
  const Bytes newer = with_sequence(8, 2);
  Bytes torn = newer;
  torn[50000] ^= std::byte{1};
  const auto faults = [](Storage& file) { return native::read_key_area(file).faults; };
  for (const auto& [first, second] : {std::pair(older, newer), std::pair(newer, older)}) {
    const auto file = file_with(header, first, second);
    CHECK(unlock(*file, raw_key(2)).slot == 0);
    CHECK_ERRC(unlock(*file, raw_key()), Errc::authentication);
    CHECK(faults(*file)[first == older ? 0 : 1] == "it is older");
  }
  for (const auto& [first, second] : {std::pair(older, torn), std::pair(torn, older)}) {
    const auto file = file_with(header, first, second);
    CHECK(unlock(*file, raw_key()).slot == 0);
    CHECK(faults(*file)[first == torn ? 0 : 1] == "its tag is wrong");
  }
  CHECK_ERRC(unlock(*file_with(header, torn, torn), raw_key(2)), Errc::corrupt);
  CHECK_ERRC(unlock(*file_with(header, Bytes(kAreaSize), Bytes(kAreaSize)), raw_key(2)), Errc::corrupt);
  CHECK_ERRC(unlock(*file_with(header, newer, with_sequence(8, 3)), raw_key(2)), Errc::corrupt);
  CHECK(unlock(*file_with(header, newer, newer), raw_key(2)).slot == 0);
}

// ---- what a slot may cost ----------------------------------------------------------------------------

/// How long it takes to be told the limit, of slots as they are: nothing of them need be right but the tag.
void expect_limit(const std::vector<native::KeySlotRaw>& slots, const Limits& limits = {}, std::optional<unsigned> only = {}) {
  auto area = std::make_unique<native::KeyAreaRaw>(*native::new_key_area().raw);
  for (size_t i = 0; i < slots.size(); ++i) {
    area->slots.at(i) = slots[i];
    area->slots.at(i).wrapped[0].epoch = 1;
  }
  const Bytes header = encrypted_header();
  const auto file = file_with(header, Bytes(kAreaSize), Bytes(kAreaSize));
  for (size_t copy = 0; copy < 2; ++copy) put_key_area(*file, copy, *area);
  const native::KeyArea read = native::read_key_area(*file);
  const native::Headers headers = native::read_headers(*file);
  const auto begin = std::chrono::steady_clock::now();
  CHECK_ERRC(native::unlock(*read.raw, headers, passphrase("any"), only, limits), Errc::limit);
  CHECK(std::chrono::steady_clock::now() - begin < std::chrono::milliseconds(50));
}

native::KeySlotRaw scrypt_slot(uint32_t log2_n, uint32_t r, uint32_t p) {
  native::KeySlotRaw slot{};
  slot.type = native::kSlotScrypt;
  slot.log2_n = log2_n;
  slot.r = r;
  slot.p = p;
  return slot;
}

native::KeySlotRaw pbkdf2_slot(uint64_t iterations) {
  native::KeySlotRaw slot{};
  slot.type = native::kSlotPbkdf2;
  slot.iterations = iterations;
  return slot;
}

TEST_CASE("key area: a slot that costs more than allowed is refused before any work") {
  expect_limit({scrypt_slot(40, 8, 1)});
  expect_limit({scrypt_slot(41, 8, 1)});
  expect_limit({scrypt_slot(64, 8, 1)});
  expect_limit({scrypt_slot(UINT32_MAX, UINT32_MAX, UINT32_MAX)});
  expect_limit({scrypt_slot(1, 1U << 20, 17)});
  expect_limit({scrypt_slot(4, 1U << 20, 1)});  // 2 GiB
  expect_limit({scrypt_slot(1, (1U << 20) + 1, 1)});
  expect_limit({scrypt_slot(10, 8, 17)});
  expect_limit({scrypt_slot(21, 8, 1)});  // 2 GiB
  expect_limit({pbkdf2_slot(10000001)});
  expect_limit({pbkdf2_slot(UINT64_MAX)});
  // Products that are 0, or small, modulo 2^64.
  expect_limit({scrypt_slot(40, 1U << 20, 16)});
  expect_limit({scrypt_slot(40, 1U << 17, 16)});
  expect_limit({scrypt_slot(37, (1U << 20) + 1, 16)});
  expect_limit({scrypt_slot(32, 1U << 31, 2)});
  Limits less;
  less.kdf_memory = 16 << 20;
  expect_limit({scrypt_slot(15, 8, 1)}, less);
  less.kdf_memory = (32 << 20) - 1;
  expect_limit({scrypt_slot(15, 8, 1)}, less);
}

TEST_CASE("key area: all slots that a secret is tried on may cost no more than allowed together") {
  Limits limits;
  limits.kdf_work = 16 * (8 << 10) - 1;
  const std::vector<native::KeySlotRaw> all(16, scrypt_slot(10, 8, 1));
  expect_limit(all, limits);
  expect_limit({scrypt_slot(18, 8, 7), pbkdf2_slot(9000000)});
  // One that is named, alone.
  expect_limit({scrypt_slot(10, 8, 1), scrypt_slot(21, 8, 1)}, {}, 1);

  const Bytes header = encrypted_header();
  std::vector<SlotSpec> slots;
  for (unsigned i = 0; i < 16; ++i)
    slots.push_back({i, 1, 10, 8, 1, 0, passphrase("number " + std::to_string(i)), {{1, counted(32, 0x10)}}});
  const Bytes area = area_bytes(header, slots);
  const auto file = file_with(header, area, area);
  const native::KeyArea read = native::read_key_area(*file);
  const native::Headers headers = native::read_headers(*file);
  CHECK(native::unlock(*read.raw, headers, passphrase("number 15"), {}, {}).slot == 15);
  CHECK_ERRC(native::unlock(*read.raw, headers, passphrase("number 15"), {}, limits), Errc::limit);
  CHECK(native::unlock(*read.raw, headers, passphrase("number 15"), 15, limits).slot == 15);
  CHECK_ERRC(native::unlock(*read.raw, headers, passphrase("number 15"), 14, limits), Errc::authentication);
  CHECK_ERRC(native::unlock(*read.raw, headers, passphrase("number 15"), 16, limits), Errc::authentication);
  // A raw key is tried on none of them.
  limits.kdf_work = 0;
  CHECK_ERRC(native::unlock(*read.raw, headers, raw_key(), {}, limits), Errc::authentication);
}

TEST_CASE("key area: a secret that can't be one is no wrong one") {
  const Bytes header = encrypted_header();
  std::vector<SlotSpec> slots;
  slots.push_back({0, 3, 0, 0, 0, 0, raw_key(), {{1, counted(32, 0x10)}}});
  const Bytes area = area_bytes(header, slots);
  const auto file = file_with(header, area, area);
  CHECK_ERRC(unlock(*file, passphrase("")), Errc::invalid_argument);
  CHECK_ERRC(unlock(*file, passphrase(std::string(1025, 'x'))), Errc::invalid_argument);
  CHECK_ERRC(unlock(*file, passphrase(std::string(1024, 'x'))), Errc::authentication);
  for (const size_t size : {0, 16, 31, 33, 64}) CHECK_ERRC(unlock(*file, {SecretKind::raw_key, Secret(size)}), Errc::invalid_argument);
}

}  // namespace
}  // namespace varve::test
