#include "native/ordering_storage.h"

#include <algorithm>

#include "base/checked_math.h"
#include "native/catalog.h"
#include "native/extents.h"
#include "native/unlocked.h"
#include "native/walk.h"

namespace varve::test {

using native::kBlock;

namespace {

/// Shows a file with one block replaced.
class Patched final : public PassingStorage {
 public:
  Patched(std::shared_ptr<Storage> below, uint64_t offset, ConstBytes block)
      : PassingStorage(std::move(below)), offset_(offset), block_(block.begin(), block.end()) {}
  void read_at(uint64_t offset, MutableBytes out) override {
    below_->read_at(offset, out);
    if (offset == offset_ && out.size() == block_.size()) std::copy(block_.begin(), block_.end(), out.begin());
  }

 private:
  const uint64_t offset_;
  const std::vector<std::byte> block_;
};

/// Everything of it is read and verified.
IntervalSet blocks_of(const std::shared_ptr<Storage>& file, const Unlocked& image, const native::Superblock& s) {
  const native::Header& header = image.headers.header;
  native::Extents extents(file, header, 1 << 19, 1 << 19, image.cipher);
  const native::Catalog catalog =
      native::parse_catalog(native::read_object(extents, s.catalog, s.end), s.rules(header), s.generation, s.head_parent);
  native::Superblock without_journal = s;
  without_journal.journal_offset = 0;
  without_journal.journal_length = 0;
  IntervalSet blocks;
  native::used_space(extents, without_journal, catalog).for_each([&](const Interval& run) {
    const uint64_t first = align_down(run.offset, kBlock);
    blocks.insert(first, align_up(run.end(), kBlock) - first);
  });
  return blocks;
}

}  // namespace

OrderRules::OrderRules(std::shared_ptr<Storage> file) : file_(std::move(file)), durable_size_(file_->size()), end_ever_(file_->size()) {
  const Unlocked image = unlocked(*file_);
  const native::Superblocks& both = image.superblocks;
  slots_[both.current.generation % 2] = Root{both.current, blocks_of(file_, image, both.current)};
  if (both.older) slots_[both.older->generation % 2] = Root{*both.older, blocks_of(file_, image, *both.older)};
}

void OrderRules::fail(const std::string& what) {
  if (broken_.empty()) broken_ = what;
  throw OrderViolation(what);
}

void OrderRules::check_superblock(ConstBytes block, uint64_t slot) {
  if (issued_) fail("a superblock is written before the one before it is durable");
  const auto patched = std::make_shared<Patched>(file_, slot, block);
  const Unlocked image = unlocked(*patched);
  const native::Superblock& next = image.superblocks.current;
  if (native::superblock_offset(next.generation) != slot) fail("what is written as a superblock is not the newest one");
  const IntervalSet blocks = blocks_of(file_, image, next);
  for (auto run = unflushed_.find_overlap(0, UINT64_MAX); run; run = unflushed_.find_overlap(run->end(), UINT64_MAX - run->end())) {
    const bool in_journal =
        next.journal_length != 0 && run->offset < next.journal_offset + next.journal_length && next.journal_offset < run->end();
    if (run->offset < native::kFirstExtent || in_journal || blocks.find_overlap(run->offset, run->length))
      fail("a superblock is written while what it refers to at " + std::to_string(run->offset) + " is not flushed");
  }
  if (next.end > durable_size_) fail("a superblock is written while the size of the file is not flushed");
  const auto& before = slots_[(next.generation + 1) % 2];
  if (before && (before->blocks.end() > next.end || before->superblock.journal_offset + before->superblock.journal_length > next.end))
    fail("the end of used space goes down below what the superblock before refers to");
  issued_ = Root{next, blocks};
  ++superblocks_;
}

/// Of a journal that a superblock names: only behind what is durable.
void OrderRules::check_journal(uint64_t offset, uint64_t length) {
  for (const IntervalSet& records : records_durable_)
    if (records.find_overlap(offset, length)) fail("a durable record of the journal is written over at " + std::to_string(offset));
  records_now_.insert(offset, length);
  ++records_;
}

void OrderRules::check_unprotected(uint64_t offset, uint64_t length, const char* what) {
  const uint64_t first = align_down(offset, kBlock);
  const uint64_t end = align_up(offset + length, kBlock);
  for (const std::optional<Root>* root : {&slots_[0], &slots_[1], &issued_})
    if (*root && (*root)->blocks.find_overlap(first, end - first))
      fail(std::string(what) + " a block at " + std::to_string(offset) + " that generation " +
           std::to_string((*root)->superblock.generation) + " refers to");
}

void OrderRules::before_write(uint64_t offset, ConstBytes data) {
  for (const uint64_t parity : {0, 1})
    if (offset == native::superblock_offset(parity)) {
      check_superblock(data, offset);
      unflushed_.insert(offset, data.size());
      return;
    }
  if (offset < native::kFirstExtent) {
    unflushed_.insert(offset, data.size());
    return;
  }
  check_unprotected(offset, data.size(), "written over:");
  bool journal = false;
  for (const auto& slot : slots_) {
    if (!slot || slot->superblock.journal_length == 0) continue;
    const native::Superblock& s = slot->superblock;
    journal = journal || (offset < s.journal_offset + s.journal_length && s.journal_offset < offset + data.size());
  }
  if (journal) check_journal(offset, data.size());
  if (!journal && offset < end_ever_) ++reused_;
  end_ever_ = std::max(end_ever_, offset + data.size());
  unflushed_.insert(offset, data.size());
}

void OrderRules::before_punch(uint64_t offset, uint64_t length) { check_unprotected(offset, length, "punched out:"); }

void OrderRules::before_resize(uint64_t size) {
  if (size < file_->size()) check_unprotected(size, file_->size() - size, "cut off:");
}

void OrderRules::after_flush() {
  unflushed_ = {};
  durable_size_ = file_->size();
  uint64_t newest = 0;
  for (const auto& slot : slots_)
    if (slot) newest = std::max(newest, slot->superblock.generation);
  for (auto run = records_now_.find_overlap(0, UINT64_MAX); run; run = records_now_.find_overlap(run->end(), UINT64_MAX - run->end()))
    records_durable_[newest % 2].insert(run->offset, run->length);
  records_now_ = {};
  if (!issued_) return;
  // The records of the generation that stood in its slot are nobody's any more.
  const uint64_t parity = issued_->superblock.generation % 2;
  records_durable_[parity] = {};
  slots_[parity] = std::move(issued_);
  issued_.reset();
}

void OrderingStorage::read_at(uint64_t offset, MutableBytes out) { below_->read_at(offset, out); }

void OrderingStorage::write_at(uint64_t offset, ConstBytes data) {
  const std::lock_guard lock(mutex_);
  rules_->before_write(offset, data);
  below_->write_at(offset, data);
}

void OrderingStorage::flush() {
  const std::lock_guard lock(mutex_);
  below_->flush();
  rules_->after_flush();
}

void OrderingStorage::resize(uint64_t size) {
  const std::lock_guard lock(mutex_);
  rules_->before_resize(size);
  below_->resize(size);
}

bool OrderingStorage::punch_hole(uint64_t offset, uint64_t length) {
  const std::lock_guard lock(mutex_);
  rules_->before_punch(offset, length);
  return below_->punch_hole(offset, length);
}

}  // namespace varve::test
