// Images of several files, made by our writers: children of parents, split and flat ones, up to the border of a second extent and beyond. A
// script of operations runs against a shadow disk. In some a few numbers of the files are changed first: then what could be read stays.
#include <algorithm>
#include <array>

#include "base/endian.h"
#include "data_producer.h"
#include "io/memory_file_system.h"
#include "script.h"
#include "shadow.h"
#include "target.h"

namespace varve::fuzz {

const char* const kTargetName = "vmdk_files";

namespace {

constexpr const char* kParent = "dir/base.vmdk";
constexpr const char* kDisk = "dir/disk.vmdk";
constexpr uint64_t kSplit = uint64_t{2047} << 20;  // a twoGb extent
constexpr uint64_t kMaxSteps = 32;
constexpr uint64_t kMaxLearned = 8 << 20;

/// Some bytes, or some bytes beyond one or two whole extents of a split disk, or short of that.
uint64_t size_of(DataProducer& numbers, bool split) {
  const uint64_t small = numbers.between(1, 1024) * 512;
  const uint64_t extents = split ? numbers.between(0, 2) : 0;
  return numbers.boolean() || extents == 0 ? extents * kSplit + small : extents * kSplit - small;
}

class World {
 public:
  explicit World(DataProducer& numbers) : numbers_(numbers) {
    constexpr std::array kSubformats = {"monolithicSparse", "twoGbMaxExtentSparse", "monolithicFlat", "twoGbMaxExtentFlat", "vmfs"};
    subformat_ = kSubformats[numbers.byte() % kSubformats.size()];
    sparse_ = subformat_.ends_with("Sparse");
    size_ = size_of(numbers, subformat_.starts_with("two"));
    child_ = sparse_ && numbers.boolean();
  }

  /// What the disk holds then.
  Shadow create() {
    Shadow shadow(size_);
    CreateOptions how;
    how.file_system = &files_;
    how.options["subformat"] = subformat_;
    if (child_) {
      create_parent(shadow);
      how.parent = "base.vmdk";
    }
    if (sparse_) how.options["zeroed_grain"] = numbers_.boolean() ? "on" : "off";
    if (sparse_) how.options["grain_size"] = std::to_string(4096 << numbers_.between(0, 8));
    Image::create(kDisk, "vmdk", size_, how).close();
    return shadow;
  }

  /// Changes numbers at the start of any file but the parent's. True if one was changed.
  bool damage() {
    std::vector<std::string> paths = files_.paths();
    std::erase(paths, kParent);
    const uint64_t count = numbers_.byte() % 4 == 0 ? numbers_.between(1, 4) : 0;
    for (uint64_t i = 0; i < count; ++i) {
      const auto file = files_.find(paths[numbers_.byte() % paths.size()]);
      const uint64_t value = numbers_.boolean() ? numbers_.byte() : numbers_.number(4);
      const uint64_t at = numbers_.between(0, std::min<uint64_t>(file->size() - 1, 600 << 10));
      file->write_at(at, bytes_of(le32(static_cast<uint32_t>(value))).first(std::min<uint64_t>(4, file->size() - at)));
    }
    return count != 0;
  }

  Image open(Access access = Access::read_write) {
    OpenOptions how;
    how.format = "vmdk";
    how.file_system = &files_;
    how.access = access;
    return Image::open(kDisk, how);
  }

  std::vector<std::byte> parent_bytes() const { return child_ ? files_.find(kParent)->contents() : std::vector<std::byte>(); }
  uint64_t largest() const { return size_ + (8 << 20); }

 private:
  /// As long as the child, or longer, or shorter.
  void create_parent(Shadow& shadow) {
    const uint64_t size = numbers_.boolean() ? size_ : numbers_.between(1, 1024) * 512;
    CreateOptions how;
    how.file_system = &files_;
    Image parent = Image::create(kParent, "vmdk", size, how);
    for (uint64_t writes = numbers_.byte() % 6; writes > 0; --writes) {
      const uint64_t offset = numbers_.between(0, size - 1);
      const std::vector<std::byte> data(static_cast<size_t>(std::min<uint64_t>(size - offset, numbers_.between(1, 100000))),
                                        std::byte{0xaa});
      parent.write_at(offset, data);
      if (offset < size_) shadow.put(offset, ConstBytes(data).first(static_cast<size_t>(std::min<uint64_t>(data.size(), size_ - offset))));
    }
    parent.close();
  }

  DataProducer& numbers_;
  MemoryFileSystem files_;
  std::string subformat_;
  bool sparse_ = false;
  bool child_ = false;
  uint64_t size_ = 0;
};

/// Opens the disk, does a part of the script, and closes it. False if there is no going on.
bool session(World& world, Shadow& shadow, DataProducer& script, const ScriptBounds& bounds) {
  bool goes_on = false;
  const int code = only_errors([&] {
    Image image = world.open();
    goes_on = true;
    for (uint64_t i = script.byte() % kMaxSteps; i > 0 && goes_on; --i) goes_on = run_step(image, shadow, script, bounds);
    shadow.compare(image, "in the open image");
    image.close();
  });
  require(!bounds.sound || !structural(code), "a sound image can't be opened or closed");
  return goes_on && code == 0;
}

}  // namespace

void run(std::span<const uint8_t> input) {
  DataProducer numbers(input);
  World world(numbers);
  Shadow shadow = world.create();
  const std::vector<std::byte> parent = world.parent_bytes();
  ScriptBounds bounds{.largest = world.largest(), .sound = true};
  if (world.damage()) {
    bool opens = false;
    only_errors([&] {
      Image image = world.open();
      opens = image.size() > 0 && image.size() <= kMaxLearned;
      bounds.sound = is_sound(image);
      if (opens) shadow = Shadow::of(image);
    });
    if (!opens) return;
  }
  for (uint64_t sessions = numbers.between(1, 3); sessions > 0 && session(world, shadow, numbers, bounds); --sessions) continue;
  only_errors([&] {
    Image image = world.open(Access::read_only);
    shadow.compare(image, "after the last session");
    require(!bounds.sound || is_sound(image), "a sound image is damaged after writing");
  });
  require(same_bytes(world.parent_bytes(), parent), "the parent changed");
}

}  // namespace varve::fuzz
