// Attachments: against a model, in bounded memory, with snapshots, and what goes wrong.
#include <map>
#include <utility>

#include "native/builder.h"
#include "native/world.h"
#include "support/image_kit.h"
#include "support/pattern.h"

namespace varve::test {
namespace {

/// Gives the bytes in parts of any size.
AttachmentSource source_of(const Bytes& bytes, Rng* rng = nullptr) {
  auto at = std::make_shared<size_t>(0);
  return [&bytes, rng, at](MutableBytes out) {
    size_t count = std::min(out.size(), bytes.size() - *at);
    if (rng != nullptr && count > 1) count = rng->between(1, count);
    std::copy_n(bytes.begin() + static_cast<ptrdiff_t>(*at), count, out.begin());
    *at += count;
    return count;
  };
}

Bytes held_in(Image& image, const AttachmentKey& key, uint64_t size) {
  Bytes all(size);
  image.read_attachment(key, 0, all);
  return all;
}

Bytes some_bytes(Rng& rng) {
  const uint64_t size = rng.one_in(3) ? rng.below(10) : rng.below(200000);
  Bytes bytes = pattern(0, rng.next(), size);
  if (size > 9000 && rng.one_in(3)) std::fill(bytes.begin() + 4000, bytes.end() - 100, std::byte{0});
  return bytes;
}

using Model = std::map<std::pair<std::string, std::string>, Bytes>;  ///< (snapshot, name)

void expect_all(World& world, Image& image, const Model& model) {
  const std::vector<AttachmentInfo> all = image.attachments();
  CHECK(all.size() == model.size());
  for (const AttachmentInfo& info : all) {
    const auto found = model.find({info.key.snapshot, info.key.name});
    REQUIRE(found != model.end());
    REQUIRE(info.size == found->second.size());
    CHECK(held_in(image, info.key, info.size) == found->second);
  }
  world.expect_all();
}

TEST_CASE("attachments agree with a model through puts, deletes, snapshots, reopening and writes to the disk") {
  Rng rng("attachments");
  SHOW_SEED(rng);
  for (uint64_t round = 0; round < scaled(8); ++round) {
    World world(world_options()[round % world_options().size()]);
    Model model;
    for (int step = 0; step < 30; ++step) {
      const uint64_t choice = rng.below(10);
      const std::string owner = world.kept().empty() || rng.one_in(2) ? std::string() : world.any_of(rng);
      const AttachmentKey key{"n" + std::to_string(rng.below(3)), owner};
      const bool there = model.contains({owner, key.name});
      if (choice < 4) {
        const Bytes bytes = some_bytes(rng);
        if (there) CHECK_ERRC(world.image().put_attachment(key, 1, source_of(bytes), false), Errc::exists);
        world.image().put_attachment(key, 1, source_of(bytes, &rng), true);
        model[{owner, key.name}] = bytes;
      } else if (choice < 5) {
        if (there)
          world.image().delete_attachment(key);
        else
          CHECK_ERRC(world.image().delete_attachment(key), Errc::not_found);
        model.erase({owner, key.name});
      } else if (choice < 7) {
        world.random_change(rng, static_cast<uint64_t>(step));
      } else if (choice < 8) {
        world.create("s" + std::to_string(step));
      } else if (choice < 9 && !owner.empty()) {
        world.remove(owner);  // in a line: it goes at once
        std::erase_if(model, [&](const auto& one) { return one.first.first == owner; });
      } else {
        world.reopen();
      }
      expect_all(world, world.image(), model);
    }
    world.close();
    Image image = Image::open(World::kPath, world.options(Access::read_only));
    CHECK(image.attachments().size() == model.size());
    CHECK(damages(image) == "");
  }
}

TEST_CASE("what a deleted or replaced attachment took is used again") {
  World world({{"cluster_size", "4K"}, {"journal_size", "0"}});
  const Bytes bytes = pattern(0, 1, 400000);
  uint64_t early = 0;
  for (int round = 0; round < 12; ++round) {
    world.image().put_attachment({"a"}, 1, source_of(bytes), true);
    world.create("s");
    world.image().put_attachment({"m", "s"}, 1, source_of(bytes), false);
    world.remove("s");  // and what belongs to it
    world.image().delete_attachment({"a"});
    world.reopen();
    const uint64_t size = world.files().find(World::kPath)->contents().size();
    if (round < 3) early = std::max<uint64_t>(early, size);
    CHECK(size <= early);
  }
  CHECK(world.image().attachments().empty());
}

TEST_CASE("an attachment of a branch point stays until that goes, under no snapshot's name") {
  World world({{"cluster_size", "4K"}, {"journal_size", "0"}});
  const Bytes bytes = pattern(0, 1, 10000);
  world.create("base");
  world.image().put_attachment({"memory", "base"}, 5, source_of(bytes));
  world.create("left");
  world.revert("base");
  world.create("right");
  world.remove("base");
  REQUIRE(world.image().attachments().size() == 1);
  CHECK(world.image().attachments().front().of_branch_point);
  CHECK_ERRC(held_in(world.image(), {"memory", "base"}, 1), Errc::not_found);
  CHECK_ERRC(held_in(world.image(), {"memory"}, 1), Errc::not_found);
  world.remove("left");
  CHECK(world.image().attachments().empty());
  world.expect_all();
}

TEST_CASE("an attachment of more nodes than memory keeps comes back whole, and any part of it") {
  constexpr uint64_t kSize = 270 * kMiB + 77;
  World world({{"cluster_size", "4K"}, {"journal_size", "0"}});
  const auto byte_at = [](uint64_t at) { return static_cast<std::byte>(at / kMiB + at); };
  uint64_t given = 0;
  world.image().put_attachment({"memory"}, 1, [&](MutableBytes out) {
    const size_t count = std::min<uint64_t>(out.size(), kSize - given);
    for (size_t i = 0; i < count; ++i) out[i] = byte_at(given + i);
    given += count;
    return count;
  });
  CHECK(world.image().attachments().front().size == kSize);
  Bytes seen(1000);
  for (uint64_t at = 0; at + seen.size() <= kSize; at += 7 * kMiB + 123) {
    world.image().read_attachment({"memory"}, at, seen);
    for (size_t i = 0; i < seen.size(); i += 99) REQUIRE(seen[i] == byte_at(at + i));
  }
  CHECK_ERRC(world.image().read_attachment({"memory"}, kSize - 999, seen), Errc::invalid_argument);
  CHECK_ERRC(world.image().read_attachment({"memory"}, UINT64_MAX, seen), Errc::invalid_argument);
}

TEST_CASE("names, snapshots and formats that can't be") {
  World world({{"cluster_size", "4K"}, {"journal_size", "0"}});
  Image& image = world.image();
  const Bytes bytes = pattern(0, 1, 10);
  for (const std::string& name : {std::string(), std::string("\xff"), std::string(1025, 'x'), std::string("a\0b", 3)})
    CHECK_ERRC(image.put_attachment({name}, 1, source_of(bytes)), Errc::invalid_argument);
  CHECK_ERRC(image.put_attachment({"a", "none"}, 1, source_of(bytes)), Errc::not_found);
  CHECK_ERRC(image.delete_attachment({"a"}), Errc::not_found);
  CHECK_ERRC(held_in(image, {"a"}, 1), Errc::not_found);
  image.put_attachment({"a"}, 1, source_of(bytes));  // it goes on
  CHECK(held_in(image, {"a"}, 10) == bytes);
  Image reader = Image::open(World::kPath, world.options(Access::read_only));
  CHECK_ERRC(reader.put_attachment({"b"}, 1, source_of(bytes)), Errc::permission);
  MemoryFileSystem files;
  create_image(files, "d.vmdk", "vmdk", kMiB);
  OpenOptions how;
  how.file_system = &files;
  CHECK_ERRC(Image::open("d.vmdk", how).attachments(), Errc::unsupported);
}

TEST_CASE("a source that fails leaves the image as it was") {
  World world({{"cluster_size", "4K"}, {"journal_size", "0"}});
  world.write(0, pattern(0, 1, 5000));
  world.image().flush();
  int calls = 0;
  CHECK_ERRC(world.image().put_attachment({"a"}, 1,
                                          [&](MutableBytes out) {
                                            if (++calls > 40) throw Error(Errc::io, "the disk is gone");
                                            std::fill(out.begin(), out.end(), std::byte{1});
                                            return out.size();
                                          }),
             Errc::io);
  CHECK_ERRC(world.image().flush(), Errc::io);
  world.open();
  CHECK(world.image().attachments().empty());
  world.expect_all();
}

TEST_CASE("an attachment becomes a file of its own, and replaces none unless told to") {
  World world({{"cluster_size", "4K"}, {"journal_size", "0"}});
  Bytes bytes = pattern(0, 1, 3 * kMiB + 5);
  std::fill(bytes.begin() + 5000, bytes.begin() + 2 * kMiB, std::byte{0});
  world.image().put_attachment({"a"}, 1, source_of(bytes));
  ExtractOptions how;
  how.file_system = &world.files();
  CHECK(extract_attachment(world.image(), {"a"}, "dir/out", how) == bytes.size());
  CHECK(world.files().find("dir/out")->contents() == bytes);
  CHECK_ERRC(extract_attachment(world.image(), {"a"}, "dir/out", how), Errc::exists);
  how.force = true;
  how.most = bytes.size() - 1;
  CHECK_ERRC(extract_attachment(world.image(), {"a"}, "dir/out", how), Errc::limit);
  how.most = bytes.size();
  CHECK(extract_attachment(world.image(), {"a"}, "dir/out", how) == bytes.size());
  CHECK_ERRC(extract_attachment(world.image(), {"b"}, "dir/other", how), Errc::not_found);
  CHECK(world.files().find("dir/other") == nullptr);
}

}  // namespace
}  // namespace varve::test
