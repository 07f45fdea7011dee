// Images of version 1 open for ever, and show what they showed when they were made.
#include "native/golden.h"

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "io/memory_file_system.h"
#include "support/bytes.h"
#include "support/image_kit.h"
#include "support/secrets.h"
#include "support/sha256.h"
#include "support/test.h"

namespace varve::test {
namespace {

namespace fs = std::filesystem;
constexpr const char* kPath = "golden.varve";

std::map<std::string, Golden> stored_goldens() {
  std::map<std::string, Golden> all;
  for (const fs::directory_entry& entry : fs::directory_iterator(VARVE_GOLDEN_DIR)) {
    if (entry.path().extension() != ".txt") continue;
    std::ifstream in(entry.path());
    std::ostringstream text;
    text << in.rdbuf();
    all[entry.path().stem().string()] = from_text(text.str());
  }
  return all;
}

/// The image beside the parent that one of them has.
struct Shelf {
  explicit Shelf(const Golden& golden) {
    files.add(kPath, golden.file);
    files.add("base.raw", golden_parent());
  }
  Image open(Access access = Access::read_only, const std::string& snapshot = {}) {
    OpenOptions how;
    how.format = "varve";
    how.secret = secret;
    how.access = access;
    how.snapshot = snapshot;
    how.file_system = &files;
    return Image::open(kPath, how);
  }
  std::string sum(const std::string& name) {
    Image image = open(Access::read_only, name == "-" ? "" : name);
    return sha256(contents_of(image));
  }
  MemoryFileSystem files;
  SecretProvider secret = test_key();
};

void judge_refused(const Golden& golden) {
  Shelf shelf(golden);
  for (const Access access : {Access::read_only, Access::read_write}) {
    std::string found;
    try {
      shelf.open(access);
    } catch (const Error& error) {
      found = errc_name(error.code());
    }
    CHECK(found == golden.refused);
  }
  CHECK(shelf.files.find(kPath)->contents() == golden.file);
}

void judge_reading(const Golden& golden) {
  Shelf shelf(golden);
  for (const auto& known : golden.sums) CHECK_MESSAGE(shelf.sum(known.first) == known.second, known.first);
  Image image = shelf.open();
  size_t named = 0;
  for (const SnapshotInfo& snapshot : image.snapshots()) named += snapshot.branch_point ? 0 : 1;
  CHECK(named + 1 == golden.sums.size());
  CHECK(damages(image) == "");
  CHECK(image.info().warnings.empty());
  CHECK(shelf.files.find(kPath)->contents() == golden.file);
}

void judge_writing(const Golden& golden) {
  Shelf shelf(golden);
  std::vector<std::byte> expected;
  {
    Image image = shelf.open(Access::read_write);
    expected = contents_of(image);
    image.create_snapshot("golden", 1);
    for (size_t i = 100; i < 3000; ++i) expected[i] = static_cast<std::byte>(i);
    image.write_at(100, ConstBytes(expected).subspan(100, 2900));
    image.close();
  }
  CHECK(shelf.sum("-") == sha256(expected));
  CHECK(shelf.sum("golden") == golden.sums.at("-"));
  for (const auto& known : golden.sums)
    if (known.first != "-") CHECK_MESSAGE(shelf.sum(known.first) == known.second, known.first);
  Image image = shelf.open();
  CHECK(damages(image) == "");
}

TEST_CASE("golden files: every image of version 1 shows what it did, is sound, and can be written to; what must be refused is") {
  const std::map<std::string, Golden> all = stored_goldens();
  CHECK(all.size() >= 14);
  for (const auto& one : all) {
    const Golden& golden = one.second;
    CAPTURE(one.first);
    if (!golden.refused.empty()) {
      judge_refused(golden);
      continue;
    }
    judge_reading(golden);
    judge_writing(golden);
  }
}

TEST_CASE("golden files: an encrypted image is opened by each of its secrets") {
  const Golden golden = stored_goldens().at("v1-encrypted");
  Shelf shelf(golden);
  shelf.secret = provider_of(passphrase("golden"));
  CHECK(shelf.sum("-") == golden.sums.at("-"));
  shelf.secret = provider_of(passphrase("bronze"));
  CHECK_ERRC(shelf.open(), Errc::authentication);
}

TEST_CASE("golden files: a stored one is what its text says, and the sum is SHA-256") {
  CHECK(sha256({}) == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  const std::string text = "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq";
  CHECK(sha256(std::as_bytes(std::span(text))) == "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
  const Golden made = make_goldens().at("v1-snapshots");
  const Golden again = from_text(to_text(made));
  CHECK(again.file == made.file);
  CHECK(again.sums == made.sums);
}

TEST_CASE("golden files are made") {
  if (std::getenv("VARVE_GOLDEN_WRITE") == nullptr) return;
  for (const auto& [name, golden] : make_goldens()) {
    const fs::path path = fs::path(VARVE_GOLDEN_DIR) / (name + ".txt");
    if (!fs::exists(path)) std::ofstream(path) << to_text(golden);
  }
}

}  // namespace
}  // namespace varve::test
