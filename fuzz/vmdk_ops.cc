// A VMDK of any bytes and a script of operations, against a shadow disk: what can be read at first stays as it is unless it is
// written, what is written reads back also after reopening, and an image that was sound before is sound afterwards.
#include <algorithm>
#include <array>
#include <cstring>

#include "data_producer.h"
#include "target.h"

namespace varve::fuzz {

const char* const kTargetName = "vmdk_ops";

namespace {

constexpr uint64_t kMaxDisk = 8 << 20;
constexpr uint64_t kBlock = 512;

/// Blocks whose contents are not known (they could not be read) are not compared.
class Shadow {
 public:
  explicit Shadow(Image& image) : bytes_(static_cast<size_t>(image.size())), known_(static_cast<size_t>(image.size() / kBlock + 1), true) {
    each_block(0, bytes_.size(), [&](size_t block, MutableBytes part) {
      if (only_errors([&] { image.read_at(block * kBlock, part); }) != 0) known_[block] = false;
    });
  }
  uint64_t size() const { return bytes_.size(); }
  void forget(uint64_t offset, uint64_t length) {
    each_block(offset, length, [&](size_t block, MutableBytes) { known_[block] = false; });
  }
  void put(uint64_t offset, ConstBytes data) { std::copy(data.begin(), data.end(), bytes_.begin() + static_cast<ptrdiff_t>(offset)); }
  void put_zeros(uint64_t offset, uint64_t length) { std::fill_n(bytes_.begin() + static_cast<ptrdiff_t>(offset), length, std::byte{0}); }
  void compare(Image& image, const char* when) {
    std::array<std::byte, kBlock> got{};
    each_block(0, bytes_.size(), [&](size_t block, MutableBytes part) {
      if (!known_[block]) return;
      require(only_errors([&] { image.read_at(block * kBlock, MutableBytes(got).first(part.size())); }) == 0,
              std::string("unreadable ") + when);
      require(std::memcmp(got.data(), part.data(), part.size()) == 0, "block " + std::to_string(block) + " changed " + when);
    });
  }

 private:
  template <typename Visit>
  void each_block(uint64_t offset, uint64_t length, Visit visit) {
    for (uint64_t at = offset / kBlock * kBlock; at < offset + length; at += kBlock)
      visit(static_cast<size_t>(at / kBlock),
            MutableBytes(bytes_).subspan(static_cast<size_t>(at), std::min<size_t>(kBlock, bytes_.size() - at)));
  }
  std::vector<std::byte> bytes_;
  std::vector<bool> known_;
};

/// False once the image takes no more writes.
bool step(Image& image, Shadow& shadow, DataProducer& script) {
  const uint8_t kind = script.byte();
  const uint64_t offset = script.between(0, shadow.size() - 1);
  const uint64_t length = std::min<uint64_t>(shadow.size() - offset, script.between(1, kind % 3 == 0 ? 100000 : 2000));
  std::vector<std::byte> data(static_cast<size_t>(length), std::byte{static_cast<uint8_t>(kind | 1)});
  int code = 0;
  switch (kind % 5) {
    case 0:
    case 1:
      code = only_errors([&] { image.write_at(offset, data); });
      shadow.put(offset, data);
      break;
    case 2:
      code = only_errors([&] { image.zero(offset, length); });
      shadow.put_zeros(offset, length);
      break;
    case 3:
      code = only_errors([&] { image.discard(offset, length); });
      shadow.forget(offset, length);
      break;
    default: return only_errors([&] { image.flush(); }) == 0;
  }
  if (code != 0) shadow.forget(offset, length);
  return true;
}

bool sound(Image& image) {
  bool result = false;
  only_errors([&] { result = image.check({}).damages == 0; });
  return result;
}

}  // namespace

void run(std::span<const uint8_t> input) {
  DataProducer script(input);
  const uint64_t steps = script.between(0, 40);
  std::span<const uint8_t> image_bytes = input.first(input.size() - std::min<size_t>(input.size(), 1 + steps * 6));
  const MemoryImage file(std::as_bytes(image_bytes));
  only_errors([&] {
    Image image = file.open(Access::read_write);
    if (image.size() == 0 || image.size() > kMaxDisk) return;
    const bool sound_before = sound(image);
    Shadow shadow(image);
    for (uint64_t i = 0; i < steps && step(image, shadow, script); ++i) continue;
    shadow.compare(image, "in the open image");
    if (only_errors([&] { image.close(); }) != 0) return;
    Image again = file.open(Access::read_only);
    shadow.compare(again, "after reopening");
    require(!sound_before || sound(again), "a sound image is damaged after writing");
    read_everything(again);
  });
}

}  // namespace varve::fuzz
