// What format is this? A guest that writes its raw disk must not decide it.
#include "hostile/entry_points.h"
#include "support/image_kit.h"
#include "support/pattern.h"

namespace varve::test {
namespace {

ConvertOptions into(HostileWorld& world, const std::string& source_format) {
  ConvertOptions how;
  how.source_format = source_format;
  how.target_format = "raw";
  how.open.file_system = &world.files;
  how.create.file_system = &world.files;
  return how;
}

TEST_CASE("PRB-1: opening for writing without a format never yields raw") {
  HostileWorld world(Bytes(1 << 20, std::byte{0x55}));
  CHECK_ERRC(world.open(Access::read_write, References::inside, ""), Errc::invalid_argument);
  CHECK(world.open(Access::read_only, References::inside, "").format().name == "raw");
}

TEST_CASE("PRB-2: a raw image that was opened without a format takes no write, zero or discard") {
  HostileWorld world(Bytes(1 << 20, std::byte{0x55}));
  Image image = world.open(Access::read_only, References::inside, "");
  const Bytes header = SparseImage().finish();
  CHECK_ERRC(image.write_at(0, ConstBytes(header).first(512)), Errc::permission);
  CHECK_ERRC(image.zero(0, 512), Errc::permission);
  CHECK_ERRC(image.discard(0, 512), Errc::permission);
}

TEST_CASE(
    "PRB-3: a descriptor text that a guest could have written is not opened for writing without a format, and nothing it names is "
    "touched") {
  HostileWorld world(bytes_of_text(descriptor_text("monolithicFlat", "RW 2048 FLAT \"victim.img\" 0")));
  world.files.add("dir/victim.img", Bytes(2048 * 512));
  CHECK_ERRC(world.open(Access::read_write, References::inside, ""), Errc::invalid_argument);
  CHECK(world.touched() == "open dir/disk.vmdk\n");
}

TEST_CASE("PRB-3: convert into an existing image without a format refuses to guess") {
  HostileWorld world(Bytes(1 << 20, std::byte{0x55}));
  world.files.add("dir/source.raw", pattern(0, 1, 4096));
  ConvertOptions how = into(world, "raw");
  how.target_format.clear();
  how.into_existing = true;
  world.files.add("dir/unknown", Bytes(1 << 20));
  CHECK_ERRC(convert("dir/source.raw", "dir/unknown", how), Errc::invalid_argument);
  CHECK(world.files.find("dir/unknown")->contents() == Bytes(1 << 20));
}

TEST_CASE("PRB-5: the signature decides the same for a file whatever else is in it, and a declared format is never overruled") {
  Bytes image = SparseImage().finish();
  HostileWorld as_vmdk(image);
  CHECK(as_vmdk.open(Access::read_only, References::inside, "").format().name == "vmdk");
  HostileWorld as_raw(image);
  Image raw = as_raw.open(Access::read_only, References::inside, "raw");
  CHECK(raw.size() == image.size());
  Bytes first(4);
  raw.read_at(0, first);
  CHECK(std::equal(first.begin(), first.end(), image.begin()));
}

TEST_CASE("PRB-6: header and footer of a stream must agree on version, capacity, grain and descriptor") {
  const auto with_footer = [](const std::function<void(vmdk::SparseHeaderRaw&)>& change) {
    StreamImage image;
    vmdk::SparseHeaderRaw footer = image.header_at(image.footer_at());
    change(footer);
    image.put_header(image.footer_at(), footer);
    return image.bytes;
  };
  HostileWorld sound(StreamImage().bytes);
  Image image = sound.open();
  CHECK(damages(image) == "");
  every_entry_point_fails(with_footer([](auto& f) { f.capacity = 64; }), Errc::corrupt);
  every_entry_point_fails(with_footer([](auto& f) { f.grain_size = 64; }), Errc::corrupt);
  every_entry_point_fails(with_footer([](auto& f) { f.descriptor_offset = 2; }), Errc::corrupt);
  every_entry_point_fails(with_footer([](auto& f) { f.descriptor_size = 1; }), Errc::corrupt);
  every_entry_point_fails(with_footer([](auto& f) { f.version = 2; }), Errc::corrupt);
  every_entry_point_fails(with_footer([](auto& f) { f.magic = 0x44444444; }), Errc::corrupt);
  every_entry_point_fails(with_footer([](auto& f) { f.num_gtes_per_gt = 256; }), Errc::corrupt);
  every_entry_point_fails(with_footer([](auto& f) { f.flags = f.flags & ~vmdk::kFlagMarkers; }), Errc::corrupt);
  every_entry_point_fails(with_footer([](auto& f) { f.flags = f.flags | vmdk::kFlagZeroedGrain; }), Errc::corrupt);
  every_entry_point_fails(with_footer([](auto& f) { f.flags = f.flags | vmdk::kFlagRedundantTables; }), Errc::corrupt);
  every_entry_point_fails(with_footer([](auto& f) { f.newlines = {'\n', ' ', '\n', '\n'}; }), Errc::corrupt);
  every_entry_point_fails(with_footer([](auto& f) { f.compress_algorithm = 0; }), Errc::corrupt);
  every_entry_point_fails(with_footer([](auto& f) { f.gd_offset = 0; }), Errc::corrupt);
  every_entry_point_fails(with_footer([](auto& f) { f.gd_offset = UINT64_MAX / 512; }), Errc::corrupt);
}

TEST_CASE("PRB-6: a footer counts only behind its marker and before the end, whose fields and padding are as they have to be") {
  const StreamImage sound;
  const uint64_t marker = sound.footer_at() - 512;
  const uint64_t end = sound.footer_at() + 512;
  struct {
    uint64_t place;
    uint64_t value;
    unsigned size;
  } const changes[] = {{marker, 0, 8},       {marker, 2, 8},       {marker, UINT64_MAX, 8}, {marker + 8, 1, 4}, {marker + 12, 0, 4},
                       {marker + 12, 2, 4},  {end, 1, 8},          {end + 8, 1, 4},         {end + 12, 3, 4},   {marker + 16, 1, 1},
                       {marker + 100, 1, 1}, {marker + 511, 1, 1}, {end + 16, 1, 1},        {end + 100, 1, 1},  {end + 511, 1, 1}};
  for (const auto& change : changes) {
    INFO("byte " << change.place - marker << " behind the footer's marker = " << change.value);
    StreamImage image;
    put(image.bytes, change.place, ConstBytes(bytes_of(le64(change.value))).first(change.size));
    every_entry_point_fails(image.bytes, Errc::corrupt);
  }
}

TEST_CASE("PRB-6: a footer that itself points to the end is refused") {
  StreamImage image;
  vmdk::SparseHeaderRaw footer = image.header_at(image.footer_at());
  footer.gd_offset = vmdk::kGdAtEnd;
  image.put_header(image.footer_at(), footer);
  every_entry_point_fails(image.bytes, Errc::corrupt);
}

TEST_CASE("PRB-9: an image declared as raw stays raw, though a guest writes a VMDK header into it") {
  HostileWorld world(Bytes(1 << 20));
  const Bytes header = SparseImage().finish();
  {
    Image image = world.open(Access::read_write, References::inside, "raw");
    image.write_at(0, ConstBytes(header).first(65536));
    image.flush();
    image.write_at(512, ConstBytes(header).first(512));
    CHECK(image.size() == 1 << 20);
    CHECK(image.format().name == "raw");
    image.close();
  }
  Image again = world.open(Access::read_write, References::inside, "raw");
  CHECK(again.size() == 1 << 20);
  again.close();
  convert(kDisk, "dir/copy", into(world, "raw"));
  CHECK(world.files.find("dir/copy")->contents() == world.files.find(kDisk)->contents());
}

TEST_CASE("PRB-10: a format is recognized as opening would do it, for writing only by what no guest can forge, and nothing is changed") {
  HostileWorld world(SparseImage().finish());
  create_image(world.files, "dir/own", "varve", 1 << 20);
  create_image(world.files, "dir/raw", "raw", 1 << 20);
  const Bytes before = world.files.find("dir/own")->contents();
  for (const auto& [path, format] : {std::pair{kDisk, "vmdk"}, std::pair{"dir/own", "varve"}, std::pair{"dir/raw", "raw"}}) {
    const std::string name = path;
    INFO(name);
    CHECK(recognized_format(path, Access::read_only, &world.files).name == format);
    CHECK_ERRC(recognized_format(path, Access::read_write, &world.files), Errc::invalid_argument);
  }
  CHECK(world.files.find("dir/own")->contents() == before);
  CHECK_ERRC(recognized_format("dir/none", Access::read_only, &world.files), Errc::not_found);
}

}  // namespace
}  // namespace varve::test
