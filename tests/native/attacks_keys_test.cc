// Encrypted images whose header or key area was changed by someone who has no key, with checksums that are right; or comes from an older
// copy of the file, or from another image.
#include "base/random.h"
#include "native/victim.h"

namespace varve::test {
namespace {

using native::HeaderRaw;
using native::KeyAreaRaw;
using native::KeySlotRaw;

OpenOptions with_secret(const KeySecret& secret) {
  OpenOptions how;
  how.secret = provider_of(secret);
  return how;
}

/// Before any data, also for a reader that wants encryption; and a writer leaves the file as it is.
void expect_code(Victim& v, Errc expected) {
  const Bytes file = v.file();
  OpenOptions strict;
  strict.require_encryption = true;
  strict.accept_older_state = true;
  OpenOptions writing;
  writing.access = Access::read_write;
  for (const OpenOptions& how : {OpenOptions(), strict, writing}) {
    const Outcome outcome = v.outcome(how);
    REQUIRE_MESSAGE(outcome.error, "the attack was not seen");
    CHECK_MESSAGE(errc_name(*outcome.error) == errc_name(expected), outcome.message);
    CHECK(outcome.contents.disk.empty());
  }
  CHECK(v.file() == file);
}

// ---- the header --------------------------------------------------------------------------------------

struct HeaderChange {
  std::string name;
  Errc expected;
  std::function<void(HeaderRaw&)> change;
};

const std::vector<HeaderChange>& header_changes() {
  // A reader says of what it does not know that it does not know it, before the MAC: bytes 8 to 11, 24 to 31, and a codec at 92.
  static const std::vector<HeaderChange> all = {
      {"version", Errc::unsupported, [](HeaderRaw& h) { h.version = 2; }},
      {"a reserved word", Errc::corrupt, [](HeaderRaw& h) { h.reserved = 1; }},
      {"sequence", Errc::corrupt, [](HeaderRaw& h) { h.sequence = h.sequence + 1; }},
      {"not encrypted", Errc::corrupt, [](HeaderRaw& h) { h.incompatible = 0; }},
      {"an incompatible feature", Errc::unsupported, [](HeaderRaw& h) { h.incompatible = 3; }},
      {"a read-only-compatible feature", Errc::corrupt, [](HeaderRaw& h) { h.read_only_compatible = 1; }},
      {"a compatible feature", Errc::corrupt, [](HeaderRaw& h) { h.compatible = 1; }},
      {"image UUID", Errc::corrupt, [](HeaderRaw& h) { h.image_uuid[3] ^= 1; }},
      {"crypt UUID", Errc::authentication, [](HeaderRaw& h) { h.crypt_uuid[3] ^= 1; }},
      {"cluster size", Errc::corrupt, [](HeaderRaw& h) { h.cluster_size = 65536; }},
      {"unit", Errc::corrupt, [](HeaderRaw& h) { h.unit = 512; }},
      {"node size", Errc::corrupt, [](HeaderRaw& h) { h.node_size = 4096; }},
      {"codec", Errc::corrupt, [](HeaderRaw& h) { h.codec = 2; }},
      {"an unknown codec", Errc::unsupported, [](HeaderRaw& h) { h.codec = 7; }},
      {"level", Errc::corrupt, [](HeaderRaw& h) { h.level = 1; }},
      {"journal size", Errc::corrupt, [](HeaderRaw& h) { h.journal_bytes = 0; }},
  };
  return all;
}

TEST_CASE("varve, encrypted: a header that was changed without the key is refused before any data is read") {
  const auto v = make_victim();
  const Bytes file = v->file();
  for (const HeaderChange& one : header_changes()) {
    CAPTURE(one.name);
    v->put(file);
    change_header(*v->storage(), one.change);
    expect_code(*v, one.expected);
    // In a copy that claims to be the newer one.
    const auto newer = [&](HeaderRaw& header) {
      one.change(header);
      header.sequence = header.sequence + 5;
    };
    v->put(file);
    change_header(*v->storage(), newer, {1});
    expect_code(*v, one.expected);
    // In one that claims to be as new as the other.
    v->put(file);
    change_header(*v->storage(), one.change, {0});
    expect_code(*v, Errc::corrupt);
  }
  v->put(file);
  change_header(*v->storage(), [](HeaderRaw& h) { h.incompatible = 0, h.sequence = 0; }, {0});
  expect_all(v->outcome(), v->now());  // the other copy is the newer one
}

TEST_CASE("varve, encrypted: an image that says it is plain is refused where encryption is wanted") {
  Victim v(OptionMap{});
  MemoryFileSystem files;
  CreateOptions how;
  how.file_system = &files;
  Image::create("plain", "varve", Victim::kDisk, how).close();
  v.put(files.find("plain")->contents());
  OpenOptions strict;
  CHECK_FALSE(v.outcome(strict).error);
  strict.require_encryption = true;
  CHECK(v.outcome(strict).error == Errc::authentication);
}

TEST_CASE("varve, encrypted: headers and key areas of two images with the same key are not exchanged") {
  const auto v = make_victim();
  const auto other = make_victim();
  const Bytes file = v->file();
  const Bytes others = other->file();
  const auto put = [&](uint64_t offset, uint64_t length) { v->put(offset, ConstBytes(others).subspan(offset, length)); };
  SUBCASE("both headers") {
    for (const uint64_t region : native::kRegions) put(region, kBlock);
    expect_code(*v, Errc::authentication);
  }
  SUBCASE("one header") {
    put(native::kRegions[1], kBlock);
    expect_code(*v, Errc::corrupt);
  }
  SUBCASE("both key areas") {
    for (size_t copy = 0; copy < 2; ++copy) put(native::key_area_offset(copy), sizeof(KeyAreaRaw));
    expect_code(*v, Errc::authentication);
  }
  SUBCASE("one key area") {
    put(native::key_area_offset(0), sizeof(KeyAreaRaw));
    expect_code(*v, Errc::corrupt);
  }
  SUBCASE("headers and key areas") {
    for (size_t copy = 0; copy < 2; ++copy) {
      put(native::kRegions[copy], kBlock);
      put(native::key_area_offset(copy), sizeof(KeyAreaRaw));
    }
    expect_code(*v, Errc::corrupt);  // the key is right then, and nothing else
  }
}

// ---- the key area ------------------------------------------------------------------------------------

TEST_CASE("varve, encrypted: a key area that was changed without the key is refused") {
  const auto v = make_victim();
  v->open();
  CHECK(v->image().add_key(raw_key(9)) == 1);
  v->close();
  const Bytes file = v->file();
  const auto expect = [&](const std::string& name, Errc expected, const std::function<void(KeyAreaRaw&)>& change) {
    CAPTURE(name);
    v->put(file);
    change_key_area(*v->storage(), change);
    expect_code(*v, expected);
  };
  // Known before the MAC is: bytes 8 to 15, and the types of slots.
  expect("version", Errc::unsupported, [](KeyAreaRaw& a) { a.version = 2; });
  expect("suite", Errc::unsupported, [](KeyAreaRaw& a) { a.suite = 0; });
  expect("a slot's type", Errc::unsupported, [](KeyAreaRaw& a) { a.slots[0].type = 4; });
  expect("sequence", Errc::corrupt, [](KeyAreaRaw& a) { a.sequence = a.sequence + 1; });
  expect("MAC", Errc::corrupt, [](KeyAreaRaw& a) { a.mac[31] ^= 1; });
  expect("reserved", Errc::corrupt, [](KeyAreaRaw& a) { a.reserved3[17] = 1; });
  expect("slot emptied in part", Errc::corrupt, [](KeyAreaRaw& a) { a.slots[0].type = 0; });
  expect("another slot emptied", Errc::corrupt, [](KeyAreaRaw& a) { a.slots[1] = {}; });
  expect("another slot filled", Errc::corrupt, [](KeyAreaRaw& a) { a.slots[5] = a.slots[1]; });
  expect("another slot's bytes", Errc::corrupt, [](KeyAreaRaw& a) { a.slots[1].commitment[0] ^= 1; });
  expect("the slot copied", Errc::corrupt, [](KeyAreaRaw& a) { a.slots[2] = a.slots[0]; });
  expect("the slot moved", Errc::authentication, [](KeyAreaRaw& a) { a.slots[2] = a.slots[0], a.slots[0] = {}; });
  expect("two slots swapped", Errc::authentication, [](KeyAreaRaw& a) { std::swap(a.slots[0], a.slots[1]); });
  expect("salt", Errc::authentication, [](KeyAreaRaw& a) { a.slots[0].salt[0] ^= 1; });
  expect("commitment", Errc::authentication, [](KeyAreaRaw& a) { a.slots[0].commitment[0] ^= 1; });
  expect("epoch", Errc::authentication, [](KeyAreaRaw& a) { a.slots[0].wrapped[0].epoch = 2; });
  expect("a second master key", Errc::authentication, [](KeyAreaRaw& a) {
    a.slots[0].wrapped[1] = a.slots[0].wrapped[0];
    a.slots[0].wrapped[1].epoch = 2;
  });
  expect("type to PBKDF2", Errc::authentication, [](KeyAreaRaw& a) { a.slots[0].type = native::kSlotPbkdf2, a.slots[0].iterations = 1; });
  expect("scrypt's cost in a raw slot", Errc::authentication, [](KeyAreaRaw& a) { a.slots[0].log2_n = 10; });
}

/// Slot 0 as a passphrase's, cheap to try.
void fill_with_passphrase(Victim& v, const KeyDerivation& how) {
  Storage& file = *v.storage();
  const native::Headers headers = native::read_headers(file);
  const auto area = key_area_at(file, 0);
  const native::Unlocked keys = native::unlock(*area, headers, raw_key(), {}, {});
  native::fill_slot(*area, 0, headers.header.crypt_uuid, keys.keys, passphrase("correct horse"), how, system_random());
  native::authenticate(*area, headers.raw, headers.header.crypt_uuid, keys.keys);
  native::write_key_area(file, *area, {});
}

TEST_CASE("varve, encrypted: what a passphrase costs can't be changed without it") {
  const auto v = make_victim();
  const auto expect = [&](Errc expected, const std::function<void(KeySlotRaw&)>& change) {
    const Bytes file = v->file();
    change_key_area(*v->storage(), [&](KeyAreaRaw& area) { change(area.slots[0]); });
    const Bytes changed = v->file();
    const Outcome outcome = v->outcome(with_secret(passphrase("correct horse")));
    REQUIRE(outcome.error);
    CHECK_MESSAGE(errc_name(*outcome.error) == errc_name(expected), outcome.message);
    CHECK(v->file() == changed);
    v->put(file);
  };
  SUBCASE("scrypt") {
    fill_with_passphrase(*v, {KdfKind::scrypt, 6, 8, 2, 0});
    expect_all(v->outcome(with_secret(passphrase("correct horse"))), v->now());
    expect(Errc::authentication, [](KeySlotRaw& s) { s.log2_n = 1; });
    expect(Errc::authentication, [](KeySlotRaw& s) { s.log2_n = 5; });
    expect(Errc::authentication, [](KeySlotRaw& s) { s.log2_n = 7; });
    expect(Errc::authentication, [](KeySlotRaw& s) { s.r = 1; });
    expect(Errc::authentication, [](KeySlotRaw& s) { s.p = 1; });
    expect(Errc::authentication, [](KeySlotRaw& s) { s.iterations = 1; });
    expect(Errc::authentication, [](KeySlotRaw& s) { s.type = native::kSlotPbkdf2, s.iterations = 1; });
    expect(Errc::authentication, [](KeySlotRaw& s) { s.type = native::kSlotRaw; });
    // What no function is defined for.
    expect(Errc::corrupt, [](KeySlotRaw& s) { s.log2_n = 0; });
    expect(Errc::corrupt, [](KeySlotRaw& s) { s.r = 0; });
    expect(Errc::corrupt, [](KeySlotRaw& s) { s.p = 0; });
    expect(Errc::corrupt, [](KeySlotRaw& s) { s.log2_n = 16, s.r = 1; });
    expect(Errc::corrupt, [](KeySlotRaw& s) { s.type = native::kSlotPbkdf2; });
  }
  SUBCASE("PBKDF2") {
    fill_with_passphrase(*v, {KdfKind::pbkdf2, 0, 0, 0, 1000});
    expect_all(v->outcome(with_secret(passphrase("correct horse"))), v->now());
    expect(Errc::authentication, [](KeySlotRaw& s) { s.iterations = 1; });
    expect(Errc::authentication, [](KeySlotRaw& s) { s.iterations = 1001; });
    expect(Errc::authentication, [](KeySlotRaw& s) { s.type = native::kSlotScrypt, s.log2_n = 1, s.r = 1, s.p = 1; });
    expect(Errc::corrupt, [](KeySlotRaw& s) { s.iterations = 0; });
  }
}

// ---- older key areas ---------------------------------------------------------------------------------

TEST_CASE("varve, encrypted: an older key area brings a secret back only if it is in both copies") {
  const auto v = make_victim();
  const auto older = key_area_at(*v->storage(), 0);
  v->open();
  v->image().change_key(0, raw_key(9));
  v->close();
  const auto newer = key_area_at(*v->storage(), 0);
  const OpenOptions then = with_secret(raw_key());
  const OpenOptions now = with_secret(raw_key(9));
  CHECK(v->outcome(then).error == Errc::authentication);
  expect_all(v->outcome(now), v->now());

  SUBCASE("its slot alone") {
    // Opened with the older secret it is not the key area that was written; and the newer secret has no slot.
    change_key_area(*v->storage(), [&](KeyAreaRaw& area) { area.slots[0] = older->slots[0]; });
    CHECK(v->outcome(then).error == Errc::corrupt);
    CHECK(v->outcome(now).error == Errc::authentication);
  }
  SUBCASE("its slot beside the newer one") {
    change_key_area(*v->storage(), [&](KeyAreaRaw& area) { area.slots[1] = older->slots[0]; });
    CHECK(v->outcome(then).error == Errc::authentication);  // it belongs to another place
    CHECK(v->outcome(now).error == Errc::corrupt);
  }
  SUBCASE("its slot and its MAC") {
    change_key_area(*v->storage(), [&](KeyAreaRaw& area) { area.slots[0] = older->slots[0], area.mac = older->mac; });
    CHECK(v->outcome(then).error == Errc::corrupt);  // the MAC is of another sequence
  }
  SUBCASE("in one copy") {
    for (size_t copy = 0; copy < 2; ++copy) {
      put_key_area(*v->storage(), copy, *older);
      CHECK(v->outcome(then).error == Errc::authentication);
      expect_all(v->outcome(now), v->now());
      put_key_area(*v->storage(), copy, *newer);
    }
  }
  SUBCASE("in one copy, with a sequence that is higher") {
    KeyAreaRaw forged = *older;
    forged.sequence = newer->sequence + 1;
    put_key_area(*v->storage(), 1, forged);
    CHECK(v->outcome(then).error == Errc::corrupt);
    CHECK(v->outcome(now).error == Errc::authentication);
  }
  SUBCASE("in both copies") {
    // docs/security.md: nothing in the file can tell. Only another master key shuts the older secret out of what is written later.
    for (size_t copy = 0; copy < 2; ++copy) put_key_area(*v->storage(), copy, *older);
    expect_all(v->outcome(then), v->now());
    CHECK(v->outcome(now).error == Errc::authentication);
  }
  SUBCASE("in both copies, after the master key was changed") {
    MemoryFileSystem& files = v->files();
    OpenOptions writing = now;
    writing.access = Access::read_write;
    writing.format = "varve";
    writing.file_system = &files;
    Image image = Image::open(Victim::kPath, writing);
    image.rotate_key();
    image.close();
    expect_all(v->outcome(now), v->now());
    for (const KeyAreaRaw* area : {older.get(), newer.get()}) {
      for (size_t copy = 0; copy < 2; ++copy) put_key_area(*v->storage(), copy, *area);
      expect_refused(v->outcome(then));
      expect_refused(v->outcome(now));
    }
  }
}

}  // namespace
}  // namespace varve::test
