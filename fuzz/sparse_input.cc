#include "sparse_input.h"

#include <algorithm>

#include "base/checked_math.h"
#include "base/endian.h"
#include "base/zero.h"

namespace varve::fuzz {

namespace {

constexpr uint64_t kSector = 512;
constexpr uint64_t kWindow = 32 << 10;  // the longest record
constexpr uint32_t kEnd = UINT32_MAX;

struct RecordHead {
  le32 place;
  le16 length;
};
static_assert(sizeof(RecordHead) == 6);

class Packer {
 public:
  explicit Packer(Storage& file) : file_(file) {}

  std::vector<uint8_t> pack() {
    const uint64_t size = file_.size();
    for (uint64_t offset = 0; offset < size;) {
      const StorageExtent run = file_.extent_at(offset);
      if (!run.hole) pack_run(offset, run.length);
      offset += run.length;
    }
    add_end(size);
    add(kEnd, {});
    return std::move(packed_);
  }

 private:
  void pack_run(uint64_t offset, uint64_t length) {
    std::vector<std::byte> window(std::min(length, kWindow));
    for (uint64_t done = 0; done < length; done += window.size()) {
      const MutableBytes bytes = MutableBytes(window).first(std::min<uint64_t>(window.size(), length - done));
      file_.read_at(offset + done, bytes);
      pack_window(offset + done, bytes);
    }
  }

  /// Runs of sectors in which something stands, without the zeros at their end.
  void pack_window(uint64_t offset, ConstBytes bytes) {
    const auto sector_at = [&](uint64_t at) { return bytes.subspan(at, std::min(kSector, bytes.size() - at)); };
    for (uint64_t at = 0; at < bytes.size();) {
      uint64_t end = at;
      while (end < bytes.size() && !is_zero(sector_at(end))) end += sector_at(end).size();
      uint64_t used = end;
      while (used > at && bytes[used - 1] == std::byte{0}) --used;
      if (used > at) add((offset + at) / kSector, bytes.subspan(at, used - at));
      at = std::max(end, at + 1);
      at = std::min<uint64_t>(align_up(at, kSector), bytes.size());
    }
  }

  /// To the byte.
  void add_end(uint64_t size) {
    std::vector<std::byte> rest(size % kSector);
    file_.read_at(size - rest.size(), rest);
    add(size / kSector, rest);
  }

  void add(uint64_t sector, ConstBytes bytes) {
    RecordHead head{};
    head.place = static_cast<uint32_t>(sector);
    head.length = static_cast<uint16_t>(bytes.size());
    for (const ConstBytes part : {ConstBytes(bytes_of(head)), bytes})
      for (const std::byte b : part) packed_.push_back(std::to_integer<uint8_t>(b));
  }

  Storage& file_;
  std::vector<uint8_t> packed_;
};

}  // namespace

SparseInput::SparseInput(std::span<const uint8_t> input) : file(std::make_shared<MemoryStorage>("disk")) {
  while (input.size() >= sizeof(RecordHead)) {
    const auto head = load<RecordHead>(std::as_bytes(input));
    input = input.subspan(sizeof(head));
    if (head.place == kEnd) break;
    const uint64_t offset = head.place % (kMaxSparseFile / kSector) * kSector;
    const auto bytes = input.first(std::min<size_t>({input.size(), head.length, kMaxSparseFile - offset}));
    if (head.length == 0 && file->size() < offset) file->resize(offset);
    file->write_at(offset, std::as_bytes(bytes));
    input = input.subspan(bytes.size());
  }
  tail = input;
}

std::shared_ptr<MemoryStorage> copy_of(Storage& file) {
  auto copy = std::make_shared<MemoryStorage>(file.name());
  copy->resize(file.size());
  std::vector<std::byte> window(kWindow);
  for (uint64_t offset = 0; offset < file.size();) {
    const StorageExtent run = file.extent_at(offset);
    const uint64_t length = run.hole ? run.length : std::min(run.length, kWindow);
    if (!run.hole) {
      const MutableBytes bytes = MutableBytes(window).first(length);
      file.read_at(offset, bytes);
      copy->write_at(offset, bytes);
    }
    offset += length;
  }
  return copy;
}

std::vector<uint8_t> pack_sparse(Storage& file) { return Packer(file).pack(); }

}  // namespace varve::fuzz
