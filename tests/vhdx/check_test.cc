// What check finds, and what each repair writes.
#include "support/image_kit.h"
#include "support/pattern.h"
#include "support/storages.h"
#include "vhdx/builder.h"

namespace varve::test {
namespace {

CheckReport check(World& world, Repair repair, bool data = false) {
  Image image = world.open(repair == Repair::none ? Access::read_only : Access::read_write);
  CheckReport report = image.check({.data = data, .repair = repair, .progress = {}, .cancel = nullptr});
  image.close();
  return report;
}

/// Check finds it, `repair` mends it, a weaker repair leaves it, and repairing twice writes what repairing once does.
void mended_by(const VhdxSpec& spec, Repair repair, const std::string& finding, uint64_t findings = 1) {
  INFO(finding);
  World world(spec);
  const Bytes before = world.bytes();
  const CheckReport found = check(world, Repair::none);
  CHECK(found.damages == findings);
  CHECK(describe(found).find(finding) != std::string::npos);
  CHECK(world.bytes() == before);
  if (repair == Repair::all) {
    CHECK(check(world, Repair::safe).damages == findings);
    CHECK(world.bytes() == before);
  }
  const CheckReport mended = check(world, repair);
  CHECK(mended.damages == 0);
  CHECK(mended.repaired == findings);
  const Bytes once = world.bytes();
  CHECK(check(world, repair).repaired == 0);
  CHECK(world.bytes() == once);
  CHECK(check(world, Repair::none).clean());
}

TEST_CASE("safe repair writes a torn copy of the header from the good one, with the same GUIDs") {
  for (const size_t copy : {size_t{0}, size_t{1}}) {
    VhdxSpec spec;
    spec.headers[copy].torn = true;
    mended_by(spec, Repair::safe, "copy " + std::to_string(copy + 1) + " of the header is not whole");
    World world(spec);
    check(world, Repair::safe);
    const Bytes file = world.bytes();
    for (const uint64_t at : {64 * kKiB, 128 * kKiB}) CHECK(get_guid(file, at + 32) == kDataGuid);
  }
}

TEST_CASE("safe repair writes a torn or different copy of the region table from the one that counts") {
  for (const size_t copy : {size_t{0}, size_t{1}}) {
    VhdxSpec spec;
    spec.torn_regions[copy] = true;
    mended_by(spec, Repair::safe, "copy " + std::to_string(copy + 1) + " of the region table is not whole");
    World world(spec);
    check(world, Repair::safe);
    const Bytes file = world.bytes();
    for (const uint64_t at : {192 * kKiB, 256 * kKiB})
      CHECK(Bytes(file.begin() + static_cast<ptrdiff_t>(at), file.begin() + static_cast<ptrdiff_t>(at + 64 * kKiB)) ==
            region_table(spec.regions));
  }
  VhdxSpec spec;
  spec.second_regions = {{kBat, 5 * kMiB}, {kMetadata, 2 * kMiB}};
  mended_by(spec, Repair::safe, "the copies of the region table differ");
}

TEST_CASE("header and region table torn at once are mended at once") {
  VhdxSpec spec;
  spec.headers[1].torn = true;
  spec.torn_regions[0] = true;
  mended_by(spec, Repair::safe, "copy 2 of the header", 2);
}

TEST_CASE("copies of the header with different data GUIDs are noted, not damage") {
  VhdxSpec spec;
  spec.headers[0].data_guid = kUnknown;
  World world(spec);
  const CheckReport report = check(world, Repair::none);
  CHECK(report.clean());
  CHECK(describe(report).find("different data GUIDs") != std::string::npos);
}

TEST_CASE("a pending log: a note when read, replayed into the file by repair") {
  VhdxSpec spec;
  spec.set_log({{0, log_entry({.changes = {{5 * kMiB, filled(4096, 1)}}})}});
  World world(spec);
  const Bytes before = world.bytes();
  const CheckReport report = check(world, Repair::none);
  CHECK(report.clean());
  CHECK(describe(report).find("the log holds changes") != std::string::npos);
  CHECK(world.bytes() == before);
  CHECK(describe(check(world, Repair::safe)).find("the log held changes") != std::string::npos);
  CHECK(describe(check(world, Repair::none)).find("the log") == std::string::npos);
}

TEST_CASE("a log outside the file is damage, and the image can be read but not written") {
  VhdxSpec spec;
  for (HeaderSpec& header : spec.headers) header.log_offset = kGiB;
  World world(spec);
  CHECK(describe(check(world, Repair::none)).find("the log lies outside the file") != std::string::npos);
  const Bytes before = world.bytes();
  Image image = world.open(Access::read_write);
  CHECK_ERRC(image.write_at(0, filled(1, 1)), Errc::corrupt);
  CHECK(world.bytes() == before);
}

TEST_CASE("blocks where none can be: repair=all drops them and names the range that is lost") {
  for (const uint64_t place : {8 * kMiB, kTiB, uint64_t{0}, kMiB, 2 * kMiB, 3 * kMiB}) {
    VhdxSpec spec;
    spec.set_block(2, 6, place);
    mended_by(spec, Repair::all, "block 2 of the disk lies");
    World world(spec);
    const CheckReport report = check(world, Repair::all);
    REQUIRE(report.findings.size() == 1);
    CHECK(report.findings[0].disk_offset == 2 * kMiB);
    CHECK(report.findings[0].disk_length == kMiB);
    CHECK(get(world.bytes(), VhdxSpec::kBatAt + 16, 8) == 2);
    Image image = world.open();
    CHECK(read_all(image) == Bytes(4 * kMiB));
  }
}

TEST_CASE("states that do not exist are dropped by repair=all") {
  VhdxSpec four;
  for (const uint64_t block : {0, 1, 3}) four.set_block(block, 4);
  mended_by(four, Repair::all, "is in a state that does not exist", 3);
  VhdxSpec partial;
  partial.set_block(1, 7, 5 * kMiB);
  mended_by(partial, Repair::all, "partially present in a disk without a parent");
}

TEST_CASE("MEM-19: blocks that share a place, wholly or in part, are damage; of two the second is dropped") {
  VhdxSpec same;
  same.set_block(0, 6, 5 * kMiB);
  same.set_block(3, 6, 5 * kMiB);
  mended_by(same, Repair::all, "block 3 of the disk shares its place");
  VhdxSpec part(8 * kMiB, 2 * kMiB);
  part.set_block(1, 6, 5 * kMiB);
  part.set_block(2, 6, 4 * kMiB);
  mended_by(part, Repair::all, "block 2 of the disk shares its place");
}

TEST_CASE("over a parent a dropped block becomes zero: an older state must not come to light") {
  VhdxSpec base(4 * kMiB);
  base.set_block(2, 6, 4 * kMiB);
  base.data[4 * kMiB] = pattern(0, 1, kMiB);
  VhdxSpec spec;
  spec.headers[0].data_guid = spec.headers[1].data_guid = kUnknown;
  spec.set_parent({{"parent_linkage", "{" + kDataGuid + "}"}, {"relative_path", "base.vhdx"}});
  spec.set_bitmap(0, 6, kTiB);
  spec.set_block(1, 7, 5 * kMiB);
  spec.set_block(2, 6, kTiB + kMiB);
  World world(spec);
  world.add(base, "dir/base.vhdx");
  const CheckReport report = check(world, Repair::all);
  CHECK(report.repaired == 3);  // the bitmap, the block that needs it, the block outside
  CHECK(describe(report).find("sector bitmap 0 lies outside the file") != std::string::npos);
  CHECK(get(world.bytes(), VhdxSpec::kBatAt + 16, 8) == 2);
  Image image = world.open();
  CHECK(damages(image) == "");
  CHECK(read_all(image) == Bytes(4 * kMiB));
}

TEST_CASE("what nothing refers to is a leak, unless it is a hole") {
  VhdxSpec spec;
  World holes(spec);
  CHECK(check(holes, Repair::none).clean());
  spec.data[5 * kMiB] = filled(8192, 1);
  World world(spec);
  const CheckReport report = check(world, Repair::none);
  CHECK(report.leaks == 1);
  CHECK(report.leaked_bytes == 8192);
}

TEST_CASE("entries that name a place which their state does not have are noted, the first and any other") {
  for (const uint64_t block : {0, 2}) {
    VhdxSpec spec;
    for (uint64_t i = 0; i < 4; ++i) spec.set_block(i, 2, i == block ? 5 * kMiB : 0);
    World world(spec);
    const CheckReport report = check(world, Repair::none);
    CHECK(report.clean());
    CHECK(describe(report).find("Hyper-V may refuse") != std::string::npos);
  }
}

/// Reads at or behind `from` fail.
class BadDisk final : public PassingStorage {
 public:
  BadDisk(std::shared_ptr<Storage> below, uint64_t from) : PassingStorage(std::move(below)), from_(from) {}
  void read_at(uint64_t offset, MutableBytes out) override {
    if (offset + out.size() > from_) throw Error(Errc::io, "a bad sector").in(name());
    below_->read_at(offset, out);
  }

