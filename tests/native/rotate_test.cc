// Another master key (section 13.6): the same image afterwards, and nothing left for who has the old key.
#include <string>
#include <vector>

#include "native/reachable.h"
#include "native/tangle.h"
#include "native/unlocked.h"
#include "support/image_kit.h"
#include "support/pattern.h"
#include "support/secrets.h"
#include "support/test.h"
#include "varve/ops.h"

namespace varve::test {
namespace {

using Bytes = std::vector<std::byte>;
constexpr const char* kPath = World::kPath;

bool opens(FileSystem& files, const KeySecret& secret) {
  OpenOptions how;
  how.format = "varve";
  how.secret = provider_of(secret);
  how.file_system = &files;
  try {
    Image::open(kPath, how);
    return true;
  } catch (const Error& error) {
    CHECK(errc_name(error.code()) == errc_name(Errc::authentication));
    return false;
  }
}

KeyDerivation weak() {
  KeyDerivation how;
  how.log2_n = 15;
  return how;
}

TEST_CASE("rotation: disk, snapshots, differences and attachments are as before, no space is lost, and all goes on from there") {
  Rng rng("rotations");
  SHOW_SEED(rng);
  for (uint64_t round = 0; round < scaled(8); ++round) {
    Tangle world(rotated_options()[round % rotated_options().size()], rng);
    if (round % 2 == 0) world.reopen();
    world.image().rotate_key();
    world.expect_everything();
    world.close();
    CHECK(leaks_of_closed(world.file()) == "");
    CHECK(epochs_of(*world.file()) == Epochs{{0, {2}}});

    world.open();
    world.expect_everything();
    for (int i = 0; i < 6; ++i) world.random_change(rng, 2000 + round);
    world.create("later");
    world.revert("one");
    world.random_change(rng, 3000);
    world.expect_everything();
    world.image().rotate_key();
    world.remove("two");
    world.forget_attachments_of("two");
    world.expect_everything();
    world.close();
    CHECK(leaks_of_closed(world.file()) == "");
    CHECK(epochs_of(*world.file()) == Epochs{{0, {3}}});

    world.open();
    while (!world.kept().empty()) {
      const std::string name = world.any_of(rng);
      world.remove(name);
      world.forget_attachments_of(name);
      world.expect_everything();
    }
    CHECK(world.image().snapshots().empty());
    world.close();
    CHECK(leaks_of_closed(world.file()) == "");
  }
}

TEST_CASE("rotation: a disk over a parent, with zeros that hide it") {
  Rng rng("rotations over parents");
  SHOW_SEED(rng);
  const OptionMap options = {{"cluster_size", "4K"}, {"encryption", "aes-256-gcm"}};
  TestDisk disk({"child", "varve", options, 700 * 1024 + 512, 500 * 1024});
  Image image = disk.open();
  const auto write = [&](uint64_t offset, uint64_t generation, size_t length) {
    image.write_at(offset, pattern(offset, generation, length));
    disk.model().write(offset, pattern(offset, generation, length));
  };
  write(10000, 1, 30000);
  image.zero(100000, 50000);
  disk.model().zero(100000, 50000);
  image.create_snapshot("kept", 1);
  const ShadowDisk kept = disk.model();
  write(120000, 2, 100);
  image.resize(300 * 1024);
  image.resize(700 * 1024 + 512);
  disk.model().resize(300 * 1024);
  disk.model().resize(700 * 1024 + 512);
  image.zero(0, 20000);
  disk.model().zero(0, 20000);
  image.rotate_key();
  CHECK(disk.model().difference(image) == "");
  image.revert_to_snapshot("kept");
  CHECK(kept.difference(image) == "");
  image.close();
  Image again = disk.open();
  CHECK(kept.difference(again) == "");
  CHECK(damages(again) == "");
}

TEST_CASE("rotation: snapshots over another parent than the disk's, and a disk that has none any more") {
  for (const char* parent : {"", "other.varve"}) {
    const OptionMap options = {{"cluster_size", "4K"}, {"encryption", "aes-256-gcm"}};
    TestDisk disk({"child", "varve", options, 600 * 1024, 500 * 1024});
    create_image(disk.files(), "dir/other.varve", "varve", 700 * 1024);
    OpenOptions how = disk.open_options();
    how.file_system = &disk.files();
    {
      Image other = Image::open("dir/other.varve", how);
      other.write_at(50000, pattern(50000, 9, 600000));
      other.close();
      Image image = disk.open();
      image.write_at(10000, pattern(10000, 1, 3000));
      image.zero(200000, 40000);
      image.create_snapshot("kept", 1);
      image.resize(300 * 1024);
      image.write_at(150000, pattern(150000, 2, 3000));
      image.close();
    }
    RebaseOptions rebasing;
    rebasing.parent = parent;
    rebasing.open = how;
    rebase(TestDisk::kPath, rebasing);
    Image image = disk.open();
    image.resize(650 * 1024);
    image.flush();
    OpenOptions kept = disk.open_options(Access::read_only);
    kept.snapshot = "kept";
    const auto shown = [&] {
      Image snapshot = disk.open(kept);
      return std::pair(contents_of(image), contents_of(snapshot));
    };
    const auto before = shown();
    image.rotate_key();
    CHECK(shown() == before);
    CHECK(damages(image) == "");
    image.close();
    CHECK(leaks_of_closed(disk.files().find(TestDisk::kPath)) == "");
  }
}

TEST_CASE("rotation: the old master key opens nothing of the file any more") {
  Rng rng("old keys");
  Tangle world(rotated_options().front(), rng);
  world.close();
  const Unlocked old = unlocked(*world.file());
  world.open();
  world.image().rotate_key();
  world.close();
  const Unlocked now = unlocked(*world.file());
  CHECK_ERRC(native::read_superblocks(*world.file(), now.headers.header, old.cipher.get()), Errc::corrupt);
  REQUIRE(now.cipher->master_keys().size() == 1);
  CHECK(now.cipher->master_keys().front().epoch == 2);
  CHECK(now.superblocks.older);
  CHECK(now.superblocks.current.session.epoch == 2);
  CHECK(now.superblocks.older->session.epoch == 2);
  CHECK_FALSE(now.cipher->uses_older_epochs());
}

TEST_CASE("rotation: slots whose secrets are not given are named, and go on the user's word only") {
  Rng rng("rotated slots");
  Tangle world(rotated_options().front(), rng);
  Image& image = world.image();
  CHECK(image.add_key(raw_key(2)) == 1);
  CHECK(image.add_key(passphrase("kept"), weak()) == 2);
  CHECK(image.add_key(raw_key(3)) == 3);
  const auto refused = [&](const RotateOptions& how) -> std::string {
    try {
      image.rotate_key(how);
    } catch (const Error& error) {
      CHECK(errc_name(error.code()) == errc_name(Errc::invalid_argument));
      return error.message();
    }
    return "nothing was refused";
  };
  RotateOptions how;
  CHECK(refused(how).ends_with(": 1, 2, 3"));
  how.also.push_back(passphrase("kept"));
  CHECK(refused(how).ends_with(": 1, 3"));
  how.also.push_back(raw_key(2));
  CHECK(refused(how).ends_with(": 3"));
  world.random_change(rng, 4000);  // all goes on meanwhile
  world.create("after the refusals");
  how.also.push_back(raw_key(4));
  CHECK_ERRC(image.rotate_key(how), Errc::authentication);
  world.random_change(rng, 4001);
  image.flush();
  CHECK(epochs_of(*world.file()) == Epochs{{0, {1}}, {1, {1}}, {2, {1}}, {3, {1}}});
  how.also.pop_back();
  how.drop_others = true;
  image.rotate_key(how);
  world.expect_everything();
  world.close();
  CHECK(epochs_of(*world.file()) == Epochs{{0, {2}}, {1, {2}}, {2, {2}}});
  CHECK((opens(world.files(), raw_key(1)) && opens(world.files(), raw_key(2))));
  CHECK(opens(world.files(), passphrase("kept")));
  CHECK_FALSE(opens(world.files(), raw_key(3)));
  CHECK_FALSE(opens(world.files(), passphrase("dropped")));
}

TEST_CASE("keys: what is refused leaves the image as usable as before") {
  Rng rng("refused keys");
  Tangle world(rotated_options().front(), rng);
  Image& image = world.image();
  KeyDerivation strong;
  strong.log2_n = 30;
  CHECK_ERRC(image.add_key(passphrase("too costly"), strong), Errc::limit);
  CHECK_ERRC(image.remove_key(0), Errc::invalid_argument);
  CHECK_ERRC(image.change_key(5, raw_key(2)), Errc::not_found);
  for (uint8_t key = 2; key <= 16; ++key) image.add_key(raw_key(key));
  CHECK_ERRC(image.add_key(raw_key(17)), Errc::limit);
  world.random_change(rng, 1);
  world.create("afterwards");
  image.change_key(15, raw_key(18));
  world.reopen();
  world.expect_everything();
  CHECK(opens(world.files(), raw_key(18)));
  CHECK_FALSE(opens(world.files(), raw_key(16)));
  CHECK_FALSE(opens(world.files(), raw_key(17)));
}

TEST_CASE("rotation: after the slot that opened the image was changed or removed") {
  MemoryFileSystem files;
  create_image(files, kPath, "varve", 1 << 20, {{"encryption", "aes-256-gcm"}});
  OpenOptions how;
  how.access = Access::read_write;
  how.format = "varve";
  how.secret = test_key();
  how.file_system = &files;
  {
    Image image = Image::open(kPath, how);
    image.write_at(0, pattern(0, 1, 100000));
    image.change_key(0, raw_key(2));
    image.rotate_key();
    image.close();
  }
  CHECK_FALSE(opens(files, raw_key(1)));
  how.secret = provider_of(raw_key(2));
  {
    Image image = Image::open(kPath, how);
    CHECK(contents_of(image).size() == 1 << 20);
    image.add_key(raw_key(3));
    image.remove_key(0);
    CHECK_ERRC(image.rotate_key(), Errc::invalid_argument);
    RotateOptions with;
    with.also.push_back(raw_key(3));
    image.rotate_key(with);
    image.close();
  }
  CHECK_FALSE(opens(files, raw_key(2)));
  how.secret = provider_of(raw_key(3));
  Image image = Image::open(kPath, how);
  CHECK(damages(image) == "");
  Bytes start(100000);
  image.read_at(0, start);
  CHECK(start == pattern(0, 1, 100000));
}

TEST_CASE("rotation: a child over a snapshot of the image still reads it") {
  Rng rng("rotated parents");
  Tangle world(rotated_options().front(), rng);
  world.close();
  CreateOptions over;
  over.file_system = &world.files();
  over.parent = "disk.varve";
  over.parent_snapshot = "two";
  over.secret = test_key();
  over.parent_secret = test_key();
  over.options = {{"encryption", "aes-256-gcm"}};
  Image::create("dir/child.varve", "varve", std::nullopt, over).close();
  for (int times = 0; times < 2; ++times) {
    world.open();
    world.image().rotate_key();
    world.expect_everything();
    world.close();
    OpenOptions how = world.options(Access::read_only);
    how.require_encryption = true;
    Image child = Image::open("dir/child.varve", how);
    CHECK(contents_of(child) == world.held("two"));
  }
}

}  // namespace
}  // namespace varve::test
