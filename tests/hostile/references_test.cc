// Names inside an image that lead to other files. A hostile image asks for the host's files; what the policy forbids is refused before any
// file is looked at, through every entry point.
#include <array>

#include "hostile/entry_points.h"
#include "support/image_kit.h"
#include "varve/text.h"

namespace varve::test {
namespace {

Bytes flat_image(const std::string& name, uint64_t sectors = 2048) {
  return bytes_of_text(descriptor_text("monolithicFlat", "RW " + std::to_string(sectors) + " FLAT \"" + name + "\" 0"));
}

Bytes child_of(const std::string& parent_name, const std::string& parent_cid = "12345678") {
  SparseImage image;
  size_t at = image.descriptor.find("parentCID=ffffffff");
  image.descriptor.replace(at, 18, "parentCID=" + parent_cid + "\nparentFileNameHint=\"" + parent_name + "\"");
  return image.finish();
}

constexpr std::array<const char*, 16> kForbidden = {"/etc/passwd",
                                                    "../disk-flat.vmdk",
                                                    "sub/../../x",
                                                    "..",
                                                    "a\\b",
                                                    "\\\\host\\share\\x",
                                                    "C:\\x",
                                                    "C:x",
                                                    "json:{\"driver\":\"file\"}",
                                                    "nbd://localhost/x",
                                                    "fd:3",
                                                    "file:///etc/passwd",
                                                    "/dev/sda",
                                                    "sub/../x",
                                                    "x\x01y",
                                                    "//host/x"};

TEST_CASE("REF-1: with references off an image that names any other file fails, and nothing but the image is touched") {
  for (const Bytes& image : {flat_image("disk-flat.vmdk"), child_of("parent.vmdk")}) {
    HostileWorld world(image);
    world.files.add("dir/disk-flat.vmdk", Bytes(2048 * 512));
    world.files.add("dir/parent.vmdk", SparseImage().finish());
    CHECK_ERRC(world.open(Access::read_only, References::none), Errc::permission);
    CHECK(world.touched() == "open dir/disk.vmdk\n");
  }
}

TEST_CASE("REF-2: an extent name that leaves the image's directory is refused before any file is looked at") {
  for (const char* name : kForbidden) {
    INFO("name: " << std::string(name));
    HostileWorld world(flat_image(name));
    CHECK_ERRC(world.open(), Errc::permission);
    CHECK(world.touched() == "open dir/disk.vmdk\n");
  }
}

TEST_CASE("REF-2: a parent name that leaves the image's directory is refused before any file is looked at") {
  for (const char* name : kForbidden) {
    INFO("name: " << std::string(name));
    HostileWorld world(child_of(name));
    CHECK_ERRC(world.open(), Errc::permission);
    CHECK(world.touched() == "open dir/disk.vmdk\n");
  }
}

TEST_CASE("REF-2: a name in the image's own directory or below is opened") {
  for (const char* name : {"disk-flat.vmdk", "sub/disk-flat.vmdk"}) {
    HostileWorld world(flat_image(name));
    world.files.add(std::string("dir/") + name, Bytes(2048 * 512, std::byte{7}));
    Image image = world.open();
    Bytes out(1);
    image.read_at(5, out);
    CHECK(out[0] == std::byte{7});
  }
}

TEST_CASE("REF-3: driver and URL syntax in a name is no more than a refused file name") {
  for (const char* name : {"json:{\"file.filename\":\"/etc/passwd\"}", "nbd:unix:/tmp/socket", "http://localhost/x", "ssh://h/x", "fd:0"}) {
    INFO("name: " << std::string(name));
    HostileWorld world(flat_image(name));
    CHECK_ERRC(world.open(), Errc::permission);
    CHECK_ERRC(world.open(Access::read_only, References::none), Errc::permission);
    CHECK(world.touched() == "open dir/disk.vmdk\nopen dir/disk.vmdk\n");
  }
}

TEST_CASE("REF-4: every entry point refuses a forbidden extent and a forbidden parent, and changes nothing") {
  every_entry_point_fails(flat_image("/etc/passwd"), Errc::permission);
  every_entry_point_fails(flat_image("../secret"), Errc::permission, {{"secret", Bytes(2048 * 512)}});
  every_entry_point_fails(child_of("/images/base.vmdk"), Errc::permission, {{"/images/base.vmdk", SparseImage().finish()}});
  every_entry_point_fails(child_of("../base.vmdk"), Errc::permission, {{"base.vmdk", SparseImage().finish()}});
}

TEST_CASE("REF-5: a refused reference fails the same whether its target exists or not") {
  for (const Bytes& image :
       {flat_image("../secret.vmdk"), flat_image("/secret.vmdk"), child_of("../secret.vmdk"), child_of("/secret.vmdk")}) {
    std::vector<std::string> told;
    for (const bool exists : {false, true}) {
      HostileWorld world(image);
      if (exists) {
        world.files.add("secret.vmdk", Bytes(2048 * 512));
        world.files.add("/secret.vmdk", SparseImage().finish());
      }
      try {
        world.open();
      } catch (const Error& error) {
        told.emplace_back(error.what());
      }
      told.push_back(world.touched());
    }
    REQUIRE(told.size() == 4);
    CHECK(told[0] == told[2]);
    CHECK(told[1] == told[3]);
  }
}

TEST_CASE("REF-6: a missing parent is never looked for elsewhere, though its twin lies beside the image") {
  HostileWorld world(child_of("base.vmdk"));
  world.files.add("dir/other.vmdk", SparseImage().finish());  // the CID that the child expects
  CHECK_ERRC(world.open(), Errc::not_found);
  CHECK(world.touched().find("other.vmdk") == std::string::npos);
}

TEST_CASE("REF-7: control characters of an image never reach the one line of an error") {
  // Of a name, of a type, of a number, of a whole line; refused as a reference, as an unknown word, or for want of the file.
  const auto places = [](const std::string& text) {
    return std::vector<Bytes>{flat_image(text),
                              child_of(text),
                              bytes_of_text(descriptor_text(text, "RW 8 ZERO")),
                              bytes_of_text(descriptor_text("custom", "RW 8 " + text + " \"a\"")),
                              bytes_of_text(descriptor_text("custom", "RW " + text + " ZERO")),
                              bytes_of_text(descriptor_text("custom", text)),
                              bytes_of_text(descriptor_text("custom", "RW 8 ZERO", "encoding = \"" + text + "\"\n" + text))};
  };
  uint64_t errors = 0;
  for (const char* text : {"a\x1b[31mred", "a\rb", "a\x07", "a\x7f",
                           "a\x9b"
                           "2J",
                           "a\xc2\x9b"
                           "2J",
                           "a\xe2\x80\xae"
                           "b",
                           "a\xe2\x81\xa6"
                           "b",
                           "a\xe2\x80\xa8"
                           "b",
                           "a\xff", "a\xed\xa0\x80"}) {
    for (const Bytes& image : places(text)) {
      for (const EntryPoint& entry : entry_points()) {
        HostileWorld world(image);
        try {
          entry.call(world);
        } catch (const Error& error) {
          ++errors;
          const std::string line = error.what();
          CHECK_MESSAGE(escape_text(line) == line, "entry point " << entry.name << ": " << escape_text(line));
        }
      }
    }
  }
  CHECK(errors > 400);
}

TEST_CASE("REF-8: names with spaces, commas and other alphabets are taken from between the quotes as they are") {
  for (const char* name :
       {"my disk-flat.vmdk", "D\xc3\xadsk \xe7\xa3\x81\xe7\x9b\x98.vmdk", "a,b=c.vmdk", "#x.vmdk", " leading", "trailing "}) {
    INFO("name: " << std::string(name));
    HostileWorld world(flat_image(name));
    world.files.add(std::string("dir/") + name, Bytes(2048 * 512, std::byte{9}));
    Image image = world.open();
    Bytes out(4);
    image.read_at(2048 * 512 - 4, out);
    CHECK(out == Bytes(4, std::byte{9}));
  }
}

TEST_CASE("a raw device mapping or device extent is refused unless every reference is allowed") {
  for (const char* line : {"RW 2048 VMFSRDM \"disk-rdm.vmdk\"", "RW 2048 VMFSRDMP \"disk-rdm.vmdk\"", "RW 2048 FLAT \"/dev/sda\" 0"}) {
    HostileWorld world(bytes_of_text(descriptor_text("fullDevice", line)));
    world.files.add("dir/disk-rdm.vmdk", Bytes(2048 * 512));
    INFO(std::string(line));
    CHECK_ERRC(world.open(), Errc::permission);
    CHECK(world.touched() == "open dir/disk.vmdk\n");
  }
}

TEST_CASE("WRT-12: a parent that is not the one the image was made over is an error unless the parent is ignored") {
  HostileWorld world(child_of("base.vmdk", "deadbeef"));
  world.files.add("dir/base.vmdk", SparseImage().finish());
  CHECK_ERRC(world.open(), Errc::corrupt);
  world.options.ignore_parent = true;
  CHECK(world.open().size() == 32 * SparseImage::kGrain);
  HostileWorld missing(child_of("base.vmdk"));
  CHECK_ERRC(missing.open(), Errc::not_found);
  missing.options.ignore_parent = true;
  CHECK(missing.open().size() == 32 * SparseImage::kGrain);
}

}  // namespace
}  // namespace varve::test
