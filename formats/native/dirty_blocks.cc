#include "native/dirty_blocks.h"

#include <algorithm>

#include "base/checked_math.h"

namespace varve::native {

DirtyBlocks::Block& DirtyBlocks::block_of(Cluster& cluster, uint32_t index, const Page* base) {
  const auto found = cluster.blocks.find(index);
  if (found != cluster.blocks.end()) return found->second;
  Block block{base != nullptr ? std::make_unique<Page>(*base) : std::make_unique<Page>(), true};
  Block& added = cluster.blocks.emplace(index, std::move(block)).first->second;
  ++pages_;
  return added;
}

void DirtyBlocks::put(uint64_t offset, ConstBytes data, const Page* base, bool journaled) {
  const std::lock_guard lock(mutex_);
  const uint64_t number = offset / cluster_size_;
  const uint64_t version = version_ + 1;
  Cluster& cluster = clusters_[number];
  Block* block = nullptr;
  try {  // what takes memory comes first: if there is none, nothing is here that was not written
    order_.emplace(version, number);
    block = &block_of(cluster, static_cast<uint32_t>(offset % cluster_size_ / kBlock), base);
  } catch (...) {
    order_.erase(version);
    if (cluster.blocks.empty()) clusters_.erase(number);
    throw;
  }
  std::copy(data.begin(), data.end(), block->page->begin() + offset % kBlock);
  if (block->journaled && !journaled) ++unjournaled_;
  block->journaled = block->journaled && journaled;
  order_.erase(cluster.version);
  cluster.version = version_ = version;
}

void DirtyBlocks::write(uint64_t offset, ConstBytes data, const Base& base, bool journaled) {
  while (!data.empty()) {
    const size_t length = std::min<size_t>(data.size(), kBlock - offset % kBlock);
    if (length == kBlock) {
      put(offset, data.first(length), nullptr, journaled);
    } else {
      Page page;
      const uint64_t block = align_down(offset, kBlock);
      for (const Gap& gap : read(block, page)) base(gap.offset, MutableBytes(page).subspan(gap.offset - block, gap.length));
      put(offset, data.first(length), &page, journaled);
    }
    offset += length;
    data = data.subspan(length);
  }
}

std::vector<DirtyBlocks::Gap> DirtyBlocks::read(uint64_t offset, MutableBytes out) const {
  if (empty() && !out.empty()) return {{offset, out.size()}};  // readers of what nobody writes do not wait for each other
  const std::lock_guard lock(mutex_);
  std::vector<Gap> gaps;
  const auto cluster = clusters_.find(offset / cluster_size_);
  for (uint64_t done = 0; done < out.size();) {
    const uint64_t at = offset + done;
    const uint64_t length = std::min<uint64_t>(out.size() - done, kBlock - at % kBlock);
    const Block* block = nullptr;
    if (cluster != clusters_.end()) {
      const auto found = cluster->second.blocks.find(static_cast<uint32_t>(at % cluster_size_ / kBlock));
      if (found != cluster->second.blocks.end()) block = &found->second;
    }
    if (block != nullptr)
      std::copy_n(block->page->begin() + at % kBlock, length, out.begin() + static_cast<ptrdiff_t>(done));
    else if (!gaps.empty() && gaps.back().offset + gaps.back().length == at)
      gaps.back().length += length;
    else
      gaps.push_back({at, length});
    done += length;
  }
  return gaps;
}

bool DirtyBlocks::has(uint64_t cluster) const {
  const std::lock_guard lock(mutex_);
  return clusters_.contains(cluster);
}

std::optional<uint64_t> DirtyBlocks::next(uint64_t cluster) const {
  const std::lock_guard lock(mutex_);
  const auto found = clusters_.lower_bound(cluster);
  if (found == clusters_.end()) return std::nullopt;
  return found->first;
}

uint64_t DirtyBlocks::bytes() const noexcept { return pages_.load(std::memory_order_acquire) * kBlock; }

std::vector<DirtyBlocks::Ticket> DirtyBlocks::oldest(size_t most) const {
  const std::lock_guard lock(mutex_);
  std::vector<Ticket> tickets;
  for (const auto& [version, number] : order_) {
    if (tickets.size() == most) break;
    const Cluster& cluster = clusters_.at(number);
    const bool journaled =
        std::all_of(cluster.blocks.begin(), cluster.blocks.end(), [](const auto& block) { return block.second.journaled; });
    tickets.push_back({number, version, journaled});
  }
  return tickets;
}

std::vector<DirtyBlocks::Ticket> DirtyBlocks::all() const { return oldest(SIZE_MAX); }

void DirtyBlocks::forget_page(const Block& block) {
  --pages_;
  if (!block.journaled) --unjournaled_;
}

void DirtyBlocks::written_back(const Ticket& ticket) {
  const std::lock_guard lock(mutex_);
  const auto found = clusters_.find(ticket.cluster);
  if (found == clusters_.end() || found->second.version != ticket.version) return;
  for (const auto& [index, block] : found->second.blocks) forget_page(block);
  order_.erase(ticket.version);
  clusters_.erase(found);
}

void DirtyBlocks::drop(uint64_t first_cluster, uint64_t count) {
  const std::lock_guard lock(mutex_);
  auto at = clusters_.lower_bound(first_cluster);
  while (at != clusters_.end() && at->first - first_cluster < count) {
    for (const auto& [index, block] : at->second.blocks) forget_page(block);
    order_.erase(at->second.version);
    at = clusters_.erase(at);
  }
}

uint64_t DirtyBlocks::unjournaled() const {
  const std::lock_guard lock(mutex_);
  return unjournaled_ * kBlock;
}

std::vector<JournalChange> DirtyBlocks::changes(uint64_t size, std::vector<std::byte>& storage, std::vector<Ticket>& tickets) const {
  const std::lock_guard lock(mutex_);
  std::vector<JournalChange> changes;
  storage.resize(unjournaled_ * kBlock);
  size_t used = 0;
  for (const auto& [number, cluster] : clusters_) {
    bool any = false;
    for (const auto& [index, block] : cluster.blocks) {
      if (block.journaled) continue;
      any = true;
      const uint64_t offset = number * cluster_size_ + uint64_t{index} * kBlock;
      if (offset >= size) continue;  // of a disk that became smaller: zeros, which nobody sees
      const uint64_t length = std::min(kBlock, size - offset);
      std::copy_n(block.page->begin(), length, storage.begin() + static_cast<ptrdiff_t>(used));
      const bool continues = !changes.empty() && changes.back().offset + changes.back().length == offset;
      if (continues)
        changes.back().length += length;
      else
        changes.push_back({kChangeWrite, offset, length, {}});
      used += length;
    }
    if (any) tickets.push_back({number, cluster.version, true});
  }
  size_t at = 0;
  for (JournalChange& change : changes) {
    change.data = ConstBytes(storage).subspan(at, change.length);
    at += change.length;
  }
  return changes;
}

/// What was written since is not in the journal: all of such a cluster goes there again.
void DirtyBlocks::journaled(const std::vector<Ticket>& tickets) {
  const std::lock_guard lock(mutex_);
  for (const Ticket& ticket : tickets) {
    const auto found = clusters_.find(ticket.cluster);
    if (found == clusters_.end() || found->second.version != ticket.version) continue;
    for (auto& [index, block] : found->second.blocks) {
      if (!block.journaled) --unjournaled_;
      block.journaled = true;
    }
  }
}

}  // namespace varve::native
