#include "crash/crash_run.h"

#include <malloc.h>

#include <algorithm>
#include <cctype>
#include <cstring>
#include <sstream>
#include <string>
#include <variant>

#include "support/bytes.h"
#include "support/pattern.h"

namespace varve::test {

namespace {

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

/// The lines of a descriptor that say something, without the numbers that may change.
std::vector<std::string> constant_lines(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) {
    const bool changes = line.starts_with("RW ") || line.starts_with("CID=") || line.starts_with("ddb.longContentID") ||
                         line.starts_with("ddb.geometry.cylinders");
    if (changes) std::erase_if(line, [](char c) { return std::isxdigit(static_cast<unsigned char>(c)) != 0; });
    if (!line.empty()) lines.push_back(line);
  }
  return lines;
}

}  // namespace

bool has_embedded_text(const Storage& file) { return file.size() > kDescriptorArea; }

std::string descriptor_text(const MemoryFileSystem& files) {
  const auto file = files.find(TestDisk::kPath);
  const bool embedded = has_embedded_text(*file);
  const std::vector<std::byte> bytes = read(*file, embedded ? CrashRun::kSector : 0, embedded ? kDescriptorArea : file->size());
  const std::string text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  return text.substr(0, text.find('\0'));
}

std::string cid_of(Image& image) {
  for (const auto& [key, value] : image.info().details)
    if (key == "cid") return std::get<std::string>(value);
  return {};
}

CrashRun::CrashRun(const Layout& layout, bool filled, Rng& rng) : disk_(layout.config), rng_(rng) {
  keep_freed_memory();
  if (layout.prepare != nullptr) layout.prepare(disk_);
  if (filled) {
    Image image = disk_.open();
    for (uint64_t offset = 0; offset < image.size(); offset += 96 * 1024) {
      const uint64_t length = std::min<uint64_t>(48 * 1024, image.size() - offset);
      const std::vector<std::byte> data = pattern(offset, 999, static_cast<size_t>(length));
      image.write_at(offset, data);
      disk_.model().write(offset, data);
    }
    image.close();
  }
  open_recorded();
}

CrashRun::CrashRun(CrashRun& earlier, const CutState& left)
    : disk_(earlier.disk_.config()), rng_(earlier.rng_), generation_(earlier.generation_) {
  for (const std::string& path : disk_.files().paths()) disk_.files().remove(path);
  const std::vector<std::string> names = earlier.log_->files();
  for (size_t i = 0; i < left.files.size(); ++i) disk_.files().add(names[i], left.files[i]);
  if (const auto parent = earlier.disk_.files().find(TestDisk::kParentPath)) disk_.files().add(TestDisk::kParentPath, parent);
  Image image = disk_.open(Access::read_only);
  disk_.model().resize(image.size());
  disk_.model().write(0, contents_of(image));
  open_recorded();
}

void CrashRun::open_recorded() {
  {
    Image image = disk_.open(Access::read_only);
    same_cid_ = {contents_of(image)};
    start_cid_ = cid_of(image);
    start_lines_ = constant_lines(descriptor_text(disk_.files()));
  }
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
  grows_ = true;
  const uint64_t size = image_->size() + bytes / kSector * kSector;
  const size_t begin = log_->size();
  image_->resize(size);
  disk_.model().resize(size);
  history_->resized(begin, log_->size(), size);
}

std::vector<std::byte> CrashRun::repair() {
  const size_t begin = log_->size();
  CheckOptions how;
  how.repair = Repair::safe;
  image_->check(how);
  std::vector<std::byte> content = contents_of(*image_);
  disk_.model().write(0, content);
  same_cid_.push_back(content);  // a safe repair keeps the CID
  history_->wrote(begin, log_->size(), disk_.model(), 0, content.size());
  history_->flushed(log_->size(), log_->size());
  return content;
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

CutState CrashRun::pick_state() {
  CutState picked;
  uint64_t seen = 0;
  std::set<PowerCuts::Hash> distinct;
  PowerCuts cuts(base_, log_->events(), rng_);
  cuts.enumerate(
      distinct, [&](size_t position) { return history_->promised(position); },
      [&](const CutState& state) {
        if (rng_.one_in(++seen)) picked = state;
      });
  return picked;
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

/// A write through this image would be refused: it is opened for reading.
std::string CrashRun::judge_reading(MemoryFileSystem& files, const CutState& state, std::vector<std::byte>& content) {
  Image image = Image::open(TestDisk::kPath, options(files, Access::read_only));
  if (std::string found = damages(image, false); !found.empty()) return "check finds " + found;
  content = contents_of(image);
  if (std::string wrong = history_->verdict(state.position, content); !wrong.empty()) return wrong;
  if (constant_lines(descriptor_text(files)) != start_lines_) return "the descriptor is torn:\n" + descriptor_text(files);
  return judge_cid(image, content);
}

/// Children must notice a change, whenever the power was cut.
std::string CrashRun::judge_cid(Image& image, const std::vector<std::byte>& content) const {
  if (start_cid_.empty() || cid_of(image) != start_cid_) return {};
  const auto known = [&](uint64_t offset) {
    const ConstBytes sector = ConstBytes(content).subspan(offset, kSector);
    return std::any_of(same_cid_.begin(), same_cid_.end(),
                       [&](const auto& disk) { return same_bytes(sector, ConstBytes(disk).subspan(offset, kSector)); });
  };
  bool same = content.size() == same_cid_.front().size();
  for (uint64_t offset = 0; same && offset < content.size(); offset += kSector) same = known(offset);
  if (same) return {};
  return "the disk has changed, and its CID has not";
}

std::string CrashRun::judge_writing(MemoryFileSystem& files, const std::vector<std::byte>& content) {
  ShadowDisk model(content.size());
  model.write(0, content);
  Image image = Image::open(TestDisk::kPath, options(files, Access::read_write));
  Workload work(image, model, rng_, {.read = 2, .write = 6, .zero = 2, .discard = 1, .flush = 1, .max_length = 20000, .align = 1});
  work.set_generation(5000000);
  if (std::string wrong = work.run(kStepsAfterTheCut); !wrong.empty()) return "after the cut, " + wrong;
  image.flush();
  if (grows_) {
    image.resize(image.size() + kGrowthAfterTheCut);
    model.resize(image.size());
  }
  if (std::string found = damages(image, false); !found.empty()) return "after the cut and more writes, check finds " + found;
  image.close();
  Image again = Image::open(TestDisk::kPath, options(files, Access::read_only));
  const std::string wrong = model.difference(again);
  return wrong.empty() ? wrong : "after the cut, more writes and a close, " + wrong;
}

}  // namespace varve::test
