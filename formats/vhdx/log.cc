#include "vhdx/log.h"

#include <algorithm>
#include <optional>
#include <string>
#include <utility>

#include "base/checked_math.h"
#include "checksum/crc32c.h"
#include "varve/error.h"
#include "vhdx/structures.h"

namespace varve::vhdx {
namespace {

constexpr uint64_t kDescriptorSize = sizeof(LogDescriptorRaw);
/// How much larger than the file an entry may make it: what a hostile log can cost is bounded [RES-5].
constexpr uint64_t kMaxGrowth = uint64_t{1} << 30;
/// Entries that are not whole are read in vain. A log of which each sector claims to begin a long one must not cost its square.
constexpr uint64_t kMaxPasses = 16;

[[noreturn]] void bad(std::string what) {
  throw Error(Errc::corrupt, std::move(what)).during("reading the log").hint("restore the image from a copy");
}

/// The log's bytes, round and round.
class Ring {
 public:
  Ring(Storage& file, const Header& header, const Limits& limits) : bytes_() {
    // The ring, the sequence that is read, the best one so far, and what they are to change.
    const uint64_t most = limits.metadata_bytes / 4;
    if (header.log_length > most)
      throw Error(Errc::limit, "a log of " + std::to_string(header.log_length) + " bytes, allowed are " + std::to_string(most));
    if (!range_fits(header.log_offset, header.log_length, file.size())) bad("the log lies outside the file");
    bytes_.resize(header.log_length);
    file.read_at(header.log_offset, bytes_);
  }

  uint64_t size() const { return bytes_.size(); }
  std::vector<std::byte> copy(uint64_t position, uint64_t length) const {
    std::vector<std::byte> out(length);
    const uint64_t first = std::min(length, size() - position);
    std::copy_n(bytes_.begin() + static_cast<ptrdiff_t>(position), first, out.begin());
    std::copy_n(bytes_.begin(), length - first, out.begin() + static_cast<ptrdiff_t>(first));
    return out;
  }
  LogEntryHeaderRaw head(uint64_t position) const { return load<LogEntryHeaderRaw>(bytes_, position); }

 private:
  std::vector<std::byte> bytes_;
};

uint64_t descriptor_sectors(uint64_t descriptors) {
  return div_ceil(sizeof(LogEntryHeaderRaw) + descriptors * kDescriptorSize, kLogSector);
}

LogDescriptorRaw descriptor(const LogEntry& entry, uint64_t index) {
  return load<LogDescriptorRaw>(entry.bytes, sizeof(LogEntryHeaderRaw) + index * kDescriptorSize);
}

uint64_t descriptor_count(const LogEntry& entry) { return load<LogEntryHeaderRaw>(entry.bytes).descriptor_count; }

bool checksum_right(const std::vector<std::byte>& bytes) {
  auto head = load<LogEntryHeaderRaw>(bytes);
  const uint32_t stored = head.checksum;
  head.checksum = 0;
  return crc32c(ConstBytes(bytes).subspan(sizeof(head)), crc32c(bytes_of(head))) == stored;
}

/// Descriptors of a known kind, each with its sector of data, all with the entry's sequence number.
bool contents_whole(const LogEntry& entry) {
  const uint64_t count = descriptor_count(entry);
  uint64_t sector = descriptor_sectors(count);
  for (uint64_t i = 0; i < count; ++i) {
    const LogDescriptorRaw d = descriptor(entry, i);
    if (d.sequence_number != entry.sequence) return false;
    if (d.signature == kZeroSignature) continue;
    if (d.signature != kDescriptorSignature || (sector + 1) * kLogSector > entry.length) return false;
    const auto data = load<LogDataRaw>(entry.bytes, sector++ * kLogSector);
    const uint64_t sequence = uint64_t{data.sequence_high} << 32 | data.sequence_low;
    if (data.signature != kDataSignature || sequence != entry.sequence) return false;
  }
  return sector * kLogSector == entry.length;
}

/// Looks for entries, within a budget of bytes.
class Reader {
 public:
  Reader(const Ring& ring, const Uuid& guid) : ring_(ring), guid_(guid), budget_(ring.size() * kMaxPasses) {}

  /// Has any sector the look of an entry of this log?
  bool any() const { return any_; }

  std::optional<LogEntry> entry_at(uint64_t position) {
    const LogEntryHeaderRaw head = ring_.head(position);
    if (head.signature != kLogSignature || to_uuid(head.log_guid) != guid_) return std::nullopt;
    any_ = true;
    LogEntry entry;
    entry.position = position;
    entry.length = head.entry_length;
    entry.tail = head.tail;
    entry.sequence = head.sequence_number;
    entry.flushed_file_size = head.flushed_file_offset;
    entry.last_file_size = head.last_file_offset;
    const bool sane = entry.length != 0 && entry.length % kLogSector == 0 && entry.length <= ring_.size() && entry.tail % kLogSector == 0 &&
                      entry.tail < ring_.size() && entry.sequence != 0 &&
                      descriptor_sectors(head.descriptor_count) * kLogSector <= entry.length;
    if (!sane) return std::nullopt;
    if (entry.length > budget_) throw Error(Errc::limit, "the log holds too many broken entries to look through");
    budget_ -= entry.length;
    entry.bytes = ring_.copy(position, entry.length);
    if (!checksum_right(entry.bytes) || !contents_whole(entry)) return std::nullopt;
    return entry;
  }

