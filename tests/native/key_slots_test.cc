// Changing the secrets of an image: what opens it afterwards, what stays in the file, and what a stop at any step leaves.
#include <algorithm>

#include "native/victim.h"
#include "support/seeds.h"
#include "support/storages.h"

namespace varve::test {
namespace {

using native::KeyAreaRaw;
using native::KeySlotRaw;

Image open_with(FileSystem& files, const KeySecret& secret, Access access = Access::read_only) {
  OpenOptions how;
  how.format = "varve";
  how.access = access;
  how.secret = provider_of(secret);
  how.file_system = &files;
  return Image::open(Victim::kPath, how);
}

Image open_for_keys(const Victim& v, const KeySecret& secret = raw_key()) { return open_with(v.files(), secret, Access::read_write); }

/// Empty if the secret opens the image and all reads as it should.
std::string fault_of(const Victim& v, const KeySecret& secret) {
  OpenOptions how;
  how.secret = provider_of(secret);
  const Outcome outcome = v.outcome(how);
  if (outcome.error) return std::string(errc_name(*outcome.error));
  return outcome.contents == v.now() ? "" : "other bytes";
}

bool slot_is_zero(const Victim& v, unsigned slot) {
  return std::ranges::all_of(std::vector<size_t>{0, 1}, [&](size_t copy) {
    return v.part(native::key_area_offset(copy) + kBlock + slot * sizeof(KeySlotRaw), sizeof(KeySlotRaw)) == Bytes(sizeof(KeySlotRaw));
  });
}

bool file_holds(const Victim& v, ConstBytes bytes) {
  const Bytes file = v.file();
  return std::search(file.begin(), file.end(), bytes.begin(), bytes.end()) != file.end();
}

/// Of the nth slot.
KeySecret nth(unsigned n) { return raw_key(static_cast<uint8_t>(1 + n)); }

TEST_CASE("key slots: images with 1, 2, 3 and 16 keys are opened by each of them, and there is no 17th") {
  for (const unsigned count : {1U, 2U, 3U, 16U}) {
    const auto v = make_victim();
    {
      Image image = open_for_keys(*v);
      for (unsigned i = 1; i < count; ++i) CHECK(image.add_key(nth(i)) == i);
      CHECK(image.key_slots().size() == count);
    }
    for (unsigned i = 0; i < count; ++i) {
      CHECK(fault_of(*v, nth(i)) == "");
      Image image = open_with(v->files(), nth(i));
      for (const KeySlotInfo& slot : image.key_slots()) CHECK(slot.opened == (slot.slot == i));
    }
    CHECK(fault_of(*v, nth(count)) == "authentication");
    if (count != 16) continue;
    const Bytes file = v->file();
    Image image = open_for_keys(*v);
    CHECK_ERRC(image.add_key(nth(16)), Errc::limit);
    CHECK(v->file() == file);
    CHECK_ERRC(image.remove_key(16), Errc::not_found);
    CHECK_ERRC(image.change_key(UINT32_MAX, nth(16)), Errc::not_found);
    image.remove_key(7);
    CHECK(image.add_key(nth(16)) == 7);
    CHECK(fault_of(*v, nth(7)) == "authentication");
    CHECK(fault_of(*v, nth(16)) == "");
  }
}

TEST_CASE("key slots: an image without one, which nobody makes, opens with nothing") {
  const auto v = make_victim();
  change_key_area(*v->storage(), [](KeyAreaRaw& area) { area.slots = {}; });
  CHECK(fault_of(*v, nth(0)) == "authentication");
  CHECK(fault_of(*v, passphrase("any")) == "authentication");
}

TEST_CASE("key slots: the last one stays") {
  const auto v = make_victim();
  const Bytes file = v->file();
  {
    Image image = open_for_keys(*v);
    CHECK_ERRC(image.remove_key(0), Errc::invalid_argument);
    CHECK_ERRC(image.remove_key(1), Errc::not_found);
    CHECK_ERRC(image.change_key(1, nth(1)), Errc::not_found);
  }
  CHECK(v->file() == file);
  // Who opened it with a slot may remove that one.
  Image image = open_for_keys(*v);
  image.add_key(nth(1));
  image.remove_key(0);
  CHECK_ERRC(image.remove_key(1), Errc::invalid_argument);
  CHECK(fault_of(*v, nth(0)) == "authentication");
  CHECK(fault_of(*v, nth(1)) == "");
}

TEST_CASE("key slots: a secret that was removed or changed opens nothing, and its slot is not in the file") {
  const auto v = make_victim();
  Image image = open_for_keys(*v);
  image.add_key(nth(1));
  image.add_key(nth(2));
  const auto before = key_area_at(*v->storage(), 0);
  image.remove_key(1);
  CHECK(slot_is_zero(*v, 1));
  CHECK_FALSE(slot_is_zero(*v, 2));
  CHECK(fault_of(*v, nth(1)) == "authentication");
  image.change_key(2, nth(3));
  CHECK(fault_of(*v, nth(2)) == "authentication");
  CHECK(fault_of(*v, nth(3)) == "");
  // Both again, by the same secrets: nothing of the slots is as it was.
  CHECK(image.add_key(nth(1)) == 1);
  image.change_key(2, nth(2));
  for (const unsigned slot : {1U, 2U}) {
    const KeySlotRaw& old = before->slots[slot];
    CHECK_FALSE(file_holds(*v, std::as_bytes(std::span(old.salt))));
    CHECK_FALSE(file_holds(*v, std::as_bytes(std::span(old.commitment))));
    CHECK_FALSE(file_holds(*v, std::as_bytes(std::span(old.wrapped[0].key))));
  }
  for (const unsigned i : {0U, 1U, 2U}) CHECK(fault_of(*v, nth(i)) == "");
  CHECK(key_area_at(*v->storage(), 0)->sequence == before->sequence + 4);
  CHECK(v->part(native::key_area_offset(0), sizeof(KeyAreaRaw)) == v->part(native::key_area_offset(1), sizeof(KeyAreaRaw)));
}

TEST_CASE("key slots: a derivation that is too weak or costs too much makes no slot") {
  const auto v = make_victim();
  const Bytes file = v->file();
  Image image = open_for_keys(*v);
  const auto expect = [&](const KeyDerivation& how, Errc expected) {
    CHECK_ERRC(image.add_key(passphrase("enough of one"), how), expected);
    CHECK_ERRC(image.change_key(0, passphrase("enough of one"), how), expected);
  };
  expect({KdfKind::scrypt, 14, 8, 1, 0}, Errc::invalid_argument);
  expect({KdfKind::scrypt, 17, 7, 1, 0}, Errc::invalid_argument);
  expect({KdfKind::scrypt, 17, 8, 0, 0}, Errc::invalid_argument);
  expect({KdfKind::pbkdf2, 17, 8, 1, 599999}, Errc::invalid_argument);
  expect({KdfKind::scrypt, 21, 8, 1, 0}, Errc::limit);
  expect({KdfKind::scrypt, 20, 8, 3, 0}, Errc::limit);
  expect({KdfKind::scrypt, 15, 8, 17, 0}, Errc::limit);
  expect({KdfKind::pbkdf2, 17, 8, 1, 10000001}, Errc::limit);
  CHECK_ERRC(image.add_key(passphrase("")), Errc::invalid_argument);
  CHECK_ERRC(image.add_key({SecretKind::raw_key, Secret(31)}), Errc::invalid_argument);
  CHECK(v->file() == file);
  for (const auto& [kdf, cost] : {std::pair("scrypt", "14"), {"pbkdf2", "599999"}, {"scrypt", "1"}}) {
    CreateOptions how;
    how.options = {{"encryption", "aes-256-gcm"}, {"kdf", kdf}, {"kdf_cost", cost}};
    how.secret = provider_of(passphrase("enough of one"));
    how.file_system = &v->files();
    CHECK_ERRC(Image::create("other", "varve", kMiB, how), Errc::invalid_argument);
  }
  CHECK(v->files().find("other") == nullptr);
}

TEST_CASE("key slots: no secret, a wrong one and damage are told apart, and the file is left alone") {
  Victim v(OptionMap{{"kdf_cost", "15"}});
  {
    Image image = open_for_keys(v);
    image.change_key(0, passphrase("correct horse"), {KdfKind::scrypt, 15, 8, 1, 0});
  }
  const Bytes file = v.file();
  std::vector<std::string> messages;
  const auto expect = [&](const SecretProvider& secret, Errc expected) {
    for (const Access access : {Access::read_only, Access::read_write}) {
      const Bytes before = v.file();
      OpenOptions how;
      how.format = "varve";
      how.access = access;
      how.secret = secret;
      how.file_system = &v.files();
      try {
        const Image image = Image::open(Victim::kPath, how);
        FAIL_CHECK("it opens");
      } catch (const Error& error) {
        CHECK(errc_name(error.code()) == errc_name(expected));
        CHECK(std::string(error.what()).find("horse") == std::string::npos);
        if (access == Access::read_only) messages.push_back(error.message());
      }
      CHECK(v.file() == before);
    }
  };
  expect({}, Errc::authentication);
  expect(provider_of(passphrase("wrong horse")), Errc::authentication);
  expect(provider_of(raw_key()), Errc::authentication);
  change_key_area(*v.storage(), [](KeyAreaRaw& area) { area.slots[0].salt[5] ^= 1; });
  expect(provider_of(passphrase("correct horse")), Errc::authentication);
  v.put(file);
  change_key_area(*v.storage(), [](KeyAreaRaw& area) { area.mac[5] ^= 1; });
  expect(provider_of(passphrase("correct horse")), Errc::corrupt);
  v.put(file);
  for (size_t copy = 0; copy < 2; ++copy) v.put(native::key_area_offset(copy) + 100, Bytes{std::byte{1}});
  expect(provider_of(passphrase("correct horse")), Errc::corrupt);
  REQUIRE(messages.size() == 6);
  CHECK(messages[1] == messages[3]);  // of a wrong secret and a damaged slot it is the same
  CHECK(messages[0] != messages[1]);
  CHECK(messages[1] != messages[4]);
  CHECK(messages[4] != messages[5]);
}

TEST_CASE("key slots: another attempt is asked for until there is none") {
  const auto v = make_victim();
  OpenOptions how;
  std::vector<unsigned> attempts;
  how.secret = [&](const SecretRequest& request) -> std::optional<KeySecret> {
    CHECK(request.path == Victim::kPath);
    attempts.push_back(request.attempt);
    return nth(3 - request.attempt);
  };
  expect_all(v->outcome(how), v->now());
  CHECK(attempts == std::vector<unsigned>{0, 1, 2, 3});
}

// ---- a stop at any step ------------------------------------------------------------------------------

struct KeyChange {
  std::string name;
  std::function<void(Image&)> run;
  std::vector<unsigned> before, after;  ///< whose secrets open it
};

const std::vector<KeyChange>& key_changes() {
  static const std::vector<KeyChange> all = {
      {"add", [](Image& image) { image.add_key(nth(2)); }, {0, 1}, {0, 1, 2}},
      {"change", [](Image& image) { image.change_key(1, nth(2)); }, {0, 1}, {0, 2}},
      {"remove", [](Image& image) { image.remove_key(1); }, {0, 1}, {0}},
      {"change of the own one", [](Image& image) { image.change_key(0, nth(2)); }, {0, 1}, {1, 2}},
  };
  return all;
}

std::vector<unsigned> opened_by(const Victim& v) {
  std::vector<unsigned> found;
  for (unsigned i = 0; i < 3; ++i) {
    const std::string fault = fault_of(v, nth(i));
    if (fault.empty()) found.push_back(i);
    CHECK((fault.empty() || fault == "authentication"));
  }
  return found;
}

/// What an earlier stop can have left of an image that nth(0) and nth(1) open: both copies whole, or one of them older or torn.
std::vector<Bytes> starts(Victim& v) {
  const auto older = key_area_at(*v.storage(), 0);
  open_for_keys(v).add_key(nth(1));
  const Bytes file = v.file();
  std::vector<Bytes> all = {file};
  for (size_t copy = 0; copy < 2; ++copy) {
    put_key_area(*v.storage(), copy, *older);
    all.push_back(v.file());
    v.put(native::key_area_offset(copy) + 30000, Bytes(512, std::byte{0x5a}));
    all.push_back(v.file());
    v.put(file);
  }
  return all;
}

enum class Stop { before_write, within_write, before_flush };

/// One call fails, and all later ones. Within a write: a sector has got its new bytes.
class StoppingStorage final : public PassingStorage {
 public:
  StoppingStorage(std::shared_ptr<Storage> below, Stop how, uint64_t at) : PassingStorage(std::move(below)), how_(how), left_(at) {}
  bool stopped() const { return stopped_; }
  void write_at(uint64_t offset, ConstBytes data) override {
    if (how_ == Stop::within_write && !stopped_ && left_ == 0) below_->write_at(offset, data.first(512));
    step(how_ != Stop::before_flush);
    below_->write_at(offset, data);
  }
  void flush() override {
    step(how_ == Stop::before_flush);
    below_->flush();
  }

