// Repairs: what they mend, what they give up and say so, and what they leave alone.
#include <algorithm>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/interval_set.h"
#include "base/zero.h"
#include "native/walk.h"
#include "support/bytes.h"
#include "support/image_kit.h"
#include "support/pattern.h"
#include "support/seeds.h"
#include "support/test.h"

namespace varve::test {
namespace {

using Bytes = std::vector<std::byte>;
constexpr uint64_t kKiB = 1024;
constexpr uint64_t kMiB = 1024 * kKiB;
constexpr uint64_t kBlock = 4096;

OpenOptions with(Access access) {
  OpenOptions how;
  how.format = "varve";
  how.access = access;
  how.for_check = true;
  how.ignore_parent = true;
  return how;
}

CheckReport check(const std::shared_ptr<Storage>& file, Repair repair = Repair::none) {
  Image image = Image::open(file, with(repair == Repair::none ? Access::read_only : Access::read_write));
  CheckOptions how;
  how.data = true;
  how.repair = repair;
  CheckReport report = image.check(how);
  image.close();
  return report;
}

Bytes bytes_of_file(Storage& file) {
  Bytes bytes(file.size());
  file.read_at(0, bytes);
  return bytes;
}

/// Of a snapshot, or of the disk; blocks that can't be read are left out.
std::map<uint64_t, Bytes> blocks_of(const std::shared_ptr<Storage>& file, const std::string& snapshot) {
  std::map<uint64_t, Bytes> blocks;
  OpenOptions how = with(Access::read_only);
  how.for_check = false;
  how.snapshot = snapshot;
  Image image = Image::open(file, how);
  for (uint64_t offset = 0; offset < image.size(); offset += kBlock) {
    Bytes block(std::min(kBlock, image.size() - offset));
    try {
      image.read_at(offset, block);
      blocks[offset] = block;
    } catch (const Error& error) {
      if (error.code() != Errc::corrupt) throw;
    }
  }
  return blocks;
}

/// What the findings say that is lost to the disk or a snapshot.
IntervalSet lost_to(const CheckReport& report, const std::string& snapshot) {
  IntervalSet lost;
  const std::string name = snapshot.empty() ? "the disk" : "snapshot " + snapshot;
  for (const Finding& finding : report.findings)
    if (finding.message.starts_with(name + ":") || finding.message.starts_with(name + " "))
      lost.insert(finding.disk_offset.value_or(0), finding.disk_length);
  return lost;
}

/// After repair=all: clean, the same when it is repaired again, all that could be read before is there, and what is not is told.
std::string judge(const std::shared_ptr<Storage>& damaged, const std::shared_ptr<Storage>& sound, const std::vector<std::string>& views) {
  std::vector<std::map<uint64_t, Bytes>> before;
  for (const std::string& view : views) before.push_back(blocks_of(damaged, view));
  const CheckReport report = check(damaged, Repair::all);
  if (report.damages != 0) return "it leaves " + describe(report);
  if (const CheckReport after = check(damaged); after.damages != 0) return "a check after it finds " + describe(after);
  const Bytes repaired = bytes_of_file(*damaged);
  if (const CheckReport again = check(damaged, Repair::all); again.repaired != 0 || bytes_of_file(*damaged) != repaired)
    return "a second repair finds " + describe(again);
  for (size_t i = 0; i < views.size(); ++i) {
    const IntervalSet lost = lost_to(report, views[i]);
    const auto right = blocks_of(sound, views[i]);
    const auto shown = blocks_of(damaged, views[i]);
    for (const auto& [offset, block] : right) {
      const std::string where = " at " + std::to_string(offset) + " of '" + views[i] + "': " + describe(report);
      const auto now = shown.find(offset);
      if (now == shown.end()) return "something can't be read" + where;
      if (before[i].contains(offset) && now->second != block) return "what could be read is another" + where;
      if (now->second == block) continue;
      if (!is_zero(now->second)) return "there are foreign bytes" + where;
      if (!lost.contains(offset, block.size())) return "it is lost, and that is not told" + where;
    }
    if (lost.total() != 0 && before[i].size() == right.size()) return "nothing was lost, but so it is told: " + describe(report);
  }
  return {};
}

/// Two snapshots of one branch, one of another, a branch point, and the disk.
struct History {
  explicit History(const OptionMap& options, uint64_t size = 6 * kMiB) : disk({"history", "varve", options, size, std::nullopt}) {
    Image image = disk.open();
    Rng rng("history");
    uint64_t generation = 0;
    const auto write = [&](int count) {
      for (int i = 0; i < count; ++i) {
        const uint64_t length = rng.between(1, 40) * 512;
        const uint64_t offset = rng.below(size - length) / 512 * 512;
        image.write_at(offset, pattern(offset, ++generation, length));
      }
    };
    image.write_at(0, pattern(0, ++generation, size / 2));
    write(20);
    image.create_snapshot("one", 1);
    write(20);
    image.create_snapshot("two", 2);
    write(20);
    image.create_snapshot("gone", 3);
    write(10);
    image.create_snapshot("three", 4);
    image.revert_to_snapshot("gone");
    write(20);
    image.delete_snapshot("gone");
    write(20);
    image.close();
    file = disk.files().find(TestDisk::kPath);
  }
  const std::vector<std::string> views = {"", "one", "two", "three"};
  TestDisk disk;
  std::shared_ptr<MemoryStorage> file;
};

std::shared_ptr<MemoryStorage> copy_of(MemoryStorage& file) { return std::make_shared<MemoryStorage>("copy", file.contents()); }

/// Every extent of the trees, the catalog's too if `catalog`.
std::vector<native::Pointer> extents_of(const std::shared_ptr<Storage>& file, bool catalog_only = false) {
  const native::Header header = native::read_headers(*file).header;
  const native::Superblock s = native::read_superblocks(*file, header).current;
  native::Extents extents(file, header, kMiB / 2, kMiB / 2);
  std::vector<native::Pointer> all;
  const auto visit = [&](const native::Pointer& p) { all.push_back(p); };
  if (catalog_only) {
    native::walk(extents, s.catalog, 0, s.end, visit);
    return all;
  }
  const native::Catalog catalog =
      native::parse_catalog(native::read_object(extents, s.catalog, s.end), s.rules(header), s.generation, s.head_parent);
  for (const native::Snapshot& snapshot : catalog.snapshots)
    native::walk(extents, snapshot.object, catalog.generation_of(snapshot.parent), s.end, visit);
  native::walk(extents, s.head, catalog.generation_of(s.head_parent), s.end, visit);
  return all;
}

void flip(Storage& file, uint64_t place) {
  Bytes byte(1);
  file.read_at(place, byte);
  byte[0] ^= std::byte{0x55};
  file.write_at(place, byte);
}

TEST_CASE("varve repair: of trees with damaged clusters and nodes all stays that could be read, and what is lost is told to the byte") {
  OptionMap options;
  SUBCASE("clusters of 4 KiB") { options = {{"cluster_size", "4K"}}; }
  SUBCASE("zstd") { options = {{"compression", "zstd:1"}, {"cluster_size", "16K"}}; }
  SUBCASE("clusters of 64 KiB") { options = {}; }
  History history(options);
  Rng rng("repairs");
  SHOW_SEED(rng);
  const std::vector<native::Pointer> extents = extents_of(history.file);
  std::vector<native::Pointer> nodes;
  std::copy_if(extents.begin(), extents.end(), std::back_inserter(nodes), [](const auto& p) { return p.kind == native::Kind::node; });
  for (uint64_t round = 0; round < scaled(10); ++round) {
    const auto damaged = copy_of(*history.file);
    for (uint64_t hits = rng.between(1, 5); hits > 0; --hits) {
      const auto& from = rng.one_in(2) ? nodes : extents;
      const native::Pointer& hit = from[rng.below(from.size())];
      flip(*damaged, hit.offset + rng.below(hit.length));
    }
    const std::string wrong = judge(damaged, history.file, history.views);
    CHECK_MESSAGE(wrong == "", "round " << round << ": " << wrong);
  }
}

TEST_CASE("varve repair: with every node of snapshots and disk lost in turn") {
  History history(OptionMap{{"cluster_size", "4K"}});
  for (const native::Pointer& hit : extents_of(history.file)) {
    if (hit.kind != native::Kind::node) continue;
    const auto damaged = copy_of(*history.file);
    flip(*damaged, hit.offset + 77);
    const std::string wrong = judge(damaged, history.file, history.views);
    CHECK_MESSAGE(wrong == "", "node at " << hit.offset << ", level " << unsigned{hit.level} << ": " << wrong);
  }
}

TEST_CASE("varve repair: a snapshot's lost node comes back from what is based on it, but for what was written since") {
  TestDisk disk({"back", "varve", {{"cluster_size", "4K"}}, kMiB, std::nullopt});
  {
    Image image = disk.open();
    image.write_at(0, pattern(0, 1, kMiB));
    image.create_snapshot("s", 1);
    image.write_at(8 * kKiB, pattern(8 * kKiB, 2, 4 * kKiB));
    image.close();
  }
  const auto file = disk.files().find(TestDisk::kPath);
  const auto sound = copy_of(*file);
  for (const native::Pointer& p : extents_of(file))
    if (p.kind == native::Kind::node &&
        p.birth < native::read_superblocks(*file, native::read_headers(*file).header).current.generation - 1)
      flip(*file, p.offset);
  CHECK(blocks_of(file, "s").empty());
  CHECK(blocks_of(file, "").size() == 256);
  const CheckReport report = check(file, Repair::all);
  REQUIRE(report.findings.size() == 1);
  CHECK(report.findings[0].repaired);
  CHECK(report.findings[0].disk_offset == 8 * kKiB);
  CHECK(report.findings[0].disk_length == 4 * kKiB);
  CHECK(blocks_of(file, "") == blocks_of(sound, ""));
  CHECK(check(file).findings.empty());
}

TEST_CASE("varve repair: safe takes the other copies, and leaves what is lost") {
  History history(OptionMap{});
  const auto file = copy_of(*history.file);
  const native::Header header = native::read_headers(*file).header;
  const uint64_t newest = native::read_superblocks(*file, header).current.generation;
  uint64_t expected = 1;
  SUBCASE("the first header") { flip(*file, 100); }
  SUBCASE("the second header") { flip(*file, 65536); }
  SUBCASE("the newest superblock") { flip(*file, native::superblock_offset(newest) + 300); }
  SUBCASE("the older superblock") { flip(*file, native::superblock_offset(newest - 1) + 300); }
  SUBCASE("one of both") {
    flip(*file, 1);
    flip(*file, native::superblock_offset(newest) + 4095);
    expected = 2;
  }
  CHECK(check(file).damages == expected);
  const CheckReport report = check(file, Repair::safe);
  CHECK(report.repaired == expected);
  CHECK(report.damages == 0);
  CHECK(check(file).findings.empty());
  const Bytes repaired = bytes_of_file(*file);
  CHECK(check(file, Repair::safe).repaired == 0);
  CHECK(bytes_of_file(*file) == repaired);
  for (const std::string& view : history.views) CHECK(blocks_of(file, view) == blocks_of(history.file, view));
}

TEST_CASE("varve repair: safe does not touch a damaged cluster, but mends the rest") {
  History history(OptionMap{});
  const auto file = copy_of(*history.file);
  for (const native::Pointer& p : extents_of(file))
    if (p.kind == native::Kind::data) {
      flip(*file, p.offset);
      break;
    }
  const Bytes damaged = bytes_of_file(*file);
  const CheckReport first = check(file, Repair::safe);
  CHECK(first.damages > 0);
  CHECK(first.repaired == 0);
  CHECK(first.damaged_bytes == 64 * kKiB);
  CHECK(bytes_of_file(*file) == damaged);
  flip(*file, 0);
  const CheckReport second = check(file, Repair::safe);
  CHECK(second.repaired == 1);
  CHECK(second.damages == first.damages);
}

TEST_CASE("varve repair: without its catalog the image keeps the disk and loses the snapshots") {
  History history(OptionMap{});
  const auto file = copy_of(*history.file);
  for (const native::Pointer& p : extents_of(file, true)) flip(*file, p.offset);
  CHECK_ERRC(blocks_of(file, ""), Errc::corrupt);
  uint64_t damages = 1;
  SUBCASE("and all else is whole") {}
  SUBCASE("and a copy of the header does not count, either") {
    flip(*file, 100);
    damages = 2;
  }
  CHECK(check(file).damages == damages);
  const Bytes damaged = bytes_of_file(*file);
  CHECK(check(file, Repair::safe).repaired == 0);  // a commit would be without the snapshots
  CHECK(bytes_of_file(*file) == damaged);
  {
    Image image = Image::open(file, with(Access::read_write));
    Bytes byte(1);
    CHECK_ERRC(image.read_at(0, byte), Errc::corrupt);
    CHECK_ERRC(image.write_at(0, byte), Errc::corrupt);
    CHECK_ERRC(image.extent_at(0), Errc::corrupt);
    CHECK_ERRC(image.create_snapshot("x", 1), Errc::corrupt);
  }
  CHECK(check(file, Repair::all).repaired == damages);
  CHECK(blocks_of(file, "") == blocks_of(history.file, ""));
  CHECK(check(file).findings.empty());
  Image image = Image::open(file, with(Access::read_write));
  CHECK(image.snapshots().empty());
  image.create_snapshot("new", 1);
  image.write_at(0, pattern(0, 9, kMiB));
  image.close();
  CHECK(check(file).findings.empty());
}

/// Flushes that went to the journal, and no close.
std::shared_ptr<MemoryStorage> unclosed(TestDisk& disk, int flushes) {
  Image image = disk.open();
  for (int i = 0; i < flushes + 2; ++i) {  // the first two are commits
    image.write_at(static_cast<uint64_t>(i) * kBlock, pattern(static_cast<uint64_t>(i) * kBlock, 1, kBlock));
    image.flush();
  }
  return copy_of(*disk.files().find(TestDisk::kPath));
}

uint64_t journal_of(Storage& file) {
  const native::Superblock s = native::read_superblocks(file, native::read_headers(file).header).current;
  return s.journal_offset + s.generation % 2 * (s.journal_length / 2);
}

TEST_CASE("varve repair: a journal that has lost a record: what follows is dropped, and that is told") {
  TestDisk disk({"journal", "varve", {{"journal_size", "128K"}}, kMiB, std::nullopt});
  const auto file = unclosed(disk, 3);
  const uint64_t second = journal_of(*file) + 2 * kBlock;
  flip(*file, second + 200);
  CHECK_ERRC(blocks_of(file, ""), Errc::corrupt);
  CHECK(check(file).damages == 1);
  CHECK(check(file, Repair::safe).repaired == 0);
  const CheckReport report = check(file, Repair::all);
  CHECK(report.repaired == 1);
  REQUIRE(report.findings.size() == 1);
  CHECK(report.findings[0].file_offset == second);
  const auto blocks = blocks_of(file, "");
  for (uint64_t i = 0; i < 6; ++i) CHECK(blocks.at(i * kBlock) == (i < 3 ? pattern(i * kBlock, 1, kBlock) : Bytes(kBlock)));
  CHECK(check(file).findings.empty());
}

TEST_CASE("varve repair: a record that a cut left is a note, and safe renews the journal") {
  TestDisk disk({"tail", "varve", {{"journal_size", "128K"}}, kMiB, std::nullopt});
  const auto file = unclosed(disk, 3);
  flip(*file, journal_of(*file) + 4 * kBlock + 200);  // the last one
  const CheckReport report = check(file);
  CHECK(report.damages == 0);
  REQUIRE(report.findings.size() == 1);
  CHECK(report.findings[0].severity == Severity::note);
  const auto before = blocks_of(file, "");
  CHECK(check(file, Repair::safe).repaired == 1);
  CHECK(check(file).findings.empty());
  CHECK(blocks_of(file, "") == before);
}

TEST_CASE("varve repair: of three hundred snapshots that have lost their nodes each takes back what the disk still has") {
  TestDisk disk({"chain", "varve", {{"cluster_size", "4K"}}, 2 * kMiB, std::nullopt});
  constexpr uint64_t kSnapshots = 300;
  {
    Image image = disk.open();
    image.write_at(0, pattern(0, 1, 2 * kMiB));
    for (uint64_t i = 0; i < kSnapshots; ++i) {
      image.create_snapshot(std::to_string(i), i);
      image.write_at(i * kBlock, pattern(i * kBlock, 2, kBlock));
    }
    image.close();
  }
  const auto file = disk.files().find(TestDisk::kPath);
  const auto disk_before = blocks_of(file, "");
  std::vector<native::Pointer> nodes;
  for (const native::Pointer& p : extents_of(file))
    if (p.kind == native::Kind::node) nodes.push_back(p);
  REQUIRE(nodes.size() == kSnapshots + 1);
  for (size_t i = 0; i < kSnapshots; ++i) flip(*file, nodes[i].offset);  // parents come first, the disk last
  CHECK(check(file).damages == kSnapshots);
  const CheckReport report = check(file, Repair::all);
  CHECK(report.repaired == kSnapshots);
  CHECK(report.damages == 0);
  CHECK(blocks_of(file, "") == disk_before);
  // What was overwritten after a snapshot is lost to it; all that came before it shows in it.
  for (const uint64_t i : {uint64_t{0}, uint64_t{100}, kSnapshots - 1}) {
    const auto blocks = blocks_of(file, std::to_string(i));
    for (uint64_t b = 0; b < 512; ++b) {
      const bool lost = b >= i && b < kSnapshots;
      CHECK(blocks.at(b * kBlock) == (lost ? Bytes(kBlock) : pattern(b * kBlock, b < i ? 2 : 1, kBlock)));
    }
  }
  CHECK(check(file).findings.empty());
}

TEST_CASE("varve repair: what is lost over a parent reads as zeros, and not as the parent") {
  TestDisk disk({"child", "varve", {}, kMiB, kMiB});
  {
    Image image = disk.open();
    image.write_at(0, pattern(0, 1, 128 * kKiB));
    image.close();
  }
  const auto file = disk.files().find(TestDisk::kPath);
  bool node = false;
  SUBCASE("a cluster") {}
  SUBCASE("the node") { node = true; }
  for (const native::Pointer& p : extents_of(file)) {
    if ((p.kind == native::Kind::node) != node) continue;
    flip(*file, p.offset);
    break;
  }
  CHECK(check(file, Repair::all).repaired == 1);
  Image image = disk.open(Access::read_only);
  Bytes shown(64 * kKiB);
  image.read_at(0, shown);
  CHECK(is_zero(shown));
  image.read_at(512 * kKiB, shown);
  if (node)
    CHECK(is_zero(shown));
  else
    CHECK(std::ranges::equal(shown, disk.parent_model().bytes(512 * kKiB, 64 * kKiB)));
  CHECK(damages(image) == "");
}

}  // namespace
}  // namespace varve::test
