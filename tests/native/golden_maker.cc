#include <algorithm>
#include <sstream>

#include "base/zero.h"
#include "io/memory_file_system.h"
#include "native/builder.h"
#include "native/golden.h"
#include "support/bytes.h"
#include "support/image_kit.h"
#include "support/secrets.h"
#include "support/sha256.h"

namespace varve::test {
namespace {

constexpr const char* kPath = "golden.varve";
constexpr size_t kUnit = 16;

/// Sixteen bytes over and over, so that the text stays short.
Bytes filled(uint64_t length, const std::string& word) {
  Bytes bytes(length);
  for (size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<std::byte>(i % kUnit < word.size() ? word[i % kUnit] : '.');
  return bytes;
}

/// What a program of today sees of it: written down once, when the file is made.
void add_sums(Golden& golden, MemoryFileSystem& files) {
  OpenOptions how;
  how.format = "varve";
  how.secret = test_key();
  how.file_system = &files;
  std::vector<SnapshotInfo> snapshots;
  {
    Image image = Image::open(kPath, how);
    golden.sums["-"] = sha256(contents_of(image));
    snapshots = image.snapshots();
  }
  for (const SnapshotInfo& snapshot : snapshots) {
    if (snapshot.branch_point) continue;
    how.snapshot = snapshot.name;
    Image image = Image::open(kPath, how);
    golden.sums[snapshot.name] = sha256(contents_of(image));
  }
}

enum class End { closed, flushed };

template <typename Fill>
Golden made_by_us(const OptionMap& options, uint64_t size, Fill fill, End end = End::closed, bool child = false) {
  MemoryFileSystem files;
  files.add("base.raw", golden_parent());
  CreateOptions create;
  create.options = options;
  create.secret = test_key();
  create.file_system = &files;
  if (child) {
    create.parent = "base.raw";
    create.parent_format = "raw";
  }
  Image::create(kPath, "varve", child ? std::nullopt : std::optional(size), create).close();
  Golden golden;
  OpenOptions how;
  how.format = "varve";
  how.secret = test_key();
  how.access = Access::read_write;
  how.file_system = &files;
  Image image = Image::open(kPath, how);
  fill(image);
  if (end == End::closed) image.close();
  golden.file = files.find(kPath)->contents();
  MemoryFileSystem copy;
  copy.add("base.raw", golden_parent());
  copy.add(kPath, golden.file);
  add_sums(golden, copy);
  return golden;
}

void write_some(Image& image) {
  image.write_at(0, filled(200 * kKiB, "first"));
  image.write_at(300 * kKiB + 512, filled(1024, "second"));
  image.zero(64 * kKiB, 64 * kKiB);
  image.write_at(image.size() - 512, filled(512, "last"));
}

void write_history(Image& image) {
  write_some(image);
  image.create_snapshot("one", 1000000001);
  image.write_at(4096, filled(8192, "in two"));
  image.create_snapshot("branch point", 1000000002);
  image.write_at(128 * kKiB, filled(4096, "in three"));
  image.create_snapshot("three \xc3\xa4", 1000000003);
  image.revert_to_snapshot("branch point");
  image.write_at(132 * kKiB, filled(4096, "on the branch"));
  image.create_snapshot("other", 1000000004);
  image.delete_snapshot("branch point");
  image.write_at(0, filled(4096, "head"));
}

void write_secrets(Image& image) {
  KeyDerivation weakest;
  weakest.log2_n = 15;
  image.add_key(passphrase("golden"), weakest);
  image.write_at(0, filled(4096, "first"));
  image.create_snapshot("one", 1000000001);
  image.write_at(4096, filled(4096, "second"));
}

void write_journal(Image& image) {
  for (int i = 0; i < 5; ++i) {  // the first two are commits
    image.write_at(static_cast<uint64_t>(i) * 12 * kKiB, filled(4096, "flush " + std::to_string(i)));
    image.flush();
  }
}

/// By hand, from the specification: a disk of one cluster, and a catalog.
Golden made_by_hand(const HeaderSpec& header, const std::vector<CatalogRecordSpec>& records) {
  const auto cluster = [](uint64_t number, const Bytes& bytes) {
    PointerSpec spec;
    spec.address = kExtents + number * kBlock;
    spec.length = kBlock;
    spec.tag = xxh3(bytes);
    return pointer_bytes(spec);
  };
  const Bytes disk = filled(kBlock, "by hand");
  Bytes catalog = catalog_bytes(records);
  const size_t used = catalog.size();
  catalog.resize(kBlock);
  SuperblockSpec s;
  s.flags = 1;
  s.head = object_bytes(kBlock, 0, cluster(0, disk));
  if (!records.empty()) s.catalog = object_bytes(used, 0, cluster(1, catalog));
  s.end = kExtents + 2 * kBlock;
  const auto file = file_of(header, s);
  s.generation = 2;
  put_superblock(*file, s);
  file->write_at(kExtents, disk);
  file->write_at(kExtents + kBlock, catalog);
  Golden golden;
  golden.file = file->contents();
  golden.sums["-"] = sha256(disk);
  return golden;
}

Golden with_attachment() {
  Bytes payload(32);
  put(payload, 0, 1, 8);
  put(payload, 24, 5, 4);
  for (const char c : std::string("notes")) payload.push_back(static_cast<std::byte>(c));
  return made_by_hand({}, {{3, 0, {object_bytes(0, 0, kAbsent)}, payload}});
}

Golden refused(Golden golden) {
  golden.refused = "unsupported";
  golden.sums.clear();
  return golden;
}

}  // namespace

Bytes golden_parent() { return filled(512 * kKiB, "from the parent"); }

std::map<std::string, Golden> make_goldens() {
  constexpr uint64_t kSize = 1 * kMiB;
  HeaderSpec future;
  future.incompatible = 2;
  return {
      {"v1-plain", made_by_us({}, kSize, write_some)},
      {"v1-zlib", made_by_us({{"compression", "zlib"}}, kSize, write_some)},
      {"v1-zstd", made_by_us({{"compression", "zstd"}}, kSize, write_some)},
      {"v1-clusters-4k", made_by_us({{"cluster_size", "4K"}}, kSize, write_some)},
      {"v1-clusters-2m", made_by_us({{"cluster_size", "2M"}}, 5 * kMiB, write_some)},
      {"v1-snapshots", made_by_us({}, kSize, write_history)},
      {"v1-snapshots-zstd-4k", made_by_us({{"cluster_size", "4K"}, {"compression", "zstd"}}, kSize, write_history)},
      {"v1-journal", made_by_us({{"journal_size", "64K"}}, kSize, write_journal, End::flushed)},
      {"v1-parent", made_by_us(
                        {}, 0, [](Image& image) { image.write_at(70000, filled(512, "child")); }, End::closed, true)},
      {"v1-encrypted",
       made_by_us({{"cluster_size", "4K"}, {"journal_size", "0"}, {"encryption", "aes-256-gcm"}}, 12 * kKiB, write_secrets)},
      {"v1-attachment", with_attachment()},
      {"v1-unknown-record", made_by_hand({}, {{77, 0, {}, filled(24, "keep me")}})},
      {"v1-refused-feature", refused(made_by_hand(future, {}))},
      {"v1-refused-record", refused(made_by_hand({}, {{77, 1, {}, {}}}))},
  };
}

std::string to_text(const Golden& golden) {
  std::ostringstream out;
  out << "size " << golden.file.size() << '\n';
  if (!golden.refused.empty()) out << "refused " << golden.refused << '\n';
  // The name comes last: it may have spaces.
  for (const auto& [name, sum] : golden.sums) out << "sha256 " << sum << ' ' << name << '\n';
  const ConstBytes file = golden.file;
  for (size_t at = 0; at < file.size();) {
    const ConstBytes unit = file.subspan(at, std::min(kUnit, file.size() - at));
    size_t count = 1;
    while (at + (count + 1) * kUnit <= file.size() && std::ranges::equal(unit, file.subspan(at + count * kUnit, kUnit))) ++count;
    if (!is_zero(unit)) out << at << ' ' << count << ' ' << to_hex(unit) << '\n';
    at += count * kUnit;
  }
  return out.str();
}

Golden from_text(const std::string& text) {
  Golden golden;
  std::istringstream in(text);
  std::string word;
  while (in >> word) {
    std::string value;
    in >> value;
    if (word == "size") {
      golden.file.resize(std::stoull(value));
    } else if (word == "refused") {
      golden.refused = value;
    } else if (word == "sha256") {
      std::string name;
      std::getline(in >> std::ws, name);
      golden.sums[name] = value;
    } else {
      std::string digits;
      in >> digits;
      const Bytes unit = hex(digits);
      for (uint64_t i = 0; i < std::stoull(value); ++i) put_bytes(golden.file, std::stoull(word) + i * kUnit, unit);
    }
  }
  return golden;
}

}  // namespace varve::test
