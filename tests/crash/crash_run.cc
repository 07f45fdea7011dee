#include "crash/crash_run.h"

#include <malloc.h>

#include <algorithm>
#include <cstring>
#include <string>

#include "support/bytes.h"
#include "support/pattern.h"

namespace varve::test {

namespace {

constexpr uint64_t kFirstIds = 1;
constexpr unsigned kStepsAfterTheCut = 20;
constexpr uint64_t kGrowthAfterTheCut = 100 * 1024;

/// std::byte is compared byte by byte otherwise, and whole files are compared here.
bool same_bytes(ConstBytes a, ConstBytes b) {
  return a.size() == b.size() && (a.empty() || std::memcmp(a.data(), b.data(), a.size()) == 0);
}

/// Files of some MiB come and go with every state: what one frees serves the next, or the kernel clears pages half of the time.
void keep_freed_memory() {
  static_cast<void>(mallopt(M_MMAP_THRESHOLD, 32 << 20));
  static_cast<void>(mallopt(M_TRIM_THRESHOLD, 1 << 30));
  static_cast<void>(mallopt(M_TOP_PAD, 64 << 20));
}

std::set<std::string> damages_of(Image& image) {
  CheckOptions how;
  how.data = false;
  std::set<std::string> found;
  for (const Finding& finding : image.check(how).findings)
    if (finding.severity == Severity::damage) found.insert(finding.message);
  return found;
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
  }
  open_recorded();
}

void CrashRun::fill() {
  Image image = disk_.open();
  const uint64_t end = disk_.model().size();
  for (uint64_t offset = 0; offset < end; offset += 96 * 1024) {
    const uint64_t length = std::min<uint64_t>(48 * 1024, end - offset);
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
  reopen();
}

OpenOptions CrashRun::options(FileSystem& files, Access access) const {
  OpenOptions how;
  how.access = access;
  how.format = disk_.config().format;
  how.file_system = &files;
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
  const Range range = within(offset, length);
  const std::vector<std::byte> data = pattern(range.offset, generation_++, static_cast<size_t>(range.length));
  const size_t begin = log_->size();
  image_->write_at(range.offset, data);
  disk_.model().write(range.offset, data);
  history_->wrote(begin, log_->size(), disk_.model(), range.offset, range.length);
}

void CrashRun::zero(uint64_t offset, uint64_t length) {
  const Range range = within(offset, length);
  const size_t begin = log_->size();
  image_->zero(range.offset, range.length);
  disk_.model().zero(range.offset, range.length);
  history_->wrote(begin, log_->size(), disk_.model(), range.offset, range.length);
}

void CrashRun::discard(uint64_t offset, uint64_t length) {
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
}

void CrashRun::grow(uint64_t bytes) { resize(image_->size() + bytes / disk_.config().sector * disk_.config().sector); }

void CrashRun::shrink(uint64_t bytes) {
  const uint64_t sector = disk_.config().sector;
  resize(image_->size() - std::min(bytes, image_->size() - sector) / sector * sector);
}

void CrashRun::resize(uint64_t size) {
  grows_ = true;
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
}

void CrashRun::reopen() {
  image_.reset();
  OpenOptions how = options(*recording_, Access::read_write);
  how.random = &ids_;
  image_ = std::make_unique<Image>(Image::open(TestDisk::kPath, how));
}

void CrashRun::random(unsigned steps) {
  for (unsigned i = 0; i < steps; ++i) {
    if (layout_.block != 0 && rng_.one_in(5)) {
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

// ---- what cuts leave -------------------------------------------------------------------------------

std::string CrashRun::judge(std::set<PowerCuts::Hash>& distinct) { return judge(distinct, log_->events()); }

std::string CrashRun::judge(std::set<PowerCuts::Hash>& distinct, std::vector<StorageEvent> log) {
  std::string wrong;
  PowerCuts cuts(base_, std::move(log), rng_);
  cuts.enumerate(
      distinct, [&](size_t position) { return history_->promised(position); },
      [&](const CutState& state) {
        if (!wrong.empty()) return;
        const std::string problem = verdict(state);
        if (!problem.empty()) wrong = state.name + ": " + problem;
      },
      judged_from_);
  return wrong;
}

std::vector<CutState> CrashRun::pick_states(size_t count, const std::function<bool(const CutState&)>& wanted) {
  std::vector<CutState> picked;
  uint64_t seen = 0;
  std::set<PowerCuts::Hash> distinct;
  PowerCuts cuts(base_, log_->events(), rng_);
  cuts.enumerate(
      distinct, [&](size_t position) { return history_->promised(position); },
      [&](const CutState& state) {
        if (!wanted(state)) return;
        if (picked.size() < count) {
          picked.push_back(state);
          ++seen;
        } else if (const uint64_t place = rng_.below(++seen); place < count) {
          picked[static_cast<size_t>(place)] = state;
        }
      });
  return picked;
}

CutState CrashRun::pick_state() {
  return pick_states(1, [](const CutState&) { return true; }).at(0);
}

bool CrashRun::has_pending_log(const CutState& state) {
  PagedFileSystem files = files_of(state);
  Image image = Image::open(TestDisk::kPath, options(files, Access::read_only));
  return detail(image, "log_pending") == "yes";
}

PagedFileSystem CrashRun::files_of(const CutState& state) {
  PagedFileSystem files(disk_.files());  // the parent
  const std::vector<std::string> names = log_->files();
  for (size_t i = 0; i < state.files.size(); ++i) files.add(names[i], state.files[i]);
  return files;
}

std::string CrashRun::verdict(const CutState& state) {
  PagedFileSystem files = files_of(state);
  Found found;
  try {
    if (std::string wrong = judge_reading(files, state, found); !wrong.empty()) return wrong;
    if (std::string wrong = judge_untouched(files, state); !wrong.empty()) return wrong;
    return judge_writing(files, found);
  } catch (const Error& error) {
    return error.what();
  }
}

std::string CrashRun::judge_reading(PagedFileSystem& files, const CutState& state, Found& found) {
  Image image = Image::open(TestDisk::kPath, options(files, Access::read_only));
  for (const std::string& damage : damages_of(image))
    if (!start_damages_.contains(damage)) return "check finds " + damage;
  found = {head_of(image), image.size(), identity_of(image)};
  if (std::string wrong = history_->verdict(state.position, found.content, found.size); !wrong.empty()) return wrong;
  if (std::string wrong = judge_rest(image); !wrong.empty()) return wrong;
  if (const auto constants = rules_.constants(files, image); constants != start_constants_) {
    std::string text;
    for (const std::string& line : constants) text += "\n" + line;
    return "what never changes is now:" + text;
  }
  return judge_identity(found);
}

/// Nobody ever wrote there.
std::string CrashRun::judge_rest(Image& image) const {
  for (uint64_t offset = seen_of(image.size()); offset < image.size();) {
    const Extent run = image.extent_at(offset);
    if (run.kind == ExtentKind::data) return "there is data at " + std::to_string(offset);
    offset += run.length;
  }
  return {};
}

/// Children must notice a change, whenever the power was cut.
std::string CrashRun::judge_identity(const Found& found) const {
  if (start_identity_.empty() || found.identity != start_identity_) return {};
  const auto known = [&](uint64_t offset) {
    const ConstBytes sector = ConstBytes(found.content).subspan(offset, kSector);
    return std::any_of(same_identity_.begin(), same_identity_.end(),
                       [&](const auto& disk) { return same_bytes(sector, ConstBytes(disk).subspan(offset, kSector)); });
  };
  bool same = found.size == start_size_;
  for (uint64_t offset = 0; same && offset < found.content.size(); offset += kSector) same = known(offset);
  if (same) return {};
  return "the disk has changed, and its identity has not";
}

/// Opening for reading changes no file, whatever its log holds.
std::string CrashRun::judge_untouched(const PagedFileSystem& files, const CutState& state) const {
  const std::vector<std::string> names = log_->files();
  for (size_t i = 0; i < state.files.size(); ++i)
    if (files.file(names[i]).hash() != state.files[i].hash()) return "opening for reading changed " + names[i];
  return {};
}

std::string CrashRun::judge_writing(PagedFileSystem& files, const Found& found) {
  ShadowDisk model(found.content.size());
  model.write(0, found.content);
  uint64_t size = found.size;
  Image image = Image::open(TestDisk::kPath, options(files, Access::read_write));
  if (identity_of(image) != found.identity) return "opening for writing gave the disk another identity";
  if (layout_.damage != nullptr) {
    CheckOptions how;
    how.repair = Repair::safe;
    image.check(how);
    if (identity_of(image) != found.identity) return "a safe repair gave the disk another identity";
  }
  if (std::string wrong = work_on(image, model); !wrong.empty()) return "after the cut, " + wrong;
  if (grows_) {
    size += kGrowthAfterTheCut;
    image.resize(size);
    model.resize(seen_of(size));
  }
  if (std::string found_now = damages(image, false); !found_now.empty()) return "after the cut and more writes, check finds " + found_now;
  image.close();
  Image again = Image::open(TestDisk::kPath, options(files, Access::read_only));
  if (identity_of(again) == found.identity && !found.identity.empty() && !same_bytes(model.bytes(), found.content))
    return "after the cut and more writes the disk has changed, and its identity has not";
  std::string wrong = difference(again, model, size);
  if (wrong.empty()) wrong = damages(again, false);
  return wrong.empty() ? wrong : "after the cut, more writes and a close, " + wrong;
}

std::string CrashRun::work_on(Image& image, ShadowDisk& model) {
  Workload work(image, model, rng_, {.read = 2, .write = 6, .zero = 2, .discard = 1, .flush = 1, .max_length = 20000, .align = 1});
  work.set_generation(5000000);
  if (std::string wrong = work.run(kStepsAfterTheCut / 2); !wrong.empty()) return wrong;
  if (layout_.block != 0) {
    if (std::string wrong = give_up_a_block(image, model); !wrong.empty()) return wrong;
  }
  if (std::string wrong = work.run(kStepsAfterTheCut / 2); !wrong.empty()) return wrong;
  image.flush();
  return {};
}

/// Such that the next that is needed takes its place.
std::string CrashRun::give_up_a_block(Image& image, ShadowDisk& model) {
  const uint64_t offset = rng_.below(model.size()) / layout_.block * layout_.block;
  const uint64_t length = std::min(layout_.block, model.size() - offset);
  if (rng_.one_in(2)) {
    image.zero(offset, length);
    model.zero(offset, length);
  } else {
    image.discard(offset, length);
    std::vector<std::byte> now(static_cast<size_t>(length));
    image.read_at(offset, now);
    if (model.settle_discard(offset, now)) return "a discarded block shows what it never held";
  }
  image.flush();
  image.flush();
  return {};
}

std::string CrashRun::difference(Image& image, const ShadowDisk& model, uint64_t size) const {
  if (image.size() != size) return "the size is " + std::to_string(image.size()) + ", should be " + std::to_string(size);
  return describe_difference(0, head_of(image), model.bytes());
}

}  // namespace varve::test
