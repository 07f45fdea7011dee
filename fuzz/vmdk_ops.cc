// A VMDK of any bytes and a script of operations, against a shadow disk: what can be read at first stays as it is unless it is
// written, what is written reads back also after reopening, what is added by growing is zeros, and an image that was sound before is sound
// afterwards.
#include <algorithm>

#include "data_producer.h"
#include "script.h"
#include "shadow.h"
#include "target.h"

namespace varve::fuzz {

const char* const kTargetName = "vmdk_ops";

namespace {

constexpr uint64_t kMaxDisk = 4 << 20;
constexpr uint64_t kMaxSteps = 40;

}  // namespace

void run(std::span<const uint8_t> input) {
  const uint64_t steps = input.empty() ? 0 : input.back() % (kMaxSteps + 1);
  const size_t tail = std::min<size_t>(input.size(), 2 + steps * kStepBytes);
  DataProducer script(input.last(tail));
  script.byte();
  const MemoryImage file(std::as_bytes(input.first(input.size() - tail)), tight_limits(script.byte()));
  only_errors([&] {
    Image image = file.open(Access::read_write);
    if (image.size() == 0 || image.size() > kMaxDisk) return;
    const ScriptBounds bounds{.largest = 2 * kMaxDisk, .sound = is_sound(image)};
    Shadow shadow = Shadow::of(image);
    for (uint64_t i = 0; i < steps && run_step(image, shadow, script, bounds); ++i) continue;
    shadow.compare(image, "in the open image");
    if (only_errors([&] { image.close(); }) != 0) return;
    Image again = file.open(Access::read_only);
    shadow.compare(again, "after reopening");
    require(!bounds.sound || is_sound(again), "a sound image is damaged after writing");
    read_everything(again);
  });
}

}  // namespace varve::fuzz
