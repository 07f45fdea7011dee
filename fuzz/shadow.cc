#include "shadow.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "target.h"

namespace varve::fuzz {

namespace {

constexpr uint64_t kComparedWhole = 1 << 20;

}  // namespace

Shadow Shadow::of(Image& image) {
  Shadow shadow(image.size());
  std::vector<std::byte> window(kWindow);
  for (uint64_t at = 0; at < shadow.size_; at += kWindow) {
    const MutableBytes out = MutableBytes(window).first(static_cast<size_t>(std::min(kWindow, shadow.size_ - at)));
    if (only_errors([&] { image.read_at(at, out); }) == 0)
      shadow.put(at, out);
    else
      for (uint64_t block = 0; block < out.size(); block += kBlock) shadow.learn_block(image, at + block);
  }
  return shadow;
}

void Shadow::learn_block(Image& image, uint64_t offset) {
  std::array<std::byte, kBlock> bytes{};
  const MutableBytes out = MutableBytes(bytes).first(static_cast<size_t>(std::min(kBlock, size_ - offset)));
  if (only_errors([&] { image.read_at(offset, out); }) == 0)
    put(offset, out);
  else
    forget(offset, out.size());
}

/// The blocks of the range, each with its offset and the part of it that the range covers.
template <typename Visit>
void Shadow::each_part(uint64_t offset, uint64_t length, Visit visit) {
  for (uint64_t at = offset; at < offset + length;) {
    const uint64_t end = std::min(offset + length, (at / kBlock + 1) * kBlock);
    Block& block = blocks_[at / kBlock];
    visit(block, at, MutableBytes(block.bytes).subspan(static_cast<size_t>(at % kBlock), static_cast<size_t>(end - at)));
    at = end;
  }
}

void Shadow::put(uint64_t offset, ConstBytes data) {
  each_part(offset, data.size(), [&](Block&, uint64_t at, MutableBytes part) {
    std::copy_n(data.begin() + static_cast<std::ptrdiff_t>(at - offset), part.size(), part.begin());
  });
}

void Shadow::put_zeros(uint64_t offset, uint64_t length) {
  each_part(offset, length, [](Block&, uint64_t, MutableBytes part) { std::fill(part.begin(), part.end(), std::byte{0}); });
}

void Shadow::forget(uint64_t offset, uint64_t length) {
  each_part(offset, length, [](Block& block, uint64_t, MutableBytes) { block.known = false; });
}

void Shadow::resize(uint64_t size) {
  blocks_.erase(blocks_.lower_bound((size + kBlock - 1) / kBlock), blocks_.end());
  const uint64_t old = std::exchange(size_, size);
  if (size > old) put_zeros(old, std::min(size - old, kWindow));
}

void Shadow::compare(Image& image, const std::string& when) const {
  require(image.size() == size_, "another size " + when);
  if (size_ <= kComparedWhole) {
    for (uint64_t at = 0; at < size_; at += kWindow) compare_window(image, at, when);
    return;
  }
  for (auto next = blocks_.begin(); next != blocks_.end();) {
    const uint64_t window = next->first * kBlock / kWindow * kWindow;
    compare_window(image, window, when);
    next = blocks_.lower_bound((window + kWindow) / kBlock);
  }
}

void Shadow::compare_window(Image& image, uint64_t offset, const std::string& when) const {
  std::vector<std::byte> window(static_cast<size_t>(std::min(kWindow, size_ - offset)));
  const bool whole = only_errors([&] { image.read_at(offset, window); }) == 0;
  auto said = blocks_.lower_bound(offset / kBlock);
  for (uint64_t at = 0; at < window.size(); at += kBlock) {
    static const Block kZeros;
    const bool untouched = said == blocks_.end() || said->first != (offset + at) / kBlock;
    const Block& wanted = untouched ? kZeros : (said++)->second;
    if (!wanted.known) continue;
    const MutableBytes got = MutableBytes(window).subspan(at, std::min<size_t>(kBlock, window.size() - at));
    if (!whole) require(only_errors([&] { image.read_at(offset + at, got); }) == 0, "unreadable " + when);
    if (!same_bytes(got, ConstBytes(wanted.bytes).first(got.size())))
      require(false, "the block at byte " + std::to_string(offset + at) + " changed " + when);
  }
}

}  // namespace varve::fuzz
