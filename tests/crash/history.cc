#include "crash/history.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <algorithm>
#include <array>

#include "support/pattern.h"

namespace varve::test {

uint64_t History::hash_sector(ConstBytes sector) { return XXH3_64bits(sector.data(), sector.size()); }

History::History(const ShadowDisk& start, uint64_t size) : zeros_(hash_sector(std::array<std::byte, kSector>{})) {
  operations_.push_back({0, 0, true, size, start.size()});  // operation 0: what was there
  record(start, 0, start.size());
}

void History::add(size_t log_begin, size_t log_end, bool flush) {
  operations_.push_back({log_begin, log_end, flush, operations_.back().size, operations_.back().seen});
}

void History::record(const ShadowDisk& now, uint64_t offset, uint64_t length, bool observed) {
  sectors_.resize(std::max<size_t>(sectors_.size(), now.size() / kSector));
  for (uint64_t s = offset / kSector; s * kSector < offset + length && s < now.size() / kSector; ++s)
    sectors_[s].push_back({operations_.size() - 1, hash_sector(now.bytes(s * kSector, kSector)), observed});
}

void History::wrote(size_t log_begin, size_t log_end, const ShadowDisk& now, uint64_t offset, uint64_t length) {
  add(log_begin, log_end, false);
  record(now, offset, length);
}

void History::maybe(size_t log_begin, size_t log_end, const ShadowDisk& wanted, uint64_t offset, uint64_t length) {
  add(log_begin, log_end, false);
  record(wanted, offset, length, false);
}

void History::discarded(size_t log_begin, size_t log_end, const ShadowDisk& now, uint64_t offset, uint64_t length) {
  add(log_begin, log_end, false);
  for (uint64_t s = offset / kSector; s * kSector < offset + length; ++s) sectors_[s].push_back({operations_.size() - 1, zeros_, false});
  record(now, offset, length);
}

void History::flushed(size_t log_begin, size_t log_end) { add(log_begin, log_end, true); }

void History::resized(size_t log_begin, size_t log_end, uint64_t size, uint64_t seen) {
  const uint64_t before = operations_.back().seen;
  operations_.push_back({log_begin, log_end, false, size, seen});
  sectors_.resize(std::max<size_t>(sectors_.size(), seen / kSector));
  for (size_t s = before / kSector; s < seen / kSector; ++s) sectors_[s].push_back({operations_.size() - 1, zeros_, true, true});
}

uint64_t History::promised(size_t position) const {
  for (size_t i = operations_.size(); i-- > 0;)
    if (operations_[i].flush && operations_[i].log_end <= position) return i;
  return 0;
}

size_t History::last_begun(size_t position) const {
  size_t last = 0;
  for (size_t i = 0; i < operations_.size(); ++i)
    if (operations_[i].log_begin < position) last = i;
  return last;
}

bool History::admissible(const std::vector<Version>& versions, size_t durable, size_t resized, size_t last, uint64_t hash) const {
  for (size_t i = versions.size(); i-- > 0;) {
    if (versions[i].operation > last) continue;
    if (versions[i].hash == hash) return true;
    if (versions[i].operation <= durable && versions[i].observed) return false;  // what is older was replaced before the flush
    if (versions[i].operation <= resized && versions[i].grown) return false;
  }
  return false;
}

std::string History::verdict(size_t position, ConstBytes content, uint64_t size) const {
  const size_t durable = static_cast<size_t>(promised(position));
  const size_t last = std::max(durable, last_begun(position));
  size_t resized = durable;  // the first operation that may have left this size
  while (resized <= last && operations_[resized].size != size) ++resized;
  if (resized > last) return "the disk has " + std::to_string(size) + " bytes, which it never had";
  for (size_t s = 0; s < content.size() / kSector; ++s) {
    const ConstBytes sector = content.subspan(s * kSector, kSector);
    if (!admissible(sectors_[s], durable, resized, last, hash_sector(sector)))
      return "sector " + std::to_string(s) + " holds " + describe_block(sector) +
             ", which is not what the last flush promised (operation " + std::to_string(durable) +
             ") nor anything written until operation " + std::to_string(last);
  }
  return {};
}

}  // namespace varve::test
