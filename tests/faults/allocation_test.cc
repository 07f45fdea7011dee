// Memory runs out: in each of 20 scripts every allocation fails once. bad_alloc or an Error reaches the caller, nothing leaks, and what
// was on disk is sound afterwards.
#include <cstdio>
#include <new>

#include "image/probe.h"
#include "support/heap.h"
#include "support/image_kit.h"
#include "support/pattern.h"
#include "support/test.h"
#include "vmdk/descriptor.h"

namespace varve::test {
namespace {

constexpr uint64_t kSize = (1 << 20) + 3 * 512;

/// Images of each kind, made once; each attempt works on a copy of the files.
struct Shelf {
  Shelf();
  std::vector<std::pair<std::string, std::vector<std::byte>>> files;
};

Shelf::Shelf() {
  MemoryFileSystem made;
  made.add("dir/a.raw", pattern(0, 4, kSize));
  made.find("dir/a.raw")->punch_hole(400000, 300000);
  const auto to = [&](const std::string& path, const OptionMap& options) {
    ConvertOptions how;
    how.source_format = "raw";
    how.target_format = "vmdk";
    how.open.file_system = &made;
    how.create.file_system = &made;
    how.create.options = options;
    how.copy.threads = 1;
    convert("dir/a.raw", path, how);
  };
  to("dir/sparse.vmdk", {{"subformat", "monolithicSparse"}});
  to("dir/flat.vmdk", {{"subformat", "monolithicFlat"}});
  to("dir/split.vmdk", {{"subformat", "twoGbMaxExtentSparse"}});
  to("dir/stream.vmdk", {{"subformat", "streamOptimized"}});
  CreateOptions child;
  child.file_system = &made;
  child.parent = "sparse.vmdk";
  child.options = {{"zeroed_grain", "on"}};
  Image::create("dir/delta.vmdk", "vmdk", std::nullopt, child).close();
  for (const std::string& path : made.paths()) files.emplace_back(path, made.find(path)->contents());
}

const Shelf& shelf() {
  static const Shelf all;
  return all;
}

struct World {
  World() {
    for (const auto& [path, bytes] : shelf().files) files.add(path, bytes);
  }
  Image open(const std::string& name, Access access = Access::read_only) {
    OpenOptions how;
    how.access = access;
    how.format = name == "a.raw" ? "raw" : "vmdk";
    how.file_system = &files;
    return Image::open("dir/" + name, how);
  }
  void convert_to(const std::string& from, const std::string& format, const OptionMap& options = {}, unsigned threads = 1) {
    ConvertOptions how;
    how.source_format = from == "a.raw" ? "raw" : "vmdk";
    how.target_format = format;
    how.open.file_system = &files;
    how.create.file_system = &files;
    how.create.options = options;
    how.copy.threads = threads;
    convert("dir/" + from, "dir/new", how);
  }
  MemoryFileSystem files;
};

struct Script {
  std::string name;
  std::function<void(World&)> run;
};

void read_all(World& world, const std::string& name) {
  Image image = world.open(name);
  std::vector<std::byte> out(70000);
  for (uint64_t at = 0; at + out.size() < image.size(); at += out.size()) image.read_at(at, out);
}

void change(World& world, const std::string& name) {
  Image image = world.open(name, Access::read_write);
  image.write_at(500000, pattern(500000, 9, 3000));
  image.zero(100000, 200000);
  image.flush();
  image.discard(0, 131072);
  image.write_at(70000, pattern(70000, 10, 1000));
  image.close();
}

void check_all(World& world, const std::string& name) {
  Image image = world.open(name);
  CheckOptions how;
  how.data = true;
  image.check(how);
}

const std::vector<Script>& scripts() {
  static const std::vector<Script> all = {
      {"open raw", [](World& w) { w.open("a.raw").info(); }},
      {"open sparse", [](World& w) { w.open("sparse.vmdk").info(); }},
      {"open flat", [](World& w) { w.open("flat.vmdk").info(); }},
      {"open split", [](World& w) { w.open("split.vmdk").info(); }},
      {"open stream", [](World& w) { w.open("stream.vmdk").info(); }},
      {"open delta", [](World& w) { w.open("delta.vmdk").chain(); }},
      {"read sparse", [](World& w) { read_all(w, "sparse.vmdk"); }},
      {"read stream", [](World& w) { read_all(w, "stream.vmdk"); }},
      {"read delta", [](World& w) { read_all(w, "delta.vmdk"); }},
      {"write raw", [](World& w) { change(w, "a.raw"); }},
      {"write sparse", [](World& w) { change(w, "sparse.vmdk"); }},
      {"write split", [](World& w) { change(w, "split.vmdk"); }},
      {"write flat", [](World& w) { change(w, "flat.vmdk"); }},
      {"write delta", [](World& w) { change(w, "delta.vmdk"); }},
      {"check sparse", [](World& w) { check_all(w, "sparse.vmdk"); }},
      {"check stream", [](World& w) { check_all(w, "stream.vmdk"); }},
      {"create sparse", [](World& w) { create_image(w.files, "dir/new", "vmdk", kSize); }},
      {"create split flat",
       [](World& w) {
         create_image(w.files, "dir/new", "vmdk", kSize, {{"subformat", "twoGbMaxExtentFlat"}});
       }},
      {"convert to stream",
       [](World& w) {
         w.convert_to("a.raw", "vmdk", {{"subformat", "streamOptimized"}});
       }},
      {"convert to sparse", [](World& w) { w.convert_to("stream.vmdk", "vmdk"); }},
      {"convert to raw", [](World& w) { w.convert_to("delta.vmdk", "raw"); }},
      {"convert by threads",
       [](World& w) {
         w.convert_to("sparse.vmdk", "vmdk", {{"subformat", "streamOptimized"}}, 3);
       }},
      {"compare",
       [](World& w) {
         Image a = w.open("a.raw");
         Image b = w.open("stream.vmdk");
         compare(a, b);
       }},
      {"map",
       [](World& w) {
         Image image = w.open("sparse.vmdk");
         map(image, [](const Extent&) {});
       }},
      {"grow",
       [](World& w) {
         Image image = w.open("sparse.vmdk", Access::read_write);
         image.resize(kSize + (8 << 20));
         image.close();
       }},
      {"probe", [](World& w) { detect_format(*w.files.find("dir/sparse.vmdk")); }},
      {"options", [](World&) { parse_options("subformat=monolithicSparse,grain_size=64K,a=b,,c"); }},
  };
  return all;
}

/// Runs the script with allocation `k` failing; returns how many allocations there were, and whether one failed.
std::pair<uint64_t, bool> attempt(const Script& script, World& world, uint64_t k) {
  const FailAllocation failing(k);
  try {
    script.run(world);
  } catch (const std::bad_alloc&) {
  } catch (const Error&) {
  }
  return {failing.count(), failing.failed()};
}

void expect_sound(World& world) {
  for (const auto& [path, bytes] : shelf().files) {
    const std::string name = path.substr(4);
    if (name.find("flat.vmdk") != std::string::npos && name != "flat.vmdk") continue;  // the data of a flat extent
    if (name.find("-s0") != std::string::npos) continue;
    OpenOptions how;
    how.format = name == "a.raw" ? "raw" : "vmdk";
    how.ignore_parent = true;  // a script that wrote to the parent has made it another one
    how.file_system = &world.files;
    Image image = Image::open(path, how);
    CHECK(damages(image) == "");
  }
}

TEST_CASE("every allocation of 20 scripts fails once: the error is reported, nothing leaks, and the images stay sound") {
  uint64_t injected = 0;
  shelf();
  for (const Script& script : scripts()) {
    {
      World warm;
      attempt(script, warm, 0);  // what is made once for the whole program
    }
    World dry;
    const uint64_t total = attempt(script, dry, 0).first;
    const uint64_t most = scaled(500);
    const uint64_t step = std::max<uint64_t>(1, total / most);
    for (uint64_t k = 1; k <= total; k += step) {
      INFO(script.name << ", allocation " << k << " of " << total);
      const uint64_t before = heap_in_use();
      {
        World world;
        if (attempt(script, world, k).second) ++injected;
        expect_sound(world);
        if (world.files.find("dir/new") != nullptr) {
          OpenOptions how;
          how.file_system = &world.files;
          Image made = Image::open("dir/new", how);
          CHECK(damages(made) == "");
        }
      }
      CHECK(heap_in_use() == before);
    }
  }
  std::printf("failed allocations: %llu in %zu scripts\n", static_cast<unsigned long long>(injected), scripts().size());
  CHECK(injected >= scaled(2000));
}

}  // namespace
}  // namespace varve::test
