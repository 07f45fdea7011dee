// One byte of a closed image changes. What is read afterwards is right, or the error says where: in the file and in the disk.
#include <algorithm>
#include <array>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "native/reachable.h"
#include "native/walk.h"
#include "support/image_kit.h"
#include "support/paged_file.h"
#include "support/pattern.h"
#include "support/seeds.h"
#include "support/storages.h"
#include "support/test.h"

namespace varve::test {
namespace {

using Bytes = std::vector<std::byte>;
constexpr uint64_t kKiB = 1024;
constexpr uint64_t kMiB = 1024 * kKiB;
constexpr uint64_t kDisk = 64 * kMiB;
constexpr uint64_t kChunk = 64 * kKiB;
constexpr uint64_t kChunks = kDisk / kChunk;
constexpr uint64_t kFlips = 2000;  ///< of each image
/// A flip in a node or in what is read at open concerns more chunks than can be read each time: so many are, and all of them now and then.
constexpr size_t kChunksRead = 12;
constexpr uint64_t kAllEvery = 100;

class FlippedStorage final : public PassingStorage {
 public:
  FlippedStorage(std::shared_ptr<Storage> below, uint64_t place, std::byte mask)
      : PassingStorage(std::move(below)), place_(place), mask_(mask) {}
  void read_at(uint64_t offset, MutableBytes out) override {
    below_->read_at(offset, out);
    if (place_ >= offset && place_ - offset < out.size()) out[place_ - offset] ^= mask_;
  }

 private:
  const uint64_t place_;
  const std::byte mask_;
};

OpenOptions shown(const std::string& snapshot) {
  OpenOptions how;
  how.format = "varve";
  how.snapshot = snapshot;
  return how;
}

/// The head or a snapshot, and which parts of the file each chunk of it depends on.
struct View {
  View(const std::shared_ptr<Storage>& file, std::string snapshot) : name(std::move(snapshot)) {
    const auto at_open = std::make_shared<TracedStorage>(file);
    { Image image = Image::open(at_open, shown(name)); }
    opening = at_open->reads;
    for (uint64_t chunk = 0; chunk < kChunks; ++chunk) {
      const auto traced = std::make_shared<TracedStorage>(file);
      Image image = Image::open(traced, shown(name));
      traced->reads.clear();
      hashes.push_back(hash_of_chunk(image, chunk));
      for (const Interval& read : traced->reads) readers[{read.offset, read.length}].push_back(chunk);
    }
  }

  static PagedFile::Hash hash_of_chunk(Image& image, uint64_t chunk) {
    Bytes bytes(kChunk);
    image.read_at(chunk * kChunk, bytes);
    return hash_of(bytes.data(), bytes.size());
  }
  bool depends_at_open(uint64_t place) const {
    return std::any_of(opening.begin(), opening.end(), [&](const Interval& r) { return place >= r.offset && place < r.end(); });
  }
  std::vector<uint64_t> chunks_reading(uint64_t place) const {
    std::vector<uint64_t> found;
    // No read is longer than a cluster of the largest kind or a node.
    for (auto at = readers.lower_bound({place - std::min(place, 2 * kMiB), 0}); at != readers.end() && at->first.first <= place; ++at)
      if (place - at->first.first < at->first.second) found.insert(found.end(), at->second.begin(), at->second.end());
    return found;
  }