 private:
  const uint64_t from_;
};

TEST_CASE("with data, what the host can't read is found; as repair can't mend that, it does not say so") {
  VhdxSpec spec;
  spec.set_block(1, 6, 5 * kMiB);
  spec.set_block(2, 6, 7 * kMiB);
  for (const Repair repair : {Repair::none, Repair::all}) {
    World world(spec);
    const Bytes before = world.bytes();
    WrappingFileSystem bad(world.files, [](std::shared_ptr<Storage> file) { return std::make_shared<BadDisk>(std::move(file), 6 * kMiB); });
    OpenOptions how;
    how.access = Access::read_write;
    how.format = "vhdx";
    how.file_system = &bad;
    Image image = Image::open(World::kPath, how);
    const CheckReport report = image.check({.data = true, .repair = repair, .progress = {}, .cancel = nullptr});
    CHECK(report.damages == 1);
    CHECK(report.repaired == 0);
    CHECK(describe(report).find("can't be read") != std::string::npos);
    CHECK(world.bytes() == before);
  }
}

TEST_CASE("an image that is open for reading is not repaired") {
  VhdxSpec spec;
  spec.headers[0].torn = true;
  World world(spec);
  Image image = world.open();
  CHECK_ERRC(image.check({.data = false, .repair = Repair::safe, .progress = {}, .cancel = nullptr}), Errc::permission);
}

TEST_CASE("a sound image written here is sound to check in every subformat, with data") {
  for (const ImageConfig& config : writable_configs()) {
    if (config.format != "vhdx") continue;
    INFO(config.name);
    TestDisk disk(config);
    Image image = disk.open(Access::read_write);
    image.write_at(config.size / 2, filled(1, 1));
    image.close();
    Image again = disk.open();
    const CheckReport report = again.check({.data = true, .repair = Repair::none, .progress = {}, .cancel = nullptr});
    CHECK(describe(report) == "");
  }
}

}  // namespace
}  // namespace varve::test
