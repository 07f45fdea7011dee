// What surrounds writing: the look at everything before the first change, flushing, the use of space that was given up, the end.
#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "base/checked_math.h"
#include "varve/error.h"
#include "vhdx/vhdx_image.h"

namespace varve::vhdx {
namespace {

Error damaged(std::string what) {
  return Error(Errc::corrupt, std::move(what))
      .during("preparing to write")
      .hint("run `varve check`, then `--repair`; reading is still possible");
}

}  // namespace

void VhdxImage::begin_session() {
  if (ready_.load(std::memory_order_acquire)) return;
  const std::lock_guard lock(session_mutex_);
  if (ready_.load(std::memory_order_relaxed)) return;
  FileSpace space = examine();
  session_.begin();
  {
    const std::lock_guard space_lock(space_mutex_);
    space_ = std::move(space);
  }
  ready_.store(true, std::memory_order_release);
}

void VhdxImage::take_block_run(OwnerMap& owners, uint64_t block, const BlockMap::Run& run) const {
  const uint64_t bytes = run.blocks * map_->geometry().block_size;
  const std::string name = "block " + std::to_string(block) + " of the disk ";
  const uint64_t needed = bytes - map_->geometry().block_size + needed_of(block + run.blocks - 1);
  if (const std::string fault = place_fault(run.entry.offset, needed); !fault.empty()) throw damaged(name + fault);
  if (!owners.take(run.entry.offset, bytes)) throw damaged(name + "shares its place with something else").at(run.entry.offset);
}

/// MEM-18, MEM-19: every block can be read, and every place in the file has one owner. Returns where new blocks go: behind everything, also
/// behind what a last block that was cut short would take, and where nothing is.
FileSpace VhdxImage::examine() {
  const Geometry& geometry = map_->geometry();
  // What a block device has of a MiB at its end is no place.
  uint64_t end = file_->limits().fixed_size ? align_down(file_->size(), kMiB) : align_up(file_->size(), kMiB);
  OwnerMap owners(checked_add(end, geometry.block_size), parts_.limits.metadata_bytes / 2);
  owners.take(0, kHeaderSectionSize);
  owners.take(parts_.headers.header().log_offset, parts_.headers.header().log_length);
  for (const Region& region : parts_.regions.all) owners.take(region.offset, region.length);
  for (uint64_t block = 0; block < geometry.blocks();) {
    const BlockMap::Run run = map_->run_at(block, geometry.blocks() - block);
    if (const std::string fault = state_fault(block, run.entry); !fault.empty())
      throw damaged("block " + std::to_string(block) + " of the disk " + fault);
    if (run.entry.has_place()) {
      take_block_run(owners, block, run);
      end = std::max(end, run.entry.offset + run.blocks * geometry.block_size);
    }
    block += run.blocks;
  }
  for (uint64_t chunk = 0; geometry.differencing && chunk < geometry.chunks(); ++chunk) {
    if (map_->bitmap(chunk).state != BlockState::fully_present) continue;
    const uint64_t place = bitmap_place(chunk);
    if (!owners.take(place, kBitmapBlockSize))
      throw damaged("sector bitmap " + std::to_string(chunk) + " shares its place with something else").at(place);
  }
  FileSpace space(geometry.block_size, end);
  owners.for_each_gap([&](uint64_t offset, uint64_t length) {
    if (offset < end) space.give_blocks(offset, std::min(length, end - offset) / geometry.block_size);
  });
  return space;
}

void VhdxImage::flush() {
  std::vector<uint64_t> given_up;
  {
    // Before the pages are taken: what is given up later is freed by a later flush.
    const std::lock_guard lock(space_mutex_);
    given_up.swap(given_up_);
  }
  session_.flush();
  const std::lock_guard lock(space_mutex_);
  unnamed_.insert(unnamed_.end(), given_up.begin(), given_up.end());
  recycle();
}

void VhdxImage::recycle() {
  if ((unnamed_.empty() && waiting_.empty()) || !in_flight_.advance()) return;
  free_blocks(waiting_);
  waiting_.swap(unnamed_);
}

void VhdxImage::free_blocks(std::vector<uint64_t>& blocks) {
  while (!blocks.empty()) {
    const uint64_t place = blocks.back();
    blocks.pop_back();
    space_->give_blocks(place, 1);
    try {
      file_->punch_hole(place, parts_.metadata.block_size);
    } catch (const Error&) {
      // Its space stays taken until it is used again.
    }
  }
}

void VhdxImage::settle() {
  flush();
  const std::lock_guard lock(space_mutex_);
  free_blocks(waiting_);
  free_blocks(unnamed_);
}

void VhdxImage::close() {
  if (!session_.active()) return;
  settle();
  session_.end();
  ready_.store(false, std::memory_order_release);
  const std::lock_guard lock(space_mutex_);
  if (!space_) return;
  const uint64_t end = space_->trim();
  if (end < file_->size() && !file_->limits().fixed_size) file_->resize(end);
  space_.reset();
}

}  // namespace varve::vhdx