  std::string name;
  std::vector<Interval> opening;
  std::map<std::pair<uint64_t, uint64_t>, std::vector<uint64_t>> readers;  ///< read of the file -> chunks
  std::vector<PagedFile::Hash> hashes;
};

/// A closed image of 64 MiB with snapshots, a branch point and space that nothing uses.
std::shared_ptr<Storage> make_image(const OptionMap& options, Rng& rng) {
  TestDisk disk({"flips", "varve", options, kDisk, std::nullopt});
  Image image = disk.open();
  uint64_t generation = 0;
  const auto write = [&](uint64_t count, uint64_t length) {
    for (uint64_t i = 0; i < count; ++i) {
      const uint64_t offset = rng.below(kDisk - length) / 512 * 512;
      image.write_at(offset, pattern(offset, ++generation, length));
    }
  };
  for (uint64_t offset = 0; offset < kDisk; offset += 3 * kMiB)
    image.write_at(offset, pattern(offset, ++generation, std::min(2 * kMiB, kDisk - offset)));
  image.create_snapshot("one", 1);
  write(60, 100 * kKiB);
  image.create_snapshot("two", 2);
  write(60, 20 * kKiB);
  image.create_snapshot("gone", 3);
  image.revert_to_snapshot("one");
  write(100, 5 * kKiB);
  image.create_snapshot("three", 4);
  image.delete_snapshot("one");
  image.delete_snapshot("gone");
  write(40, 30 * kKiB);
  image.zero(kMiB, 3 * kMiB);
  image.close();
  return disk.files().find(TestDisk::kPath);
}

/// Where flips go: something of each kind.
struct Places {
  explicit Places(const std::shared_ptr<Storage>& file) : size(file->size()) {
    const native::Header header = native::read_headers(*file).header;
    const native::Superblock s = native::read_superblocks(*file, header).current;
    native::Extents extents(file, header, kMiB / 2, kMiB / 2);
    const native::Catalog catalog =
        native::parse_catalog(native::read_object(extents, s.catalog, s.end), s.rules(header), s.generation, s.head_parent);
    const auto visit = [&](const native::Pointer& p) { (p.kind == native::Kind::node ? nodes : clusters).push_back({p.offset, p.length}); };
    native::walk(extents, s.catalog, 0, s.end, [&](const native::Pointer& p) { of_catalog.push_back({p.offset, p.length}); });
    native::walk(extents, s.head, 0, s.end, visit);
    for (const native::Snapshot& snapshot : catalog.snapshots) native::walk(extents, snapshot.object, 0, s.end, visit);
    free = intervals_of(native::used_space(extents, s, catalog)).gaps(native::kFirstExtent, size - native::kFirstExtent);
  }

  uint64_t any(Rng& rng) const {
    const std::vector<Interval> regions = {{0, 4096}, {65536, 4096}, {4096, 4096}, {69632, 4096}, {8192, 57344}, {73728, 57344}};
    const std::vector<Interval> whole = {{0, size}};
    const std::array<const std::vector<Interval>*, 8> kinds = {&regions, &regions, &nodes, &nodes, &of_catalog, &clusters, &free, &whole};
    const std::vector<Interval>* kind = kinds[rng.below(kinds.size())];
    if (kind->empty()) kind = &whole;
    const Interval& one = (*kind)[rng.below(kind->size())];
    return one.offset + rng.below(one.length);
  }

  uint64_t size;
  std::vector<Interval> nodes, clusters, of_catalog, free;
};

struct Counts {
  uint64_t refused = 0, unread = 0, warned = 0, untouched = 0;
};

class Flips {
 public:
  Flips(std::shared_ptr<Storage> file, Rng& rng) : file_(std::move(file)), places_(file_), rng_(rng) {
    for (const char* name : {"", "two", "three"}) views_.emplace_back(file_, name);
  }

  void run() {
    for (flip_ = 0; flip_ < scaled(kFlips); ++flip_) {
      place_ = places_.any(rng_);
      const auto flipped = std::make_shared<FlippedStorage>(file_, place_, static_cast<std::byte>(1 + rng_.below(255)));
      for (const View& view : views_)
        if (const std::string wrong = judge(view, flipped); !wrong.empty())
          FAIL_CHECK("byte " << place_ << " changed, " << (view.name.empty() ? "the disk" : view.name) << ": " << wrong);
    }
  }
  const Counts& counts() const { return counts_; }

