// Nothing of what an encrypted image holds stands in its file, nor was it ever written there.
#include <algorithm>
#include <array>
#include <cstring>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "native/unlocked.h"
#include "native/workout.h"
#include "support/image_kit.h"
#include "support/secrets.h"
#include "support/storages.h"
#include "support/test.h"

namespace varve::test {
namespace {

using Bytes = std::vector<std::byte>;
constexpr const char* kPath = "dir/disk.varve";
constexpr const char* kParentName = "a parent whose name nobody is to know.varve";
constexpr const char* kSnapshot = "a snapshot of the day before the merger";
constexpr const char* kAttachment = "the memory of a machine that is asleep";
constexpr const char* kPassphrase = "correct horse battery staple, and a goat";
constexpr uint64_t kDisk = 0x1234567890ab;
constexpr uint64_t kText = 3 << 20;
constexpr size_t kBlock = 16;

/// Text of letters and signs, no 16 bytes of it like others.
Bytes text(uint64_t seed, size_t length) {
  Bytes all(length);
  Rng rng(seed);
  for (std::byte& byte : all) byte = static_cast<std::byte>('!' + rng.below(94));
  return all;
}

ConstBytes bytes_of(const char* text) { return std::as_bytes(std::span(text, std::strlen(text))); }

/// Pieces of bytes, each of some kind, that are looked for all at once.
class Needles {
 public:
  void add(const std::string& kind, ConstBytes piece) {
    filter_.at(hash(piece.data())) = true;
    pieces_[hash(piece.data())].push_back({kind, Bytes(piece.begin(), piece.end())});
  }
  /// Each `step`-th piece of `size` bytes.
  void add_parts(const std::string& kind, ConstBytes bytes, size_t size, size_t step) {
    for (size_t at = 0; at + size <= bytes.size(); at += step) add(kind, bytes.subspan(at, size));
  }
  /// The kinds of which there is one, at any place.
  std::set<std::string> found_in(ConstBytes hay) const {
    std::set<std::string> found;
    for (size_t at = 0; at + 3 <= hay.size(); ++at) {
      const uint32_t key = hash(hay.data() + at);
      if (!filter_[key]) continue;
      for (const auto& [kind, piece] : pieces_.at(key))
        if (piece.size() <= hay.size() - at && std::memcmp(piece.data(), hay.data() + at, piece.size()) == 0) found.insert(kind);
    }
    return found;
  }

 private:
  static uint32_t hash(const std::byte* bytes) {
    return std::to_integer<uint32_t>(bytes[0]) | std::to_integer<uint32_t>(bytes[1]) << 8 | std::to_integer<uint32_t>(bytes[2]) << 16;
  }
  std::vector<bool> filter_ = std::vector<bool>(1 << 24);
  std::unordered_map<uint32_t, std::vector<std::pair<std::string, Bytes>>> pieces_;
};

/// An image with contents, names and secrets, made and changed under watch.
class Canary {
 public:
  Canary(const OptionMap& options, bool encrypted) : text_(text(1, kText)), attached_(text(2, 40000)) {
    create_image(files_, std::string("dir/") + kParentName, "varve", 1 << 20, parent_options(encrypted));
    CreateOptions how;
    how.options = options;
    if (encrypted) how.options["encryption"] = "aes-256-gcm";
    how.parent = kParentName;
    how.secret = test_key();
    how.parent_secret = test_key();
    how.file_system = &recording_;
    Image::create(kPath, "varve", kDisk, how).close();
    needles_.add_parts("text", text_, kBlock, kBlock);
    needles_.add_parts("attachment", attached_, kBlock, kBlock);
    needles_.add_parts("name of the snapshot", bytes_of(kSnapshot), 12, 1);
    needles_.add_parts("name of the attachment", bytes_of(kAttachment), 12, 1);
    needles_.add_parts("name of the parent", bytes_of(kParentName), 12, 1);
    const le64 size = kDisk;
    needles_.add("size", std::as_bytes(std::span(&size, 1)));
    needles_.add("six bytes of the size", std::as_bytes(std::span(&size, 1)).first(6));
    if (!encrypted) return;
    needles_.add_parts("raw key", raw_key().bytes.bytes(), 8, 8);
    needles_.add_parts("passphrase", bytes_of(kPassphrase), 8, 1);
    note_master_keys();
  }

