#include "support/shadow_disk.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "support/pattern.h"

namespace varve::test {

ShadowDisk::ShadowDisk(uint64_t size, const ShadowDisk& parent) : bytes_(static_cast<size_t>(size)) {
  std::copy_n(parent.bytes_.begin(), std::min(bytes_.size(), parent.bytes_.size()), bytes_.begin());
}

void ShadowDisk::write(uint64_t offset, ConstBytes data) {
  std::copy(data.begin(), data.end(), bytes_.begin() + static_cast<ptrdiff_t>(offset));
}

void ShadowDisk::zero(uint64_t offset, uint64_t length) {
  std::fill_n(bytes_.begin() + static_cast<ptrdiff_t>(offset), length, std::byte{0});
}

std::optional<uint64_t> ShadowDisk::settle_discard(uint64_t offset, ConstBytes now) {
  static constexpr std::array<std::byte, kPatternBlock> kZeros{};
  for (size_t done = 0; done < now.size(); done += kPatternBlock) {
    const ConstBytes is = now.subspan(done, std::min<size_t>(kPatternBlock, now.size() - done));
    std::byte* const old = &bytes_[static_cast<size_t>(offset) + done];
    if (std::memcmp(is.data(), old, is.size()) == 0) continue;
    if (std::memcmp(is.data(), kZeros.data(), is.size()) != 0) {
      for (size_t i = 0; i < is.size(); ++i)
        if (is[i] != old[i] && is[i] != std::byte{0}) return offset + done + i;
    }
    std::copy(is.begin(), is.end(), old);
  }
  return std::nullopt;
}

std::string ShadowDisk::difference(Image& image) const {
  if (image.size() != size()) return "the size is " + std::to_string(image.size()) + ", should be " + std::to_string(size());
  constexpr uint64_t kStep = 1 << 20;
  std::vector<std::byte> got(static_cast<size_t>(std::min(kStep, size())));
  for (uint64_t offset = 0; offset < size(); offset += kStep) {
    const uint64_t n = std::min(kStep, size() - offset);
    const MutableBytes part = MutableBytes(got).first(static_cast<size_t>(n));
    image.read_at(offset, part);
    if (std::string text = describe_difference(offset, part, bytes(offset, n)); !text.empty()) return text;
  }
  return {};
}

Workload::Range Workload::random_range() {
  static constexpr std::array<uint64_t, 5> kBorders = {512, 4096, 65536, 512 * 1024, 1 << 20};
  const uint64_t size = disk_.size();
  uint64_t offset = rng_.below(size);
  if (rng_.one_in(2)) {
    const uint64_t border = rng_.pick(std::span<const uint64_t>(kBorders));
    offset = offset / border * border;
    if (rng_.one_in(3) && offset > 0) offset -= rng_.between(1, std::min<uint64_t>(offset, 700));
  }
  uint64_t length = rng_.one_in(3) ? rng_.between(1, mix_.max_length) : rng_.between(1, std::min<uint64_t>(5000, mix_.max_length));
  if (rng_.one_in(4)) length = std::max<uint64_t>(512, length / 4096 * 4096);
  offset = offset / mix_.align * mix_.align;
  length = (length + mix_.align - 1) / mix_.align * mix_.align;
  return {offset, std::min(length, size - offset)};
}

std::string Workload::read(Range range) {
  std::vector<std::byte> got(static_cast<size_t>(range.length), std::byte{0xa5});
  image_.read_at(range.offset, got);
  return describe_difference(range.offset, got, disk_.bytes(range.offset, range.length));
}

void Workload::write(Range range) {
  const std::vector<std::byte> data = pattern(range.offset, generation_++, static_cast<size_t>(range.length));
  image_.write_at(range.offset, data);
  disk_.write(range.offset, data);
}

void Workload::zero(Range range) {
  image_.zero(range.offset, range.length);
  disk_.zero(range.offset, range.length);
}

std::string Workload::discard(Range range) {
  image_.discard(range.offset, range.length);
  std::vector<std::byte> now(static_cast<size_t>(range.length));
  image_.read_at(range.offset, now);
  const auto wrong = disk_.settle_discard(range.offset, now);
  return wrong ? "after a discard byte " + std::to_string(*wrong) + " is neither what it was nor zero" : std::string();
}

std::string Workload::step() {
  if (disk_.size() == 0) return {};
  uint64_t choice = rng_.below(mix_.read + mix_.write + mix_.zero + mix_.discard + mix_.flush);
  const Range range = random_range();
  const auto falls_in = [&choice](uint64_t weight) {
    if (choice < weight) return true;
    choice -= weight;
    return false;
  };
  if (falls_in(mix_.read)) return read(range);
  if (falls_in(mix_.write)) return write(range), std::string();
  if (falls_in(mix_.zero)) return zero(range), std::string();
  if (falls_in(mix_.discard)) return discard(range);
  image_.flush();
  return {};
}

std::string Workload::run(uint64_t steps) {
  for (uint64_t i = 0; i < steps; ++i)
    if (std::string wrong = step(); !wrong.empty()) return "step " + std::to_string(i) + ": " + wrong;
  return {};
}

}  // namespace varve::test
