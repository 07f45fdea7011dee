// Mutations that know a VHDX: boundary values in headers, region tables, metadata, table entries, bitmaps and the log, also whole new log
// entries; checksums are right again afterwards, mostly. Linked into the fuzzers of VHDX images.
#include <algorithm>
#include <array>
#include <cstring>
#include <random>

#include "base/checked_math.h"
#include "checksum/crc32c.h"
#include "packed_mutator.h"
#include "vhdx/structures.h"

namespace varve::fuzz {
namespace {

using namespace vhdx;

struct Field {
  uint64_t offset;
  unsigned width;
};
constexpr std::array<Field, 9> kHeaderFields = {{{8, 8}, {16, 1}, {32, 1}, {48, 1}, {64, 2}, {66, 2}, {68, 4}, {72, 8}, {72, 4}}};
constexpr std::array<Field, 4> kRegionFields = {{{0, 1}, {16, 8}, {24, 4}, {28, 4}}};
constexpr std::array<Field, 5> kItemFields = {{{0, 1}, {16, 4}, {20, 4}, {24, 4}, {28, 4}}};
constexpr std::array<Field, 7> kEntryFields = {{{8, 4}, {12, 4}, {16, 8}, {24, 4}, {32, 1}, {48, 8}, {56, 8}}};
constexpr std::array<Field, 5> kDescriptorFields = {{{0, 4}, {4, 4}, {8, 8}, {16, 8}, {24, 8}}};
constexpr std::array<uint64_t, 20> kValues = {0,          1,          2,          3,          6,          7,          511,
                                              512,        4096,       0xffff,     kMiB - 1,   kMiB,       kMiB + 512, 0x7fffffff,
                                              1ULL << 31, 0xffffffff, 1ULL << 32, 1ULL << 46, 1ULL << 63, UINT64_MAX};
constexpr uint64_t kPages = 24;  ///< of the log that are looked at

class Mutation {
 public:
  Mutation(MemoryStorage& file, unsigned seed) : file_(file), random_(seed) {
    log_ = {number(kHeaderOffsets[0] + 72, 8), std::min<uint64_t>(number(kHeaderOffsets[0] + 68, 4), kMaxSparseFile)};
    for (uint64_t i = 0; i < 3; ++i) find_region(kRegionTableOffsets[0] + 16 + i * sizeof(RegionEntryRaw));
  }

  void once() {
    switch (below(9)) {
      case 0: return field(kHeaderOffsets[below(2)], kHeaderFields);
      case 1: return field(kRegionTableOffsets[below(2)] + 16 + below(3) * sizeof(RegionEntryRaw), kRegionFields);
      case 2: return field(metadata_ + 32 + below(6) * sizeof(MetadataEntryRaw), kItemFields);
      case 3: return put(metadata_ + kMetadataTableSize + below(64), below(2) == 0 ? 4 : 8, value());
      case 4: return put(table_ + 8 * entry_index(), 8, table_entry());
      case 5: return spoil_log_entry();
      case 6: return add_log_entry();
      case 7: return mutate_sector();
      default: return copy_header();
    }
  }

  /// Of everything that has a checksum.
  void repair() {
    for (const uint64_t copy : kHeaderOffsets) seal_range(copy, kHeaderSize);
    for (const uint64_t copy : kRegionTableOffsets) seal_range(copy, kRegionTableSize);
    for (uint64_t page = 0; page < kPages; ++page) {
      const uint64_t at = log_.offset + page * kLogSector;
      const uint64_t length = number(at + 8, 4);
      if (number(at, 4) == kLogSignature && length >= kLogSector && length <= kPages * kLogSector) seal_range(at, length);
    }
  }

  uint64_t below(uint64_t bound) { return random_() % bound; }

 private:
  struct Place {
    uint64_t offset = 0;
    uint64_t length = 0;
  };

  uint64_t number(uint64_t at, unsigned width) {
    std::array<std::byte, 8> bytes{};
    if (range_fits(at, width, file_.size())) file_.read_at(at, MutableBytes(bytes).first(width));
    return load<le64>(bytes);
  }
  void put(uint64_t at, unsigned width, uint64_t value) {
    const le64 bytes(value);
    if (range_fits(at, width, kMaxSparseFile)) file_.write_at(at, ConstBytes(bytes_of(bytes)).first(width));
  }
  void find_region(uint64_t entry) {
    if (!range_fits(entry, sizeof(RegionEntryRaw), file_.size())) return;
    std::array<std::byte, sizeof(RegionEntryRaw)> bytes{};
    file_.read_at(entry, bytes);
    const auto raw = load<RegionEntryRaw>(bytes);
    if (to_uuid(raw.guid) == kBatRegion) table_ = raw.file_offset;
    if (to_uuid(raw.guid) == kMetadataRegion) metadata_ = raw.file_offset;
  }
  uint64_t mebibytes() { return below(20) * kMiB; }
  uint64_t value() { return below(3) == 0 ? mebibytes() : kValues[below(kValues.size())] + (below(8) == 0 ? below(9) - 4 : 0); }

  template <size_t count>
  void field(uint64_t base, const std::array<Field, count>& fields) {
    const Field& one = fields[below(count)];
    put(base + one.offset, one.width, one.width == 1 ? below(256) : value());
  }

