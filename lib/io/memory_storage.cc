#include "io/memory_storage.h"

#include <algorithm>
#include <cstring>
#include <iterator>
#include <mutex>
#include <utility>

#include "base/checked_math.h"

namespace varve {

MemoryStorage::MemoryStorage(std::string name, uint64_t capacity, uint64_t max_size)
    : name_(std::move(name)), capacity_(capacity), max_size_(max_size) {}

MemoryStorage::MemoryStorage(std::string name, ConstBytes contents) : MemoryStorage(std::move(name)) { write_at(0, contents); }

uint64_t MemoryStorage::size() const {
  const std::shared_lock lock(mutex_);
  return size_;
}

void MemoryStorage::read_at(uint64_t offset, MutableBytes out) {
  const std::shared_lock lock(mutex_);
  if (!range_fits(offset, out.size(), size_)) throw Error(Errc::corrupt, "the file ends too early").in(name_).at(offset).during("read");
  while (!out.empty()) {
    const uint64_t within = offset % kPageSize;
    const size_t n = std::min<size_t>(out.size(), kPageSize - within);
    const auto page = pages_.find(offset / kPageSize);
    if (page == pages_.end()) {
      std::memset(out.data(), 0, n);
    } else {
      std::memcpy(out.data(), page->second->data() + within, n);
    }
    out = out.subspan(n);
    offset += n;
  }
}

void MemoryStorage::write_at(uint64_t offset, ConstBytes data) {
  const std::unique_lock lock(mutex_);
  if (!range_fits(offset, data.size(), max_size_))
    throw Error(Errc::limit, "a file cannot be that large").in(name_).at(offset).during("write");
  while (!data.empty()) {
    const uint64_t within = offset % kPageSize;
    const size_t n = std::min<size_t>(data.size(), kPageSize - within);
    auto page = pages_.find(offset / kPageSize);
    if (page == pages_.end()) {
      if (pages_.size() >= capacity_ / kPageSize)
        throw Error(Errc::no_space, "cannot write").in(name_).at(offset).during("write").caused_by("the memory allotted is full");
      // The page first: when memory runs out the map must not be left with an entry that has none.
      auto fresh = std::make_unique<Page>();
      page = pages_.emplace(offset / kPageSize, std::move(fresh)).first;
    }
    std::memcpy(page->second->data() + within, data.data(), n);
    data = data.subspan(n);
    offset += n;
    size_ = std::max(size_, offset);
  }
}

void MemoryStorage::resize(uint64_t size) {
  const std::unique_lock lock(mutex_);
  if (size > max_size_) throw Error(Errc::limit, "a file cannot be that large").in(name_).during("resize");
  if (size < size_) clear(size, size_);
  size_ = size;
}

StorageExtent MemoryStorage::extent_at(uint64_t offset) {
  const std::shared_lock lock(mutex_);
  if (offset >= size_) return {offset, 0, true};
  uint64_t index = offset / kPageSize;
  auto page = pages_.lower_bound(index);
  const bool hole = page == pages_.end() || page->first != index;
  uint64_t end = size_;
  if (hole) {
    if (page != pages_.end()) end = std::min(end, page->first * kPageSize);
  } else {
    while (page != pages_.end() && page->first == index) {
      ++page;
      ++index;
    }
    end = std::min(end, index * kPageSize);
  }
  return {offset, end - offset, hole};
}

bool MemoryStorage::punch_hole(uint64_t offset, uint64_t length) {
  const std::unique_lock lock(mutex_);
  if (offset < size_) clear(offset, offset + std::min(length, size_ - offset));
  return true;
}

/// Zeroes [offset, end), which lies within size_: whole pages go, parts of pages are overwritten.
void MemoryStorage::clear(uint64_t offset, uint64_t end) {
  const bool to_the_end = end == size_;
  auto page = pages_.lower_bound(offset / kPageSize);
  while (page != pages_.end() && page->first * kPageSize < end) {
    const uint64_t start = page->first * kPageSize;
    const uint64_t from = std::max(offset, start);
    const uint64_t to = to_the_end ? start + kPageSize : std::min(end, start + kPageSize);
    if (from == start && to == start + kPageSize) {
      page = pages_.erase(page);
      continue;
    }
    std::memset(page->second->data() + (from - start), 0, to - from);
    page = std::next(page);
  }
}

std::optional<StorageId> MemoryStorage::id() const { return StorageId{UINT64_MAX, reinterpret_cast<uintptr_t>(this)}; }

std::vector<std::byte> MemoryStorage::contents() {
  std::vector<std::byte> all(checked_narrow<size_t>(size()));
  read_at(0, all);
  return all;
}

uint64_t MemoryStorage::allocated() const {
  const std::shared_lock lock(mutex_);
  return pages_.size() * kPageSize;
}

}  // namespace varve
