// Rebase and commit, for every format that has parents: contents stay, whatever the new parent holds and whenever the work ends.
#include "conformance/conformance.h"
#include "support/pattern.h"

namespace varve::test {
namespace {

/// Longer than what a VMDK's descriptor has room for in the place of the first parent's name.
const std::string kOtherName = std::string(150, 'x') + ".img";
const std::string kOther = "dir/" + kOtherName;

/// A delta with a model, and another possible parent of it.
class Family {
 public:
  explicit Family(const ImageConfig& config) : disk(config), rng_("family " + config.name) {
    Image image = disk.open();
    Workload work(image, disk.model(), rng_);
    problem = work.run(60);
    image.close();
    make_other();
  }

  RebaseOptions rebase_options(const std::string& parent) {
    RebaseOptions how;
    how.parent = parent;
    if (parent != kOtherName) how.parent_format = disk.config().parent_format;
    how.open = disk.open_options();
    return how;
  }
  CommitOptions commit_options() {
    CommitOptions how;
    how.open = disk.open_options();
    return how;
  }
  std::string difference() {
    Image image = disk.open(Access::read_only);
    const std::string damage = damages(image);
    return damage.empty() ? disk.model().difference(image) : damage;
  }
  /// Of the file that a child would lie over.
  Image open_parent(const std::string& path) {
    OpenOptions how = disk.open_options(Access::read_only);
    if (!disk.config().parent_format.empty()) how.format = disk.config().parent_format;
    return Image::open(path, how);
  }

  TestDisk disk;
  std::string problem;

 private:
  void make_other() {
    const uint64_t size = (5u << 19) + 4096;
    OptionMap options;
    if (disk.config().sector != 512) options["logical_sector_size"] = std::to_string(disk.config().sector);
    create_image(disk.files(), kOther, disk.config().format, size, options);
    OpenOptions how = disk.open_options();
    Image image = Image::open(kOther, how);
    ShadowDisk model(size);
    Workload work(image, model, rng_);
    if (const std::string bad = work.run(60); !bad.empty()) problem = bad;
    image.write_at(100000, pattern(100000, 5, 300000));
    image.close();
  }

