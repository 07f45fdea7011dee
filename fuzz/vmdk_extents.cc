// A descriptor of any text, each of whose files holds the same bytes of any kind: extents of every type, beside each other and in each
// other's way, are read, checked and written to.
#include <algorithm>

#include "data_producer.h"
#include "io/memory_file_system.h"
#include "script.h"
#include "seeds.h"
#include "shadow.h"
#include "target.h"
#include "vmdk/descriptor.h"

namespace varve::fuzz {

const char* const kTargetName = "vmdk_extents";

namespace {

constexpr const char* kDisk = "dir/disk.vmdk";
constexpr uint64_t kMaxDisk = 4 << 20;
constexpr size_t kMaxFiles = 8;
constexpr uint64_t kMaxSteps = 8;

bool is_plain(const std::string& name) { return !name.empty() && name.find('/') == std::string::npos && name != "disk.vmdk"; }

/// The descriptor in two sectors, then what each file holds.
void lay_out(MemoryFileSystem& files, ConstBytes bytes) {
  const ConstBytes text = bytes.first(std::min(bytes.size(), kExtentsTextBytes));
  const ConstBytes rest = bytes.subspan(text.size());
  files.add(kDisk, text);
  only_errors([&] {
    const vmdk::Descriptor descriptor = vmdk::Descriptor::parse(text, Limits{});
    for (const vmdk::ExtentLine& line : descriptor.extents())
      if (is_plain(line.name) && files.paths().size() <= kMaxFiles) files.add("dir/" + descriptor.to_utf8(line.name), rest);
  });
}

Image open(MemoryFileSystem& files, Access access) {
  OpenOptions how;
  how.access = access;
  how.format = "vmdk";
  how.limits = tight_limits();
  how.ignore_parent = true;
  how.file_system = &files;
  return Image::open(kDisk, how);
}

}  // namespace

void run(std::span<const uint8_t> input) {
  DataProducer script(input.last(std::min<size_t>(input.size(), 1 + kMaxSteps * kStepBytes)));
  const ConstBytes bytes = std::as_bytes(input.first(input.size() - script.rest().size()));
  MemoryFileSystem files;
  lay_out(files, bytes);
  only_errors([&] {
    Image image = open(files, Access::read_only);
    read_everything(image);
  });
  only_errors([&] {
    Image image = open(files, Access::read_write);
    if (image.size() == 0 || image.size() > kMaxDisk) return;
    const ScriptBounds bounds{.largest = 2 * kMaxDisk, .sound = is_sound(image)};
    Shadow shadow = Shadow::of(image);
    for (uint64_t i = script.byte() % (kMaxSteps + 1); i > 0 && run_step(image, shadow, script, bounds); --i) continue;
    image.close();
    Image again = open(files, Access::read_only);
    shadow.compare(again, "after reopening");
  });
}

}  // namespace varve::fuzz