  /// Mostly of the first blocks; of the bitmap of a chunk of 1 MiB or 2 MiB blocks.
  uint64_t entry_index() { return std::array<uint64_t, 4>{below(6), below(600), 4096, 2048}[below(4)]; }
  uint64_t table_entry() { return below(6) == 0 ? value() : mebibytes() | below(8) | (below(12) == 0 ? below(kMiB) : 0); }

  /// Where an entry of the log might stand.
  uint64_t log_page() { return log_.offset + below(kPages) * kLogSector; }
  void spoil_log_entry() {
    for (int tries = 0; tries < 40; ++tries) {
      const uint64_t at = log_page();
      if (number(at, 4) != kLogSignature) continue;
      if (below(2) == 0) return field(at, kEntryFields);
      return field(at + sizeof(LogEntryHeaderRaw) + below(4) * sizeof(LogDescriptorRaw), kDescriptorFields);
    }
  }

  /// An entry that may follow what is there, of data and zeros. Both headers name the log then.
  void add_log_entry() {
    const uint64_t descriptors = 1 + below(3);
    const uint64_t place = below(kPages / 2) * kLogSector;
    const uint64_t sequence = 1 + below(4);
    for (const uint64_t copy : kHeaderOffsets) put(copy + 48, 8, 0x1234);
    std::vector<std::byte> entry(kLogSector);
    LogEntryHeaderRaw head{};
    head.signature = kLogSignature;
    head.tail = static_cast<uint32_t>(below(3) == 0 ? below(kPages / 2) * kLogSector : place);
    head.sequence_number = sequence;
    head.descriptor_count = static_cast<uint32_t>(descriptors);
    head.flushed_file_offset = below(2) == 0 ? 0 : file_.size();
    head.last_file_offset = file_.size() + below(2) * mebibytes();
    std::array<std::byte, 16> guid{};
    if (range_fits(kHeaderOffsets[0] + 48, guid.size(), file_.size())) file_.read_at(kHeaderOffsets[0] + 48, guid);
    head.log_guid = load<GuidRaw>(guid);
    for (uint64_t i = 0; i < descriptors; ++i) add_descriptor(entry, i, sequence);
    head.entry_length = static_cast<uint32_t>(entry.size());
    const auto bytes = bytes_of(head);
    std::copy(bytes.begin(), bytes.end(), entry.begin());
    if (range_fits(log_.offset + place, entry.size(), kMaxSparseFile)) file_.write_at(log_.offset + place, entry);
  }
  void add_descriptor(std::vector<std::byte>& entry, uint64_t index, uint64_t sequence) {
    LogDescriptorRaw raw{};
    const bool zeros = below(3) == 0;
    raw.signature = zeros ? kZeroSignature : kDescriptorSignature;
    raw.leading_bytes = zeros ? (1 + below(600)) * kLogSector : table_entry();
    raw.file_offset = std::array<uint64_t, 4>{table_, metadata_, mebibytes(), below(4096) * kLogSector}[below(4)];
    raw.sequence_number = sequence;
    const auto bytes = bytes_of(raw);
    std::copy(bytes.begin(), bytes.end(), entry.begin() + static_cast<ptrdiff_t>(sizeof(LogEntryHeaderRaw) + index * sizeof(raw)));
    if (zeros) return;
    LogDataRaw data{};
    data.signature = kDataSignature;
    data.sequence_low = static_cast<uint32_t>(sequence);
    for (uint64_t i = below(6); i > 0; --i) data.data[below(64)] = static_cast<uint8_t>(below(256));
    const auto sector = bytes_of(data);
    entry.insert(entry.end(), sector.begin(), sector.end());
  }

  void mutate_sector() {
    std::array<std::byte, 512> bytes{};
    const uint64_t sectors = file_.size() / bytes.size();
    if (sectors == 0) return;
    uint64_t at = 0;
    for (int tries = 0; tries < 40; ++tries) {  // one in which something stands
      at = below(sectors) * bytes.size();
      if (!file_.extent_at(at).hole) break;
    }
    file_.read_at(at, bytes);
    std::array<uint8_t, 512> raw{};
    std::memcpy(raw.data(), bytes.data(), raw.size());
    LLVMFuzzerMutate(raw.data(), raw.size(), raw.size());
    file_.write_at(at, std::as_bytes(std::span(raw)));
  }

  void copy_header() {
    std::vector<std::byte> bytes(kHeaderSize);
    const uint64_t from = below(2);
    if (!range_fits(kHeaderOffsets[from], bytes.size(), file_.size())) return;
    file_.read_at(kHeaderOffsets[from], bytes);
    file_.write_at(kHeaderOffsets[1 - from], bytes);
  }

  void seal_range(uint64_t offset, uint64_t length) {
    if (!range_fits(offset, length, file_.size()) || number(offset, 4) == 0) return;
    put(offset + 4, 4, 0);
    std::vector<std::byte> bytes(length);
    file_.read_at(offset, bytes);
    put(offset + 4, 4, crc32c(bytes));
  }

  MemoryStorage& file_;
  std::minstd_rand random_;
  Place log_;
  uint64_t table_ = 3 * kMiB;
  uint64_t metadata_ = 2 * kMiB;
};

}  // namespace
}  // namespace varve::fuzz

extern "C" size_t LLVMFuzzerCustomMutator(uint8_t* data, size_t size, size_t max_size, unsigned seed) {
  return varve::fuzz::mutate_packed<varve::fuzz::Mutation>(data, size, max_size, seed);
}