  /// The entries from `position` on that follow each other.
  std::vector<LogEntry> sequence_at(uint64_t position) {
    std::vector<LogEntry> sequence;
    uint64_t length = 0;
    for (uint64_t at = position; length < ring_.size(); at = (position + length) % ring_.size()) {
      auto next = entry_at(at);
      if (!next || (!sequence.empty() && next->sequence != sequence.back().sequence + 1)) break;
      length += next->length;
      if (length > ring_.size()) break;
      sequence.push_back(std::move(*next));
    }
    return sequence;
  }

 private:
  const Ring& ring_;
  const Uuid guid_;
  uint64_t budget_;
  bool any_ = false;
};

/// Cuts off what lies before the tail of the last entry. False: the tail is none of them.
bool begin_at_tail(std::vector<LogEntry>& sequence) {
  const uint64_t tail = sequence.back().tail;
  const auto first = std::find_if(sequence.begin(), sequence.end(), [&](const LogEntry& entry) { return entry.position == tail; });
  if (first == sequence.end()) return false;
  sequence.erase(sequence.begin(), first);
  return true;
}

/// [MS-VHDX 2.3.3]: of all sequences that are valid the one with the highest number.
std::vector<LogEntry> active_sequence(Reader& reader, uint64_t ring_size) {
  std::vector<LogEntry> active;
  for (uint64_t position = 0; position < ring_size;) {
    std::vector<LogEntry> found = reader.sequence_at(position);
    uint64_t length = 0;
    for (const LogEntry& entry : found) length += entry.length;
    position += std::max(length, kLogSector);
    if (found.empty() || !begin_at_tail(found)) continue;
    if (active.empty() || found.back().sequence > active.back().sequence) active = std::move(found);
  }
  return active;
}

/// RES-5: what an entry changes lies in the file as it is to be, and is neither a header nor the log.
void check_target(uint64_t offset, uint64_t length, uint64_t end, const Header& header) {
  if (offset % kLogSector != 0 || length % kLogSector != 0 || !range_fits(offset, length, end))
    bad("the log changes a place outside the file");
  const auto touches = [&](uint64_t first, uint64_t size) { return offset < first + size && first < offset + length; };
  if (touches(0, kHeaderOffsets[1] + 64 * kKiB)) bad("the log changes the header");
  if (touches(header.log_offset, header.log_length)) bad("the log changes itself");
}

/// The last entry tells: writers may have made the file shorter since an older one [MS-VHDX 2.3.3].
void check_not_cut(const LogEntry& last, uint64_t file_size) {
  if (last.flushed_file_size > file_size)
    bad("the file had " + std::to_string(last.flushed_file_size) + " bytes and has only " + std::to_string(file_size) +
        ": it was cut short");
}

void check_entry(const LogEntry& entry, uint64_t file_size, const Header& header) {
  if (entry.last_file_size > file_size && entry.last_file_size - file_size > kMaxGrowth)
    bad("the log would let the file grow by more than 1 GiB");
  const uint64_t end = std::max(file_size, entry.last_file_size);
  for (uint64_t i = 0; i < descriptor_count(entry); ++i) {
    const LogDescriptorRaw d = descriptor(entry, i);
    check_target(d.file_offset, d.signature == kZeroSignature ? uint64_t{d.leading_bytes} : kLogSector, end, header);
  }
}

/// The sector that a data descriptor and its data stand for.
std::vector<std::byte> assemble(const LogDescriptorRaw& d, const LogDataRaw& data) {
  std::vector<std::byte> sector;
  sector.reserve(kLogSector);
  const auto append = [&](ConstBytes bytes) { sector.insert(sector.end(), bytes.begin(), bytes.end()); };
  append(bytes_of(d.leading_bytes));
  append(std::as_bytes(std::span(data.data)));
  append(bytes_of(d.trailing_bytes));
  return sector;
}

}  // namespace

uint64_t PendingLog::file_size() const {
  uint64_t size = 0;
  for (const LogEntry& entry : entries) size = std::max(size, entry.last_file_size);
  return size;
}

PendingLog read_log(Storage& file, const Header& header, const Limits& limits) {
  PendingLog log;
  if (header.log_guid.is_nil()) return log;
  const Ring ring(file, header, limits);
  Reader reader(ring, header.log_guid);
  log.entries = active_sequence(reader, ring.size());
  if (log.empty() && reader.any()) bad("no entry of the log is whole");
  if (!log.empty()) check_not_cut(log.entries.back(), file.size());
  for (const LogEntry& entry : log.entries) check_entry(entry, file.size(), header);
  return log;
}

void visit(const PendingLog& log, const LogVisitor& visitor) {
  for (const LogEntry& entry : log.entries) {
    const uint64_t count = descriptor_count(entry);
    uint64_t sector = descriptor_sectors(count);
    for (uint64_t i = 0; i < count; ++i) {
      const LogDescriptorRaw d = descriptor(entry, i);
      if (d.signature == kZeroSignature) {
        visitor.zero(d.file_offset, d.leading_bytes);
      } else {
        visitor.data(d.file_offset, assemble(d, load<LogDataRaw>(entry.bytes, sector++ * kLogSector)));
      }
    }
  }
}

}  // namespace varve::vhdx
