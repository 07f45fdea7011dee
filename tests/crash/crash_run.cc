#include "crash/crash_run.h"

#include <algorithm>

#include "support/pattern.h"

namespace varve::test {

namespace {

constexpr uint64_t kSector = History::kSector;
constexpr unsigned kStepsAfterTheCut = 20;

std::vector<std::byte> read_whole(Image& image) {
  std::vector<std::byte> content(static_cast<size_t>(image.size()));
  image.read_at(0, content);
  return content;
}

}  // namespace

CrashRun::CrashRun(const ImageConfig& config, bool filled, Rng& rng) : disk_(config), rng_(rng) {
  if (filled) {
    Image image = disk_.open();
    for (uint64_t offset = 0; offset < config.size; offset += 96 * 1024) {
      const uint64_t length = std::min<uint64_t>(48 * 1024, config.size - offset);
      const std::vector<std::byte> data = pattern(offset, 999, static_cast<size_t>(length));
      image.write_at(offset, data);
      disk_.model().write(offset, data);
    }
    image.close();
  }
  open_recorded();
}

void CrashRun::open_recorded() {
  for (const std::string& path : disk_.files().paths()) {  // number the files before the first event, and keep what they hold
    if (path == TestDisk::kParentPath) continue;
    log_->file(path);
    base_.push_back(disk_.files().find(path)->contents());
  }
  recording_ = std::make_unique<RecordingFileSystem>(disk_.files(), log_);
  history_ = std::make_unique<History>(disk_.model());
  image_ = std::make_unique<Image>(Image::open(TestDisk::kPath, options(*recording_, Access::read_write)));
}

OpenOptions CrashRun::options(FileSystem& files, Access access) const {
  OpenOptions how;
  how.access = access;
  how.format = disk_.config().format;
  how.file_system = &files;
  return how;
}

CrashRun::Range CrashRun::within(uint64_t offset, uint64_t length) const {
  const uint64_t size = image_->size();
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

void CrashRun::grow(uint64_t bytes) {
  const uint64_t size = image_->size() + bytes / kSector * kSector;
  const size_t begin = log_->size();
  image_->resize(size);
  disk_.model().resize(size);
  history_->resized(begin, log_->size(), size);
}

void CrashRun::close() {
  const size_t begin = log_->size();
  image_->close();
  history_->flushed(begin, log_->size());
}

void CrashRun::random(unsigned steps) {
  for (unsigned i = 0; i < steps; ++i) {
    uint64_t offset = rng_.below(image_->size());
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
}

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
      });
  return wrong;
}

std::string CrashRun::verdict(const CutState& state) {
  MemoryFileSystem files;
  const std::vector<std::string> names = log_->files();
  for (size_t i = 0; i < state.files.size(); ++i) files.add(names[i], state.files[i]);
  if (auto parent = disk_.files().find(TestDisk::kParentPath)) files.add(TestDisk::kParentPath, parent);
  std::vector<std::byte> content;
  try {
    if (std::string wrong = judge_reading(files, state, content); !wrong.empty()) return wrong;
    return judge_writing(files, content);
  } catch (const Error& error) {
    return error.what();
  }
}

std::string CrashRun::judge_reading(MemoryFileSystem& files, const CutState& state, std::vector<std::byte>& content) {
  Image image = Image::open(TestDisk::kPath, options(files, Access::read_only));
  if (std::string found = damages(image); !found.empty()) return "check finds " + found;
  content = read_whole(image);
  if (std::string wrong = history_->verdict(state.position, content); !wrong.empty()) return wrong;
  image.close();
  const std::vector<std::string> names = log_->files();
  for (size_t i = 0; i < state.files.size(); ++i)
    if (files.find(names[i])->contents() != state.files[i]) return "opening for reading changed " + names[i];
  return {};
}

std::string CrashRun::judge_writing(MemoryFileSystem& files, const std::vector<std::byte>& content) {
  ShadowDisk model(content.size());
  model.write(0, content);
  Image image = Image::open(TestDisk::kPath, options(files, Access::read_write));
  Workload work(image, model, rng_, {.read = 2, .write = 6, .zero = 2, .discard = 1, .flush = 1, .max_length = 20000, .align = 1});
  work.set_generation(5000000);
  if (std::string wrong = work.run(kStepsAfterTheCut); !wrong.empty()) return "after the cut, " + wrong;
  image.flush();
  if (std::string found = damages(image); !found.empty()) return "after the cut and more writes, check finds " + found;
  image.close();
  Image again = Image::open(TestDisk::kPath, options(files, Access::read_only));
  const std::string wrong = model.difference(again);
  return wrong.empty() ? wrong : "after the cut, more writes and a close, " + wrong;
}

}  // namespace varve::test