 private:
  std::string judge(const View& view, const std::shared_ptr<Storage>& flipped) {
    const bool at_open = view.depends_at_open(place_);
    std::vector<uint64_t> chunks = view.chunks_reading(place_);
    if (!at_open && chunks.empty() && flip_ % kAllEvery != 0) return ++counts_.untouched, "";
    std::optional<Image> image;
    try {
      image = Image::open(flipped, shown(view.name));
    } catch (const Error& error) {
      ++counts_.refused;
      return at_open ? judge_error(error) : "it no longer opens";
    }
    if (in_superblock_or_header()) {
      ++counts_.warned;
      if (image->info().warnings.empty()) return "a copy does not count, and nobody is told";
    } else if (at_open) {
      return "what is read at open changed, and it opens";
    }
    return judge_chunks(view, *image, std::move(chunks));
  }

  std::string judge_chunks(const View& view, Image& image, std::vector<uint64_t> chunks) {
    const bool stored = !chunks.empty();  // an extent was changed: so each of them fails
    if (flip_ % kAllEvery == 0) {
      chunks.resize(kChunks);
      for (uint64_t i = 0; i < kChunks; ++i) chunks[i] = i;
    } else if (!stored) {
      for (size_t i = 0; i < kChunksRead; ++i) chunks.push_back(rng_.below(kChunks));
    }
    uint64_t failed = 0;
    for (size_t i = 0; i < chunks.size(); ++i) {
      if (chunks.size() > kChunksRead && chunks.size() != kChunks && !rng_.one_in(chunks.size() / kChunksRead + 1) && i != 0) continue;
      try {
        if (View::hash_of_chunk(image, chunks[i]) != view.hashes[chunks[i]]) return "wrong bytes in chunk " + std::to_string(chunks[i]);
      } catch (const Error& error) {
        ++failed;
        if (!stored) return std::string("it does not read: ") + error.what();
        if (std::string wrong = judge_error(error); !wrong.empty()) return wrong;
        const std::optional<uint64_t> at = error.disk_offset();
        if (!at || *at / kChunk != chunks[i]) return std::string("the error does not name the place in the disk: ") + error.what();
      }
    }
    counts_.unread += failed != 0;
    return stored && failed == 0 ? "a stored extent changed, and it reads" : "";
  }

  std::string judge_error(const Error& error) const {
    if (error.code() != Errc::corrupt) return std::string("the error is of another kind: ") + error.what();
    const bool named = error.offset() && *error.offset() <= place_ && place_ - *error.offset() < 2 * kMiB;
    return named ? "" : std::string("the error does not name the place in the file: ") + error.what();
  }

  bool in_superblock_or_header() const {
    return std::any_of(native::kRegions.begin(), native::kRegions.end(),
                       [&](uint64_t region) { return place_ >= region && place_ < region + 2 * native::kBlock; });
  }

  const std::shared_ptr<Storage> file_;
  const Places places_;
  Rng& rng_;
  std::vector<View> views_;
  uint64_t flip_ = 0;
  uint64_t place_ = 0;
  Counts counts_;
};

TEST_CASE("varve: one changed byte anywhere in a closed image of 64 MiB: right bytes, or an error that says where") {
  OptionMap options;
  SUBCASE("plain") { options = {}; }
  SUBCASE("plain, clusters of 4 KiB") { options = {{"cluster_size", "4K"}}; }
  SUBCASE("zlib") { options = {{"compression", "zlib:1"}}; }
  SUBCASE("zstd") { options = {{"compression", "zstd:1"}}; }
  Rng rng("flips");
  SHOW_SEED(rng);
  Flips flips(make_image(options, rng), rng);
  flips.run();
  const Counts& counts = flips.counts();
  CHECK(counts.refused > 0);
  CHECK(counts.unread > scaled(kFlips) / 20);
  CHECK(counts.warned > scaled(kFlips) / 20);
  CHECK(counts.untouched > scaled(kFlips) / 20);
}

}  // namespace
}  // namespace varve::test
