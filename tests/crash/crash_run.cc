#include "crash/crash_run.h"

#include <malloc.h>

#include <algorithm>
#include <string>

#include "support/pattern.h"
#include "support/secrets.h"

namespace varve::test {

namespace {

constexpr uint64_t kFirstIds = 1;

/// Files of some MiB come and go with every state: what one frees serves the next, or the kernel clears pages half of the time.
void keep_freed_memory() {
  static_cast<void>(mallopt(M_MMAP_THRESHOLD, 32 << 20));
  static_cast<void>(mallopt(M_TRIM_THRESHOLD, 1 << 30));
  static_cast<void>(mallopt(M_TOP_PAD, 64 << 20));
}

}  // namespace

CrashRun::CrashRun(const Layout& layout, bool filled, Rng& rng)
    : layout_(layout),
      rules_(rules_of(layout.config.format)),
      ids_seed_(kFirstIds),
      ids_(ids_seed_),
      disk_(layout.config, &ids_),
      rng_(rng) {
  keep_freed_memory();
  if (layout.prepare != nullptr) layout.prepare(disk_);
  if (filled) fill();
  if (layout.snapshots) make_branch();
  if (layout.damage != nullptr) layout.damage(disk_);
  open_recorded();
}

CrashRun::CrashRun(CrashRun& earlier, const CutState& left)
    : layout_(earlier.layout_),
      rules_(earlier.rules_),
      ids_seed_(earlier.ids_seed_ + 1),
      ids_(ids_seed_),
      disk_(layout_.config, &ids_),
      rng_(earlier.rng_),
      generation_(earlier.generation_) {
  for (const std::string& path : disk_.files().paths()) disk_.files().remove(path);
  const std::vector<std::string> names = earlier.log_->files();
  for (size_t i = 0; i < left.files.size(); ++i) disk_.files().add(names[i], left.files[i].contents());
  if (const auto parent = earlier.disk_.files().find(TestDisk::kParentPath)) disk_.files().add(TestDisk::kParentPath, parent);
  {
    Image image = disk_.open(Access::read_only);
    disk_.model().resize(seen_of(image.size()));
    disk_.model().write(0, head_of(image));
    kept_ = snapshots_of(disk_.files(), image);
    next_snapshot_ = earlier.next_snapshot_ + 1;
    for (const std::string& damage : damages_of(image))
      if (rules_.excused(damage, left) || earlier.start_damages_.contains(damage)) start_damages_.insert(damage);
  }
  open_recorded();
}

void CrashRun::fill() {
  Image image = disk_.open();
  const uint64_t end = disk_.model().size();
  for (uint64_t offset = 0; offset < end; offset += 2 * layout_.filled_run) {
    const uint64_t length = std::min(layout_.filled_run, end - offset);
    const std::vector<std::byte> data = pattern(offset, 999, static_cast<size_t>(length));
    image.write_at(offset, data);
    disk_.model().write(offset, data);
  }
  image.close();
}

void CrashRun::open_recorded() {
  {
    Image image = disk_.open(Access::read_only);
    same_identity_ = {head_of(image)};
    start_size_ = image.size();
    start_identity_ = identity_of(image);
    start_constants_ = rules_.constants(disk_.files(), image);
    if (layout_.damage != nullptr) start_damages_ = damages_of(image);
  }
  for (const std::string& path : disk_.files().paths()) {  // number the files before the first event, and keep what they hold
    if (path == TestDisk::kParentPath) continue;
    log_->file(path);
    base_.emplace_back(disk_.files().find(path)->contents());
  }
  recording_ = std::make_unique<RecordingFileSystem>(disk_.files(), log_);
  history_ = std::make_unique<History>(disk_.model(), start_size_);
  wholes_.push_back({0, 0, state_now()});
  reopen();
}

OpenOptions CrashRun::options(FileSystem& files, Access access) const {
  OpenOptions how;
  how.access = access;
  how.format = disk_.config().format;
  how.secret = test_key();
  how.accept_older_state = true;  // a superblock may have been cut
  how.file_system = &files;
  if (layout_.write_buffer != 0) how.limits.write_buffer = layout_.write_buffer;
  return how;
}

std::vector<std::byte> CrashRun::head_of(Image& image) const {
  std::vector<std::byte> content(static_cast<size_t>(seen_of(image.size())));
  image.read_at(0, content);
  return content;
}

// ---- the script ------------------------------------------------------------------------------------

CrashRun::Range CrashRun::within(uint64_t offset, uint64_t length) const {
  const uint64_t size = seen_of(image_->size());
  offset = std::min(offset, size - kSector) / kSector * kSector;
  length = std::max<uint64_t>(kSector, length / kSector * kSector);
  return {offset, std::min(length, size - offset)};
}

void CrashRun::write(uint64_t offset, uint64_t length) {
  changes_ = true;
  const Range range = within(offset, length);
  const std::vector<std::byte> data = pattern(range.offset, generation_++, static_cast<size_t>(range.length));
  const size_t begin = log_->size();
  image_->write_at(range.offset, data);
  disk_.model().write(range.offset, data);
  history_->wrote(begin, log_->size(), disk_.model(), range.offset, range.length);
}

void CrashRun::zero(uint64_t offset, uint64_t length) {
  changes_ = true;
  const Range range = within(offset, length);
  const size_t begin = log_->size();
  image_->zero(range.offset, range.length);
  disk_.model().zero(range.offset, range.length);
  history_->wrote(begin, log_->size(), disk_.model(), range.offset, range.length);
}

void CrashRun::discard(uint64_t offset, uint64_t length) {
  changes_ = true;
  const Range range = within(offset, length);
  const size_t begin = log_->size();
  image_->discard(range.offset, range.length);
  std::vector<std::byte> now(static_cast<size_t>(range.length));
  image_->read_at(range.offset, now);
  if (disk_.model().settle_discard(range.offset, now)) throw Error(Errc::corrupt, "the discarded range shows what it never held");
  history_->discarded(begin, log_->size(), disk_.model(), range.offset, range.length);
}

void CrashRun::flush() {
  const size_t begin = log_->size();
  image_->flush();
  history_->flushed(begin, log_->size());
  published(begin);
}

void CrashRun::grow(uint64_t bytes) { resize(image_->size() + bytes / disk_.config().sector * disk_.config().sector); }

void CrashRun::shrink(uint64_t bytes) {
  const uint64_t sector = disk_.config().sector;
  resize(image_->size() - std::min(bytes, image_->size() - sector) / sector * sector);
}

void CrashRun::resize(uint64_t size) {
  changes_ = true;
  resizes_ = true;
  const size_t begin = log_->size();
  image_->resize(size);
  disk_.model().resize(seen_of(size));
  history_->resized(begin, log_->size(), size, seen_of(size));
}

std::vector<std::byte> CrashRun::repair() {
  const size_t begin = log_->size();
  CheckOptions how;
  how.repair = Repair::safe;
  image_->check(how);
  std::vector<std::byte> content = head_of(*image_);
  disk_.model().write(0, content);
  same_identity_.push_back(content);  // a safe repair keeps it
  history_->wrote(begin, log_->size(), disk_.model(), 0, content.size());
  history_->flushed(log_->size(), log_->size());
  return content;
}

void CrashRun::close() {
  const size_t begin = log_->size();
  image_->close();
  history_->flushed(begin, log_->size());
  published(begin);
}

void CrashRun::reopen() {
  image_.reset();
  OpenOptions how = options(*recording_, Access::read_write);
  how.random = &ids_;
  image_ = std::make_unique<Image>(Image::open(TestDisk::kPath, how));
}

void CrashRun::random(unsigned steps) {
  for (unsigned i = 0; i < steps; ++i) {
    if (layout_.snapshots && rng_.one_in(5)) {
      random_snapshot_change();
    } else if (layout_.block != 0 && rng_.one_in(5)) {
      random_blocks();
    } else {
      random_step();
    }
  }
}

/// Whole blocks, which are given up and used again.
void CrashRun::random_blocks() {
  const uint64_t offset = rng_.below(seen_of(image_->size())) / layout_.block * layout_.block;
  const uint64_t length = layout_.block * rng_.between(1, 2);
  switch (rng_.below(5)) {
    case 0:
    case 1: return zero(offset, length);
    case 2: return discard(offset, length);
    case 3: return write(offset, layout_.block);
    default: return flush();
  }
}

void CrashRun::random_step() {
  uint64_t offset = rng_.below(seen_of(image_->size()));
  if (rng_.one_in(2)) offset = offset / 65536 * 65536;
  const uint64_t length = rng_.one_in(4) ? rng_.below(100000) : rng_.below(9000);
  const uint64_t choice = rng_.below(10);
  if (choice < 6) {
    write(offset, length);
  } else if (choice < 8) {
    zero(offset, rng_.one_in(2) ? length : length * 8);
  } else if (choice < 9) {
    discard(offset, length * 4);
  } else {
    flush();
  }
}

}  // namespace varve::test