  Rng rng_;
};

bool has_children(const ImageConfig& config) { return config.parent_size.has_value(); }

CONFORMANCE_CASE("rebase onto another parent keeps every byte, and again onto none, and back") {
  if (!has_children(config)) return;
  Family family(config);
  REQUIRE(family.problem.empty());
  REQUIRE(family.difference() == "");
  CHECK(rebase(TestDisk::kPath, family.rebase_options(kOtherName)).virtual_size == config.size);
  CHECK(family.disk.open(Access::read_only).info().parent->name == kOtherName);
  CHECK(family.difference() == "");
  rebase(TestDisk::kPath, family.rebase_options(""));
  CHECK(!family.disk.open(Access::read_only).info().parent);
  CHECK(family.difference() == "");
  rebase(TestDisk::kPath, family.rebase_options("base.img"));
  CHECK(family.disk.open(Access::read_only).info().parent->name == "base.img");
  CHECK(family.difference() == "");
  // And it can be written to as before.
  Image image = family.disk.open();
  Rng rng("rebased " + config.name);
  CHECK(Workload(image, family.disk.model(), rng).run(40) == "");
  image.close();
  CHECK(family.difference() == "");
}

CONFORMANCE_CASE("rebase onto a copy of the parent writes nothing; unsafe changes the reference alone") {
  if (!has_children(config)) return;
  Family family(config);
  family.disk.files().add("dir/copy.img", family.disk.files().find(TestDisk::kParentPath)->contents());
  CHECK(rebase(TestDisk::kPath, family.rebase_options("copy.img")).written_bytes == 0);
  CHECK(family.difference() == "");
  family.disk.files().remove("dir/copy.img");
  family.disk.files().add("dir/new.img", family.disk.files().find(TestDisk::kParentPath)->contents());
  CHECK_THROWS_AS(rebase(TestDisk::kPath, family.rebase_options("new.img")), Error);  // the old one is gone
  RebaseOptions unsafe = family.rebase_options("new.img");
  unsafe.unsafe = true;
  CHECK(rebase(TestDisk::kPath, unsafe).written_bytes == 0);
  CHECK(family.difference() == "");
}

CONFORMANCE_CASE("one parent after the other, with names of any length") {
  if (!has_children(config)) return;
  Family family(config);
  const std::vector<std::byte> parent = family.disk.files().find(TestDisk::kParentPath)->contents();
  for (const size_t length : {20, 60, 100, 30, 180, 181, 1, 120}) {
    INFO(length);
    const std::string name = std::string(length, 'n') + ".img";
    family.disk.files().add("dir/" + name, parent);
    CHECK(rebase(TestDisk::kPath, family.rebase_options(name)).written_bytes == 0);
    CHECK(family.disk.open(Access::read_only).info().parent->name == name);
    CHECK(family.difference() == "");
  }
  rebase(TestDisk::kPath, family.rebase_options(""));
  CHECK(family.difference() == "");
}

CONFORMANCE_CASE("a rebase that is cancelled or can't be leaves the image as it was") {
  if (!has_children(config)) return;
  Family family(config);
  const auto before = family.disk.snapshot();
  const auto refused = [&](const std::string& parent, Errc code) {
    INFO(parent);
    try {
      rebase(TestDisk::kPath, family.rebase_options(parent));
      FAIL("done");
    } catch (const Error& error) {
      CHECK(error.code() == code);
    }
    CHECK(family.disk.snapshot() == before);
  };
  refused("missing.img", Errc::not_found);
  RebaseOptions cancelled = family.rebase_options(kOtherName);
  CancelToken token;
  cancelled.cancel = &token;
  cancelled.progress = [&](uint64_t, uint64_t) { token.cancel(); };
  CHECK_THROWS_AS(rebase(TestDisk::kPath, cancelled), Error);
  CHECK(family.disk.open(Access::read_only).info().parent->name == "base.img");
  CHECK(family.difference() == "");
}

CONFORMANCE_CASE("commit makes the parent read as its child, which stays valid and can be committed again") {
  if (!has_children(config)) return;
  Family family(config);
  REQUIRE(family.problem.empty());
  const CommitReport report = commit(TestDisk::kPath, family.commit_options());
  CHECK(report.virtual_size == config.size);
  CHECK(report.data_bytes > 0);
  CHECK(family.difference() == "");
  {
    Image parent = family.open_parent(TestDisk::kParentPath);
    CHECK(parent.size() == std::max(config.size, *config.parent_size));
    CHECK(family.disk.model().difference(parent) == "");
    CHECK(damages(parent) == "");
  }
  Image image = family.disk.open();
  Rng rng("committed " + config.name);
  CHECK(Workload(image, family.disk.model(), rng).run(40) == "");
  image.close();
  commit(TestDisk::kPath, family.commit_options());
  CHECK(family.difference() == "");
  Image parent = family.open_parent(TestDisk::kParentPath);
  CHECK(family.disk.model().difference(parent) == "");
}

CONFORMANCE_CASE("a commit that is cancelled leaves a child that reads as before, and another run ends it") {
  if (!has_children(config)) return;
  Family family(config);
  CommitOptions cancelled = family.commit_options();
  CancelToken token;
  cancelled.cancel = &token;
  cancelled.progress = [&](uint64_t, uint64_t) { token.cancel(); };
  CHECK_THROWS_AS(commit(TestDisk::kPath, cancelled), Error);
  CHECK(family.difference() == "");
  commit(TestDisk::kPath, family.commit_options());
  CHECK(family.difference() == "");
  Image parent = family.open_parent(TestDisk::kParentPath);
  CHECK(family.disk.model().difference(parent) == "");
}

CONFORMANCE_CASE("other children of a parent that was committed to are refused, and so is a commit to a wrong parent") {
  if (!has_children(config) || config.parent_format == "raw") return;  // a raw disk has no identity
  Family family(config);
  CreateOptions how = family.disk.create_options();
  Image::create("dir/sibling.img", config.format, config.size, how).close();
  commit(TestDisk::kPath, family.commit_options());
  CHECK_THROWS_AS(Image::open("dir/sibling.img", family.disk.open_options(Access::read_only)), Error);
  CommitOptions sibling = family.commit_options();
  const auto before = family.disk.snapshot();
  CHECK_THROWS_AS(commit("dir/sibling.img", sibling), Error);
  CHECK_THROWS_AS(commit(TestDisk::kParentPath, sibling), Error);  // has no parent
  CHECK(family.disk.snapshot() == before);
}

}  // namespace
}  // namespace varve::test
