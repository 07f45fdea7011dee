// The power fails in the middle of a repair of an image of the native format: what is left is the image as it was, or repaired, and the
// same repair finishes it.
#include <array>
#include <cstdio>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "native/superblock.h"
#include "native/walk.h"
#include "support/image_kit.h"
#include "support/pattern.h"
#include "support/power_cut.h"
#include "support/storages.h"
#include "support/test.h"

namespace varve::test {
namespace {

using Bytes = std::vector<std::byte>;
constexpr uint64_t kStates = 1500;
constexpr uint64_t kSize = 400 * 1024;
constexpr uint64_t kChunk = 4096;

/// Of the disk and each snapshot: what can be read, by place. nullopt: it does not open.
using Shown = std::map<std::string, std::optional<std::map<uint64_t, Bytes>>>;

/// What a test changes: one byte in each place.
class Hits {
 public:
  explicit Hits(const std::shared_ptr<Storage>& file) : file_(file), header_(native::read_headers(*file).header) {
    superblock_ = native::read_superblocks(*file, header_).current;
    native::Extents extents(file, header_, 1 << 19, 1 << 19);
    native::walk(extents, superblock_.catalog, 0, superblock_.end, [&](const native::Pointer& p) { catalog_.push_back(p); });
    const native::Catalog catalog = native::parse_catalog(native::read_object(extents, superblock_.catalog, superblock_.end),
                                                          superblock_.rules(header_), superblock_.generation, superblock_.head_parent);
    native::walk(extents, catalog.snapshots.front().object, 0, superblock_.end, [&](const native::Pointer& p) { snapshot_.push_back(p); });
  }
  void header() { flip(10); }
  void newest() { flip(native::superblock_offset(superblock_.generation) + 200); }
  void catalog() {
    for (const native::Pointer& p : catalog_) flip(p.offset);
  }
  void cluster() { flip(snapshot_.front().offset); }
  void node() { flip(snapshot_.back().offset); }  // what holds comes behind what it holds

 private:
  void flip(uint64_t place) {
    Bytes byte(1);
    file_->read_at(place, byte);
    byte[0] ^= std::byte{0x11};
    file_->write_at(place, byte);
  }
  const std::shared_ptr<Storage> file_;
  const native::Header header_;
  native::Superblock superblock_;
  std::vector<native::Pointer> catalog_, snapshot_;
};

struct Damage {
  const char* name;
  void (*inflict)(Hits& hits);
};

constexpr std::array<Damage, 6> kDamages = {{
    {"a header", [](Hits& h) { h.header(); }},
    {"the newest superblock", [](Hits& h) { h.newest(); }},
    {"the catalog", [](Hits& h) { h.catalog(); }},
    {"a cluster", [](Hits& h) { h.cluster(); }},
    {"a snapshot's node", [](Hits& h) { h.node(); }},
    {"a header, a superblock and a cluster",
     [](Hits& h) {
       h.header();
       h.newest();
       h.cluster();
     }},
}};

class RepairRun {
 public:
  RepairRun(const OptionMap& options, const Damage& damage, Rng& rng)
      : disk_({"repair", "varve", options, kSize, std::nullopt}), rng_(rng) {
    {
      Image image = disk_.open();
      image.write_at(0, pattern(0, 1, kSize / 2));
      image.create_snapshot("one", 1);
      image.write_at(8192, pattern(8192, 2, 30000));
      image.create_snapshot("two", 2);
      image.write_at(65536, pattern(65536, 3, 512));
      image.close();
    }
    const auto file = disk_.files().find(TestDisk::kPath);
    Hits hits(file);
    damage.inflict(hits);
    log_->file(TestDisk::kPath);
    base_.emplace_back(file->contents());
    before_ = shown(disk_.files());
    RecordingFileSystem recording(disk_.files(), log_);
    repair(recording);
    after_ = shown(disk_.files());
  }

  /// The first thing that is wrong, or an empty string.
  std::string judge(std::set<PowerCuts::Hash>& distinct) {
    std::string wrong;
    PowerCuts cuts(base_, log_->events(), rng_);
    cuts.enumerate(
        distinct, [](size_t) { return 0; },
        [&](const CutState& state) {
          if (!wrong.empty()) return;
          if (const std::string problem = verdict(state); !problem.empty()) wrong = state.name + ": " + problem;
        });
    return wrong;
  }

 private:
  Image open(FileSystem& files, Access access, const std::string& snapshot = {}, bool for_check = false) {
    OpenOptions how = disk_.open_options(access);
    how.file_system = &files;
    how.snapshot = snapshot;
    how.for_check = for_check;
    return Image::open(TestDisk::kPath, how);
  }

  std::map<uint64_t, Bytes> contents(Image& image) {
    std::map<uint64_t, Bytes> blocks;
    for (uint64_t offset = 0; offset < image.size(); offset += kChunk) {
      Bytes block(std::min(kChunk, image.size() - offset));
      try {
        image.read_at(offset, block);
        blocks[offset] = block;
      } catch (const Error& error) {
        if (error.code() != Errc::corrupt) throw;
      }
    }
    return blocks;
  }

  Shown shown(FileSystem& files) {
    Shown all;
    for (const char* name : {"", "one", "two"}) {
      try {
        Image image = open(files, Access::read_only, name);
        all[name] = contents(image);
      } catch (const Error& error) {
        if (error.code() != Errc::corrupt && error.code() != Errc::not_found) throw;
        all[name] = std::nullopt;
      }
    }
    return all;
  }

  void repair(FileSystem& files) {
    Image image = open(files, Access::read_write, {}, true);
    CheckOptions how;
    how.repair = Repair::all;
    image.check(how);
    image.close();
  }

  std::string verdict(const CutState& state) {
    PagedFileSystem files(disk_.files());
    files.add(TestDisk::kPath, state.files[0]);
    try {
      const Shown left = shown(files);
      if (left != before_ && left != after_) return "it is neither as before the repair nor as after it";
      repair(files);
      if (shown(files) != after_) return "repaired again, it is not as after an undisturbed repair";
      Image image = open(files, Access::read_write);
      if (std::string found = damages(image); !found.empty()) return "repaired again, it has " + found;
      image.write_at(1000, pattern(1000, 9, 70000));
      image.create_snapshot("later", 3);
      image.close();
      Image again = open(files, Access::read_only);
      return damages(again);
    } catch (const Error& error) {
      return error.what();
    }
  }

  TestDisk disk_;
  Rng& rng_;
  const std::shared_ptr<EventLog> log_ = std::make_shared<EventLog>();
  FileSet base_;
  Shown before_;
  Shown after_;
};

TEST_CASE("varve survives a power cut at any moment of a repair, and the same repair finishes it: 1,500 distinct states") {
  Rng rng("varve repair cuts");
  SHOW_SEED(rng);
  std::set<PowerCuts::Hash> distinct;
  const uint64_t wanted = scaled(kStates);
  for (uint64_t round = 0; distinct.size() < wanted && round < 100; ++round) {
    for (const OptionMap& options : {OptionMap{{"cluster_size", "4K"}}, OptionMap{{"compression", "zstd:1"}}}) {
      for (const Damage& damage : kDamages) {
        const std::string wrong = RepairRun(options, damage, rng).judge(distinct);
        CHECK_MESSAGE(wrong == "", damage.name << ": " << wrong);
      }
    }
  }
  std::printf("cuts of varve's repairs: %zu distinct states\n", distinct.size());
  CHECK(distinct.size() >= wanted);
}

}  // namespace
}  // namespace varve::test
