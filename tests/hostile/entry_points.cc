#include "hostile/entry_points.h"

#include <cstdlib>
#include <functional>
#include <string_view>

#include "support/bytes.h"
#include "support/image_kit.h"

namespace varve::test {

namespace {

/// Each under a name that its bytes decide.
void put_on_shelf(ConstBytes image) {
  const char* shelf = std::getenv("VARVE_TEST_HOSTILE_SHELF");
  if (shelf == nullptr) return;
  const std::string_view text(reinterpret_cast<const char*>(image.data()), image.size());
  write_file(std::string(shelf) + "/" + std::to_string(std::hash<std::string_view>()(text)) + ".vmdk", image);
}

}  // namespace

HostileWorld::HostileWorld(ConstBytes image) {
  files.add(kDisk, image);
  put_on_shelf(image);
}

Image HostileWorld::open(Access access, References references, const std::string& format) {
  OpenOptions how = options;
  how.access = access;
  how.references = references;
  how.format = format;
  how.file_system = &files;
  return Image::open(kDisk, how);
}

std::string HostileWorld::touched() const {
  std::string text;
  for (const auto& call : files.calls()) text += call.operation + " " + call.path + "\n";
  return text;
}

namespace {

ConvertOptions convert_options(HostileWorld& world, const std::string& to) {
  ConvertOptions how;
  how.source_format = "vmdk";
  how.target_format = to;
  how.open = world.options;
  how.open.file_system = &world.files;
  how.create.file_system = &world.files;
  return how;
}

void compare_with_empty(HostileWorld& world) {
  world.files.add("dir/zeros.raw");
  OpenOptions how;
  how.format = "raw";
  how.file_system = &world.files;
  Image zeros = Image::open("dir/zeros.raw", how);
  Image image = world.open();
  compare(image, zeros);
}

void create_child(HostileWorld& world) {
  CreateOptions how;
  how.file_system = &world.files;
  how.parent = "disk.vmdk";
  Image::create("dir/child.vmdk", "vmdk", std::nullopt, how).close();
}

void convert_into(HostileWorld& world) {
  world.files.add("dir/source.raw", Bytes(512));
  ConvertOptions how = convert_options(world, "vmdk");
  how.source_format = "raw";
  how.into_existing = true;
  convert("dir/source.raw", kDisk, how);
}

}  // namespace

const std::vector<EntryPoint>& entry_points() {
  static const std::vector<EntryPoint> all = {
      {"open for reading", [](HostileWorld& world) { world.open(); }},
      {"open for writing", [](HostileWorld& world) { world.open(Access::read_write); }},
      {"open with the format probed", [](HostileWorld& world) { world.open(Access::read_only, References::inside, ""); }},
      {"info", [](HostileWorld& world) { world.open().info(); }},
      {"chain", [](HostileWorld& world) { world.open().chain(); }},
      {"check", [](HostileWorld& world) { world.open().check({}); }},
      {"repair",
       [](HostileWorld& world) {
         world.open(Access::read_write).check({.data = false, .repair = Repair::all, .progress = {}, .cancel = nullptr});
       }},
      {"map",
       [](HostileWorld& world) {
         Image image = world.open();
         map(image, [](const Extent&) {});
       }},
      {"compare", compare_with_empty},
      {"convert to raw", [](HostileWorld& world) { convert(kDisk, "dir/out", convert_options(world, "raw")); }},
      {"convert to vmdk", [](HostileWorld& world) { convert(kDisk, "dir/out", convert_options(world, "vmdk")); }},
      {"convert into it", convert_into},
      {"resize", [](HostileWorld& world) { world.open(Access::read_write).resize(8 << 20); }},
      {"a child of it", create_child},
  };
  return all;
}

void every_entry_point_fails(ConstBytes image, Errc code, const std::vector<std::pair<std::string, Bytes>>& more_files) {
  for (const EntryPoint& entry : entry_points()) {
    INFO("entry point: " << entry.name);
    HostileWorld world(image);
    for (const auto& [path, bytes] : more_files) world.files.add(path, bytes);
    CHECK_ERRC(entry.call(world), code);
    const Bytes now = world.files.find(kDisk)->contents();
    CHECK_MESSAGE(std::equal(now.begin(), now.end(), image.begin(), image.end()), "the image was changed");
    CHECK(world.files.find("dir/out") == nullptr);
    CHECK(world.files.find("dir/child.vmdk") == nullptr);
  }
}

void reading_fails(ConstBytes image, Errc code, uint64_t offset, uint64_t length) {
  HostileWorld world(image);
  const auto read = [&] {
    Image disk = world.open();
    Bytes out(static_cast<size_t>(length));
    disk.read_at(offset, out);
  };
  CHECK_ERRC(read(), code);
}

void check_finds_damage(ConstBytes image) {
  HostileWorld world(image);
  try {
    Image disk = world.open();
    CHECK(damages(disk) != "");
  } catch (const Error& error) {
    CHECK(error.code() == Errc::corrupt);
  }
}

}  // namespace varve::test
