#include "vhdx/log_writer.h"

#include <algorithm>
#include <vector>

#include "base/checked_math.h"
#include "checksum/crc32c.h"
#include "vhdx/structures.h"

namespace varve::vhdx {
namespace {

constexpr uint64_t kDescriptorSize = sizeof(LogDescriptorRaw);
static_assert(kPageSize == kLogSector);

uint64_t sectors_of(uint64_t pages) { return div_ceil(sizeof(LogEntryHeaderRaw) + pages * kDescriptorSize, kLogSector) + pages; }

LogDescriptorRaw describe(const PageBatch::Item& item, uint64_t sequence) {
  LogDescriptorRaw raw{};
  raw.signature = kDescriptorSignature;
  raw.leading_bytes = load<le64>(*item.page);
  raw.trailing_bytes = load<le32>(*item.page, kPageSize - 4);
  raw.file_offset = item.offset;
  raw.sequence_number = sequence;
  return raw;
}

LogDataRaw data_sector(const Page& page, uint64_t sequence) {
  LogDataRaw raw{};
  raw.signature = kDataSignature;
  raw.sequence_high = static_cast<uint32_t>(sequence >> 32);
  raw.sequence_low = static_cast<uint32_t>(sequence);
  const auto middle = std::as_writable_bytes(std::span(raw.data));
  std::copy_n(page.begin() + 8, middle.size(), middle.begin());
  return raw;
}

}  // namespace

LogWriter::LogWriter(Storage& file, const Header& header, const Uuid& guid)
    : file_(file), offset_(header.log_offset), length_(header.log_length), guid_(guid) {}

size_t LogWriter::capacity_of(uint64_t log_length) {
  const uint64_t sectors = log_length / 2 / kLogSector;
  uint64_t pages = sectors;
  while (sectors_of(pages) > sectors) --pages;
  return pages;
}

void LogWriter::append(std::span<const PageBatch::Item> pages, uint64_t durable_size) {
  std::vector<std::byte> entry(sectors_of(pages.size()) * kLogSector);
  const auto put = [&](uint64_t at, ConstBytes bytes) {
    std::copy(bytes.begin(), bytes.end(), entry.begin() + static_cast<ptrdiff_t>(at));
  };
  uint64_t at = sizeof(LogEntryHeaderRaw);
  uint64_t sector = entry.size() - pages.size() * kLogSector;
  for (const PageBatch::Item& item : pages) {
    put(at, bytes_of(describe(item, sequence_)));
    put(sector, bytes_of(data_sector(*item.page, sequence_)));
    at += kDescriptorSize;
    sector += kLogSector;
  }
  LogEntryHeaderRaw head{};
  head.signature = kLogSignature;
  head.entry_length = static_cast<uint32_t>(entry.size());
  head.tail = static_cast<uint32_t>(position_);
  head.sequence_number = sequence_;
  head.descriptor_count = static_cast<uint32_t>(pages.size());
  head.log_guid = to_raw(guid_);
  // Other threads may have made the file larger by now, but that need not survive a cut.
  head.flushed_file_offset = align_down(durable_size, kMiB);
  head.last_file_offset = align_up(durable_size, kMiB);
  put(0, bytes_of(head));
  head.checksum = crc32c(entry);
  put(0, bytes_of(head));

  const uint64_t first = std::min<uint64_t>(entry.size(), length_ - position_);
  file_.write_at(offset_ + position_, ConstBytes(entry).first(first));
  if (first < entry.size()) file_.write_at(offset_, ConstBytes(entry).subspan(first));
  position_ = (position_ + entry.size()) % length_;
  ++sequence_;
}

}  // namespace varve::vhdx