  /// Ends as if its program had been killed, with records in the journal.
  void work() {
    Image image = Image::open(kPath, options());
    write(image, 0, kText / 2);
    image.flush();
    image.create_snapshot(kSnapshot, 1);
    image.put_attachment({kAttachment, kSnapshot}, 1, source_of(attached_));
    image.put_attachment({kAttachment}, 1, source_of(attached_));
    write(image, kText / 4, kText / 2);
    image.flush();  // a commit that makes the journal
    for (uint64_t at = kText / 2; at < kText; at += 100000) {
      write(image, at, 100000);
      image.flush();
    }
    image.zero(5000, 20000);
    image.write_at(kDisk - 50000, ConstBytes(text_).first(50000));
    image.flush();
    if (image.info().encrypted) {
      KeyDerivation weak;
      weak.log2_n = 15;
      image.add_key(passphrase(kPassphrase), weak);
    }
  }
  /// What the journal holds comes into the trees; everything is encrypted anew.
  void finish() {
    Image image = Image::open(kPath, options());
    image.resize(kDisk - 1);
    image.resize(kDisk);
    RotateOptions how;
    how.also.push_back(passphrase(kPassphrase));
    if (image.info().encrypted) image.rotate_key(how);
    image.close();
    if (image.info().encrypted) note_master_keys();
  }
  size_t records() const {
    size_t found = 0;
    for (const StorageEvent& event : log_->events()) found += event.data.size() >= 4 && std::memcmp(event.data.data(), "VJR1", 4) == 0;
    return found;
  }
  std::set<std::string> in_file() const {
    const std::shared_ptr<MemoryStorage> file = files_.find(kPath);
    REQUIRE(file->size() < 64 << 20);
    return needles_.found_in(file->contents());
  }
  std::set<std::string> in_writes() const {
    std::set<std::string> all;
    for (const StorageEvent& event : log_->events()) all.merge(needles_.found_in(event.data));
    return all;
  }
  uint64_t written() const {
    uint64_t sum = 0;
    for (const StorageEvent& event : log_->events()) sum += event.data.size();
    return sum;
  }

 private:
  static OptionMap parent_options(bool encrypted) {
    OptionMap options;
    if (encrypted) options["encryption"] = "aes-256-gcm";
    return options;
  }
  OpenOptions options() {
    OpenOptions how;
    how.access = Access::read_write;
    how.format = "varve";
    how.secret = test_key();
    how.file_system = &recording_;
    return how;
  }
  void write(Image& image, uint64_t offset, uint64_t length) {
    image.write_at(offset, ConstBytes(text_).subspan(offset, std::min(length, kText - offset)));
  }
  void note_master_keys() {
    const Unlocked opened = unlocked(*files_.find(kPath));
    for (const native::MasterKey& key : opened.cipher->master_keys()) needles_.add_parts("master key", key.key.bytes(), 8, 8);
  }

  const Bytes text_;
  const Bytes attached_;
  Needles needles_;
  MemoryFileSystem files_;
  const std::shared_ptr<EventLog> log_ = std::make_shared<EventLog>();
  RecordingFileSystem recording_{files_, log_};
};

TEST_CASE("plaintext: nothing that an encrypted image holds, and no secret, is in its file or in any write to it") {
  for (const OptionMap& options : {OptionMap{{"cluster_size", "4K"}}, OptionMap{{"compression", "zstd"}, {"journal_size", "1M"}}}) {
    Canary canary(options, true);
    canary.work();
    CHECK(canary.records() > 3);
    CHECK(canary.in_file() == std::set<std::string>());
    canary.finish();
    CHECK(canary.in_file() == std::set<std::string>());
    CHECK(canary.in_writes() == std::set<std::string>());
    CHECK(canary.written() > kText);
  }
}

TEST_CASE("plaintext: all of it is found in an image that is not encrypted") {
  const std::set<std::string> everything = {
      "text", "attachment", "name of the snapshot", "name of the attachment", "name of the parent", "size", "six bytes of the size"};
  Canary canary({{"cluster_size", "4K"}}, false);
  canary.work();
  CHECK(canary.records() > 3);
  CHECK(canary.in_file() == everything);
  canary.finish();
  CHECK(canary.in_file() == everything);
  CHECK(canary.in_writes() == everything);
}

}  // namespace
}  // namespace varve::test