 private:
  void step(bool counts) {
    if (counts && !stopped_ && left_-- == 0) stopped_ = true;
    if (stopped_) throw Error(Errc::io, "stopped");
  }
  const Stop how_;
  uint64_t left_;
  bool stopped_ = false;
};

/// False: the image did not come so far.
bool stopped(Victim& v, const KeyChange& change, Stop how, uint64_t at) {
  std::shared_ptr<StoppingStorage> storage;
  WrappingFileSystem through(
      v.files(), [&](std::shared_ptr<Storage> below) { return storage = std::make_shared<StoppingStorage>(std::move(below), how, at); });
  Image image = open_with(through, nth(0), Access::read_write);
  try {
    change.run(image);
    CHECK_FALSE(storage->stopped());
  } catch (const Error& error) {
    CHECK(error.code() == Errc::io);
    CHECK_ERRC(image.add_key(nth(9)), Errc::io);
    CHECK_ERRC((image.write_at(0, Bytes(4096)), image.flush()), Errc::io);
  }
  return storage->stopped();
}

TEST_CASE("key slots: a stop at any write or flush leaves the secrets of before or those of after") {
  const auto v = make_victim();
  const std::vector<Bytes> files = starts(*v);
  size_t stops = 0;
  for (const KeyChange& change : key_changes()) {
    for (size_t start = 0; start < files.size(); ++start) {
      for (const Stop how : {Stop::before_write, Stop::within_write, Stop::before_flush}) {
        for (uint64_t at = 0;; ++at) {
          INFO(change.name << ", start " << start << ", " << (how == Stop::before_flush ? "flush " : "write ") << at);
          v->put(files[start]);
          CHECK(opened_by(*v) == change.before);
          const bool came = stopped(*v, change, how, at);
          const std::vector<unsigned> now = opened_by(*v);
          REQUIRE((now == change.after || (came && now == change.before)));
          // Whoever comes next makes both copies whole, and what was removed does not come back.
          open_for_keys(*v, nth(now.front())).add_key(nth(7));
          CHECK(v->part(native::key_area_offset(0), sizeof(KeyAreaRaw)) == v->part(native::key_area_offset(1), sizeof(KeyAreaRaw)));
          CHECK(opened_by(*v) == now);
          if (!came) break;
          ++stops;
        }
      }
    }
  }
  CHECK(stops == key_changes().size() * files.size() * 3 * 2);
}

TEST_CASE("key slots: changes leave the disk's state alone, in the middle of writing and beside it") {
  const auto v = make_victim();
  v->open();
  v->write(0, 5000);
  v->image().add_key(nth(1));
  v->write(20 * kKiB, 5000);
  v->flush();
  v->image().change_key(0, nth(2));
  v->write(40 * kKiB, 5000);
  v->image().remove_key(1);
  v->close();
  CHECK(fault_of(*v, nth(2)) == "");
  CHECK(fault_of(*v, nth(0)) == "authentication");
  CHECK(fault_of(*v, nth(1)) == "authentication");
}

}  // namespace
}  // namespace varve::test
