// A VHDX of any bytes and a script of operations, against a shadow disk: what can be read at first stays as it is unless it is written,
// what is written reads back also after reopening and in a copy of the file whose log was never closed, and an image that was sound before
// is sound afterwards.
#include "data_producer.h"
#include "script.h"
#include "shadow.h"
#include "sparse_input.h"
#include "target.h"
#include "vhdx_seeds.h"

namespace varve::fuzz {

const char* const kTargetName = "vhdx_ops";

namespace {

constexpr uint64_t kMaxDisk = 4 << 20;
constexpr uint64_t kMaxSteps = 24;

/// As if the program had been killed: the file as it is, with what its log holds.
void compare_killed(const MemoryImage& file, const Shadow& shadow) {
  const MemoryImage killed = file.with(copy_of(*file.storage()));
  Image image = killed.open(Access::read_only);
  shadow.compare(image, "in a file that was left open");
}

}  // namespace

void run(std::span<const uint8_t> input) {
  const SparseInput parts(input);
  DataProducer script(parts.tail);
  const bool over_parent = script.boolean();
  MemoryImage file(parts.file, "vhdx", tight_limits(script.byte()));
  const uint64_t steps = script.byte() % (kMaxSteps + 1);
  MemoryFileSystem files;
  if (over_parent) {
    add_vhdx_parent(files);
    file.use_parent(files, kVhdxParent);
  }
  only_errors([&] {
    Image image = file.open(Access::read_write);
    if (image.size() > kMaxDisk) return;
    const ScriptBounds bounds{.largest = 2 * kMaxDisk, .sound = is_sound(image)};
    Shadow shadow = Shadow::of(image);
    bool goes_on = true;
    for (uint64_t i = 0; i < steps && goes_on; ++i) goes_on = run_step(image, shadow, script, bounds);
    shadow.compare(image, "in the open image");
    if (goes_on && only_errors([&] { image.flush(); }) == 0) compare_killed(file, shadow);
    if (only_errors([&] { image.close(); }) != 0) return;
    Image again = file.open(Access::read_only);
    shadow.compare(again, "after reopening");
    require(!bounds.sound || is_sound(again), "a sound image is damaged after writing");
    read_everything(again);
  });
}

}  // namespace varve::fuzz
