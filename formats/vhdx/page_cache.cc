#include "vhdx/page_cache.h"

#include <algorithm>
#include <utility>

namespace varve::vhdx {

PageCache::PageCache(std::shared_ptr<Storage> file, uint64_t max_bytes)
    : file_(std::move(file)), max_pages_(std::max<uint64_t>(max_bytes / kPageSize, 16)) {}

PagePtr PageCache::page(uint64_t offset) {
  {
    const std::lock_guard lock(mutex_);
    const auto found = slots_.find(offset);
    if (found != slots_.end()) return found->second.page;
  }
  return load(offset);
}

PagePtr PageCache::load(uint64_t offset) {
  while (true) {
    uint64_t before = 0;
    {
      const std::lock_guard lock(mutex_);
      before = evictions_;
    }
    auto read = std::make_shared<Page>();
    file_->read_at(offset, *read);
    const std::lock_guard lock(mutex_);
    const auto found = slots_.find(offset);
    if (found != slots_.end()) return found->second.page;
    // Meanwhile the page may have been loaded, changed, written and dropped by others.
    if (evictions_ != before) continue;
    make_room();
    slots_.emplace(offset, Slot{read});
    return read;
  }
}

/// Drops what can be read again.
void PageCache::make_room() {
  if (slots_.size() < max_pages_) return;
  std::erase_if(slots_, [](const auto& slot) { return !slot.second.changed && slot.second.pending == 0; });
  ++evictions_;
}

void PageCache::write(uint64_t offset, ConstBytes data) {
  while (!data.empty()) {
    const uint64_t within = offset % kPageSize;
    const size_t length = std::min<size_t>(data.size(), kPageSize - within);
    update(offset - within, [&](Page& page) {
      std::copy_n(data.begin(), length, page.begin() + within);
      return true;
    });
    data = data.subspan(length);
    offset += length;
  }
}

void PageCache::update(uint64_t offset, const std::function<bool(Page&)>& change) {
  while (true) {
    page(offset);
    const std::lock_guard lock(mutex_);
    const auto found = slots_.find(offset);
    if (found == slots_.end()) continue;  // dropped in between
    auto changed = std::make_shared<Page>(*found->second.page);
    if (!change(*changed)) return;
    found->second.page = std::move(changed);
    if (!std::exchange(found->second.changed, true)) changed_.fetch_add(1, std::memory_order_relaxed);
    return;
  }
}

PageBatch PageCache::take() {
  PageBatch batch;
  const std::lock_guard lock(mutex_);
  batch.pages.reserve(changed_.load(std::memory_order_relaxed));
  for (auto& [offset, slot] : slots_) {
    if (!slot.changed) continue;
    batch.pages.push_back({offset, slot.page});
    slot.changed = false;
    ++slot.pending;
  }
  changed_.store(0, std::memory_order_relaxed);
  return batch;
}

void PageCache::finish(const PageBatch& batch) {
  const std::lock_guard lock(mutex_);
  for (const auto& item : batch.pages) --slots_.at(item.offset).pending;
}

}  // namespace varve::vhdx
