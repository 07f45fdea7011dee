// One hostile image a rule, named by the rule, against every way into the library that could fall for it.
#include <functional>

#include "base/random.h"
#include "support/image_kit.h"
#include "support/pattern.h"
#include "support/storages.h"
#include "varve/ops.h"
#include "vhdx/builder.h"

namespace varve::test {
namespace {

struct EntryPoint {
  const char* name;
  std::function<void(World&)> call;
};

ConvertOptions to_raw(World& world) {
  ConvertOptions how;
  how.source_format = "vhdx";
  how.target_format = "raw";
  how.open = world.options;
  how.open.file_system = &world.files;
  how.create.file_system = &world.files;
  return how;
}

void create_child(World& world) {
  CreateOptions how;
  how.file_system = &world.files;
  how.parent = "disk.vhdx";
  Image::create("dir/child.vhdx", "vhdx", std::nullopt, how).close();
}

void repair(World& world) {
  world.open(Access::read_write).check({.data = false, .repair = Repair::all, .progress = {}, .cancel = nullptr});
}

const std::vector<EntryPoint> kEntryPoints = {
    {"open", [](World& world) { world.open(); }},
    {"open for writing", [](World& world) { world.open(Access::read_write); }},
    {"info", [](World& world) { world.open().info(); }},
    {"check", [](World& world) { world.open().check({}); }},
    {"repair", repair},
    {"map",
     [](World& world) {
       Image image = world.open();
       map(image, [](const Extent&) {});
     }},
    {"convert", [](World& world) { convert(World::kPath, "dir/out", to_raw(world)); }},
    {"resize", [](World& world) { world.open(Access::read_write).resize(8 * kMiB); }},
    {"a child", create_child},
};

/// REF-4: each of them fails with this code, leaves the image's bytes alone and makes no new file.
void refused_everywhere(const VhdxSpec& spec, Errc code) {
  for (const EntryPoint& entry : kEntryPoints) {
    INFO("entry point: " << entry.name);
    World world(spec);
    const Bytes before = world.bytes();
    CHECK_ERRC(entry.call(world), code);
    CHECK_MESSAGE(world.bytes() == before, "the image was changed");
    CHECK(world.files.paths() == std::vector<std::string>{World::kPath});
  }
}

/// It opens, what is sound of it reads, and whatever writes fails with `corrupt` and leaves the file alone.
void refuses_writing(const VhdxSpec& spec) {
  for (const char* what : {"write", "zero", "discard", "resize"}) {
    INFO(what);
    World world(spec);
    const Bytes before = world.bytes();
    Image image = world.open(Access::read_write);
    const auto change = [&] {
      if (what[0] == 'w') image.write_at(0, filled(512, 1));
      if (what[0] == 'z') image.zero(0, kMiB);
      if (what[0] == 'd') image.discard(0, image.size());
      if (what[0] == 'r') image.resize(5 * kMiB);
    };
    CHECK_ERRC(change(), Errc::corrupt);
    image.abort();
    CHECK(world.bytes() == before);
  }
}

TEST_CASE("the hand-made image is sound before anything is broken") {
  for (const EntryPoint& entry : kEntryPoints) {
    INFO("entry point: " << entry.name);
    World world{VhdxSpec()};
    CHECK_NOTHROW(entry.call(world));
  }
  World world{VhdxSpec()};
  Image image = world.open();
  CHECK(describe(image.check({})) == "");
}

TEST_CASE("MEM-5: a file cut short anywhere is refused and leaves nothing behind") {
  VhdxSpec spec;
  spec.set_block(0, 6, 4 * kMiB);
  const Bytes whole = World(spec).bytes();
  for (const uint64_t size : {uint64_t{0}, uint64_t{1}, uint64_t{8}, uint64_t{519}, uint64_t{520}, 64 * kKiB, 68 * kKiB - 1, 192 * kKiB,
                              256 * kKiB - 1, kMiB, 2 * kMiB, 2 * kMiB + 100, 3 * kMiB - 1, 3 * kMiB, 4 * kMiB - 1}) {
    INFO("size " << size);
    World world;
    world.files.add(World::kPath, ConstBytes(whole).first(size));
    for (const Access access : {Access::read_only, Access::read_write}) CHECK_ERRC(world.open(access), Errc::corrupt);
    CHECK(world.bytes().size() == size);
  }
}

TEST_CASE("MEM-7: block and sector sizes and disk sizes that no arithmetic bears are refused everywhere") {
  for (const uint32_t block : {0U, 1U, 3U << 20, 1U << 19, 1U << 29, 1U << 31}) {
    VhdxSpec spec;
    spec.set_parameters(block, 0);
    refused_everywhere(spec, Errc::corrupt);
  }
  for (const uint32_t sector : {0U, 3U, 1024U, UINT32_MAX}) {
    VhdxSpec spec;
    spec.item(kLogicalSector).value = number(sector, 4);
    refused_everywhere(spec, Errc::corrupt);
  }
  for (const uint64_t size : {uint64_t{0}, uint64_t{1000}, 64 * kTiB + 512, UINT64_MAX & ~uint64_t{511}}) {
    VhdxSpec spec;
    spec.item(kDiskSize).value = number(size, 8);
    refused_everywhere(spec, Errc::corrupt);
  }
}

TEST_CASE("MEM-8: a disk of more blocks than its table has room for is refused everywhere") {
  for (const uint64_t size : {131042 * kMiB, kTiB, 64 * kTiB}) {
    VhdxSpec spec;
    spec.item(kDiskSize).value = number(size, 8);
    refused_everywhere(spec, Errc::corrupt);
  }
}

TEST_CASE("MEM-17: regions on each other, on the log and beyond 2^64 are refused everywhere") {
  for (const RegionSpec& bad :
       std::vector<RegionSpec>{{kBat, 2 * kMiB}, {kBat, kMiB}, {kBat, 8 * kMiB}, {kBat, UINT64_MAX - kMiB + 1, 2 * kMiB}}) {
    VhdxSpec spec;
    spec.regions[0] = bad;
    refused_everywhere(spec, Errc::corrupt);
  }
  VhdxSpec spec;
  spec.regions.push_back({kUnknown, UINT64_MAX - kMiB + 1, 2 * kMiB, 0});
  refused_everywhere(spec, Errc::corrupt);
}

TEST_CASE("MEM-18: a block on the image's own structures is neither read nor written") {
  for (const uint64_t place : {uint64_t{0}, kMiB, 2 * kMiB, 3 * kMiB}) {
    VhdxSpec spec;
    spec.set_block(3, 6, place);
    World world(spec);
    Image image = world.open();
    CHECK_ERRC(read_some(image, 3 * kMiB, 512), Errc::corrupt);
    CHECK_ERRC(image.extent_at(3 * kMiB), Errc::corrupt);
    CHECK(damages(image) != "");
    refuses_writing(spec);
  }
  // A region that nobody knows is no place for a block either.
  VhdxSpec spec;
  spec.regions.push_back({kUnknown, 5 * kMiB, kMiB, 0});
  spec.set_block(3, 6, 5 * kMiB);
  refuses_writing(spec);
  // Of larger blocks the end, not only the start.
  VhdxSpec large(8 * kMiB, 4 * kMiB);
  large.regions.push_back({kUnknown, 7 * kMiB, kMiB, 0});
  large.set_block(1, 6, 4 * kMiB);
  refuses_writing(large);
}

TEST_CASE("MEM-19: a block in a state in which it can't be: nothing is written, for growth would show more of it") {
  for (const unsigned state : {4U, 7U}) {
    VhdxSpec spec;
    spec.set_block(0, 6, 4 * kMiB);
    spec.set_block(1, state, 5 * kMiB);
    refuses_writing(spec);
  }
}

TEST_CASE("MEM-19: two blocks in one place, or a block on a bitmap: nothing is written") {
  VhdxSpec spec;
  spec.set_block(0, 6, 5 * kMiB);
  spec.set_block(2, 6, 5 * kMiB);
  refuses_writing(spec);
  VhdxSpec part(16 * kMiB, 4 * kMiB);
  part.file_size = 32 * kMiB;
  part.set_block(0, 6, 10 * kMiB);
  part.set_block(2, 6, 13 * kMiB);
  refuses_writing(part);

  VhdxSpec child;
  child.set_parent({{"parent_linkage", "{" + kLogGuid + "}"}, {"relative_path", "base.vhdx"}});
  child.set_bitmap(0, 6, 6 * kMiB);
  child.set_block(1, 6, 6 * kMiB);
  VhdxSpec base;
  for (HeaderSpec& header : base.headers) header.data_guid = kLogGuid;
  World world(child);
  world.add(base, "dir/base.vhdx");
  const Bytes before = world.bytes();
  Image image = world.open(Access::read_write);
  CHECK_ERRC(image.write_at(0, filled(1, 1)), Errc::corrupt);
  CHECK(world.bytes() == before);
}

TEST_CASE("MEM-21: requests outside the disk are refused, at the end and near 2^64") {
  World world{VhdxSpec()};
  Image image = world.open(Access::read_write);
  Bytes one(1);
  for (const uint64_t offset : {4 * kMiB, uint64_t{UINT64_MAX}, uint64_t{1} << 63}) {
    CHECK_ERRC(image.read_at(offset, one), Errc::invalid_argument);
    CHECK_ERRC(image.write_at(offset, one), Errc::invalid_argument);
    CHECK_ERRC(image.zero(offset, 1), Errc::invalid_argument);
    CHECK_ERRC(image.discard(offset, 1), Errc::invalid_argument);
  }
  CHECK_ERRC(image.zero(512, UINT64_MAX), Errc::invalid_argument);
}

TEST_CASE("MEM-22: a sequence number near 2^64: it reads, and whatever writes fails before it has written anything") {
  VhdxSpec spec;
  spec.headers[1].sequence = UINT64_MAX;
  spec.set_block(0, 6, 4 * kMiB);
  World world(spec);
  const Bytes before = world.bytes();
  Image image = world.open(Access::read_write);
  read_all(image);
  for (int again = 0; again < 2; ++again) CHECK_ERRC(image.write_at(0, filled(1, 1)), Errc::limit);
  CHECK_ERRC(image.zero(0, kMiB), Errc::limit);
  CHECK_ERRC(image.resize(5 * kMiB), Errc::limit);
  image.close();
  CHECK(world.bytes() == before);
}

TEST_CASE("RES-2, RES-5: what a small file claims costs nothing: an empty disk of 64 TiB, mapped and checked") {
  VhdxSpec spec(64 * kTiB, 256 * kMiB, 512);
  spec.regions = {{kBat, 4 * kMiB, 3 * kMiB}, {kMetadata, 2 * kMiB}};
  World world(spec);
  Image image = world.open();
  uint64_t extents = 0;
  map(image, [&](const Extent& extent) {
    ++extents;
    CHECK(extent.kind != ExtentKind::data);
  });
  CHECK(extents == 1);
  CHECK(damages(image) == "");
  world.options.limits.virtual_size = kTiB;
  CHECK_ERRC(world.open(), Errc::limit);
}

// ---- references ----------------------------------------------------------------------------------------

VhdxSpec child_of(const std::string& key, const std::string& name) {
  VhdxSpec spec;
  spec.set_parent({{"parent_linkage", "{" + kDataGuid + "}"}, {key, name}});
  return spec;
}

const std::vector<std::string> kHostileNames = {
    "/etc/passwd",    "\\etc\\passwd",        "..\\secret.vhdx",   "../secret.vhdx",      "sub\\..\\..\\secret.vhdx",
    "C:\\vm\\a.vhdx", "\\\\server\\share\\a", "\\\\?\\C:\\a.vhdx", std::string("a\0b", 3)};

TEST_CASE("REF-1: under References::none no parent is opened, and nothing but the image is touched") {
  World world(child_of("relative_path", "base.vhdx"));
  world.add(VhdxSpec(), "dir/base.vhdx");
  world.options.references = References::none;
  world.files.forget_calls();
  CHECK_ERRC(world.open(), Errc::permission);
  CHECK(world.files.calls().size() == 1);
}

TEST_CASE("REF-2, REF-5: names that lead out of the directory are refused, and the answer does not tell whether the file is there") {
  for (const char* key : {"relative_path", "volume_path", "absolute_win32_path"}) {
    for (const std::string& name : kHostileNames) {
      INFO(std::string(key) << " = " << name);
      std::vector<std::string> answers;
      for (const bool there : {false, true}) {
        World world(child_of(key, name));
        if (there)
          for (const char* path : {"/etc/passwd", "secret.vhdx", "/server/share/a", "C:/vm/a.vhdx", "dir/C:/vm/a.vhdx"})
            world.add(VhdxSpec(), path);
        world.files.forget_calls();
        try {
          world.open();
          FAIL("the reference was followed");
        } catch (const Error& error) {
          CHECK(errc_name(error.code()) == errc_name(Errc::permission));
          answers.emplace_back(error.what());
        }
        for (const auto& call : world.files.calls()) CHECK((call.operation == "open_beneath" || call.path == World::kPath));
      }
      CHECK(answers[0] == answers[1]);
    }
  }
}

TEST_CASE("REF-3: names are file names: no driver syntax is known") {
  for (const char* name : {"json:{\"driver\":\"raw\"}", "nbd://127.0.0.1/x", "fd:3", "raw:base.vhdx"}) {
    World world(child_of("relative_path", name));
    world.files.forget_calls();
    CHECK_ERRC(world.open(), Errc::permission);
    CHECK(world.files.calls().size() <= 2);
  }
}

TEST_CASE("RES-4: a disk that is its own parent, and two that are each other's, end as corrupt") {
  World world(child_of("relative_path", "disk.vhdx"));
  CHECK_ERRC(world.open(), Errc::corrupt);
  World pair(child_of("relative_path", "other.vhdx"));
  pair.add(child_of("relative_path", "disk.vhdx"), "dir/other.vhdx");
  CHECK_ERRC(pair.open(), Errc::corrupt);
}

TEST_CASE("PRB-4: a parent is a VHDX: what looks like something else is refused and not probed") {
  World world(child_of("relative_path", "base.vhdx"));
  world.files.add("dir/base.vhdx", filled(kMiB, 7));
  CHECK_ERRC(world.open(), Errc::corrupt);
}

TEST_CASE("PRB-1, PRB-3: a signature that a guest can write opens nothing for writing") {
  World world{VhdxSpec()};
  const Bytes before = world.bytes();
  OpenOptions how;
  how.file_system = &world.files;
  CHECK(Image::open(World::kPath, how).info().format == "vhdx");
  how.access = Access::read_write;
  CHECK_ERRC(Image::open(World::kPath, how), Errc::invalid_argument);
  CHECK(world.bytes() == before);
}

// ---- writing -------------------------------------------------------------------------------------------

TEST_CASE("WRT-1: after a session all checksums are right by a computation of our own, and the copies agree") {
  World world{VhdxSpec()};
  Image image = world.open(Access::read_write);
  for (uint64_t block = 0; block < 4; ++block) image.write_at(block * kMiB, pattern(0, block, 1000));
  image.resize(200000 * kMiB);
  image.close();
  Bytes file = world.bytes();
  const Bytes as_it_is = file;
  for (const uint64_t at : {64 * kKiB, 128 * kKiB}) seal(file, at, 4096);
  for (const uint64_t at : {192 * kKiB, 256 * kKiB}) seal(file, at, 64 * kKiB);
  CHECK(file == as_it_is);
}

TEST_CASE("WRT-11: after any flush that failed nothing more is written, and the image opens anew") {
  for (uint64_t flush = 0; flush < 12; ++flush) {
    INFO("flush " << flush);
    World world{VhdxSpec()};
    auto plan = std::make_shared<FaultPlan>(flush, FaultKind::io, false, Hit::flush);
    FaultyFileSystem faulty(world.files, plan);
    OpenOptions how;
    how.access = Access::read_write;
    how.format = "vhdx";
    how.file_system = &faulty;
    Image image = Image::open(World::kPath, how);
    try {
      for (uint64_t block = 0; block < 4; ++block) {
        image.write_at(block * kMiB, pattern(block * kMiB, 1, kMiB));
        image.flush();
      }
      image.close();
    } catch (const Error& error) {
      CHECK(error.code() == Errc::io);
    }
    if (!plan->struck()) continue;
    const Bytes then = world.bytes();
    CHECK_THROWS_AS(image.write_at(0, filled(1, 1)), Error);
    CHECK_THROWS_AS(image.flush(), Error);
    CHECK_THROWS_AS(image.close(), Error);
    CHECK(world.bytes() == then);
    Image again = world.open(Access::read_write);
    CHECK(damages(again) == "");
    for (uint64_t block = 0; block < 4; ++block) {
      const Bytes now = read_some(again, block * kMiB, kMiB);
      CHECK((now == Bytes(kMiB) || now == pattern(block * kMiB, 1, kMiB)));
    }
  }
}

TEST_CASE("WRT-12: a disk opened without its parent is read alone, and not written to") {
  World world(child_of("relative_path", "base.vhdx"));
  world.options.ignore_parent = true;
  const Bytes before = world.bytes();
  Image image = world.open(Access::read_write);
  CHECK(read_all(image) == Bytes(4 * kMiB));
  CHECK_ERRC(image.write_at(0, filled(1, 1)), Errc::invalid_argument);
  CHECK_ERRC(image.resize(8 * kMiB), Errc::invalid_argument);
  CHECK(world.bytes() == before);
}

}  // namespace
}  // namespace varve::test
