// What a power cut may leave of a script: the judgement of its states.
#include <algorithm>
#include <cstring>
#include <set>
#include <string>
#include <vector>

#include "crash/crash_run.h"

namespace varve::test {

namespace {

constexpr unsigned kStepsAfterTheCut = 20;
constexpr uint64_t kGrowthAfterTheCut = 100 * 1024;

/// std::byte is compared byte by byte otherwise, and whole files are compared here.
bool same_bytes(ConstBytes a, ConstBytes b) {
  return a.size() == b.size() && (a.empty() || std::memcmp(a.data(), b.data(), a.size()) == 0);
}

}  // namespace

std::set<std::string> CrashRun::damages_of(Image& image) {
  CheckOptions how;
  how.data = false;
  std::set<std::string> found;
  for (const Finding& finding : image.check(how).findings)
    if (finding.severity == Severity::damage) found.insert(finding.message);
  return found;
}

std::string CrashRun::judge(std::set<PowerCuts::Hash>& distinct) { return judge(distinct, log_->events()); }

std::string CrashRun::judge(std::set<PowerCuts::Hash>& distinct, std::vector<StorageEvent> log) {
  std::string wrong;
  PowerCuts cuts(base_, std::move(log), rng_, layout_.tearing);
  cuts.enumerate(
      distinct, [&](size_t position) { return history_->promised(position); },
      [&](const CutState& state) {
        if (!wrong.empty()) return;
        std::string problem = verdict(state);
        if (problem.empty() && cut_again_ != 0 && judged_++ % cut_again_ == 0) problem = judge_second_cut(state);
        if (!problem.empty()) wrong = state.name + ": " + problem;
      },
      judged_from_);
  return wrong;
}

std::vector<CutState> CrashRun::pick_states(size_t count, const std::function<bool(const CutState&)>& wanted) {
  std::vector<CutState> picked;
  uint64_t seen = 0;
  std::set<PowerCuts::Hash> distinct;
  PowerCuts cuts(base_, log_->events(), rng_, layout_.tearing);
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
    if (!start_damages_.contains(damage) && !rules_.excused(damage, state)) return "check finds " + damage;
  found = {head_of(image), image.size(), identity_of(image), snapshots_of(files, image)};
  if (std::string wrong = history_->verdict(state.position, found.content, found.size); !wrong.empty()) return wrong;
  if (std::string wrong = judge_whole(state, found); !wrong.empty()) return wrong;
  if (std::string wrong = judge_rest(image); !wrong.empty()) return wrong;
  if (const auto constants = rules_.constants(files, image); constants != start_constants_) {
    std::string text;
    for (const std::string& line : constants) text += "\n" + line;
    return "what never changes is now:" + text;
  }
  return judge_identity(found);
}

void CrashRun::published(size_t log_begin) { wholes_.push_back({log_begin, log_->size(), state_now()}); }

CrashRun::State CrashRun::state_of(uint64_t size, ConstBytes content, const Snapshots& snapshots) {
  State state{size, hash_of(content.data(), content.size()), {}};
  for (const auto& [name, bytes] : snapshots) state.snapshots.emplace(name, hash_of(bytes.data(), bytes.size()));
  return state;
}

/// Of a format whose flushes are whole or not there at all: the disk and every snapshot are as one of them left it, the last that returned
/// or a later one.
std::string CrashRun::judge_whole(const CutState& state, const Found& found) const {
  if (!rules_.atomic) return {};
  size_t last = wholes_.size();
  while (wholes_[last - 1].log_end > state.position) --last;
  const State now = state_of(found.size, found.content, found.snapshots);
  bool disk = false;
  for (size_t i = last - 1; i < wholes_.size() && (i < last || wholes_[i].log_begin < state.position); ++i) {
    if (wholes_[i].state == now) return {};
    disk = disk || (wholes_[i].state.size == now.size && wholes_[i].state.content == now.content);
  }
  const std::string from = " from number " + std::to_string(last - 1) + " on";
  if (!disk) return "the disk is as no flush left it," + from;
  std::string names;
  for (const auto& one : now.snapshots) names += " " + one.first;
  return "the disk is as a flush left it, and its snapshots (" + names + " ) are not," + from;
}

/// What follows the first cut is a script of its own.
std::string CrashRun::judge_second_cut(const CutState& state) {
  CrashRun second(*this, state);
  second.random(3);
  second.flush();
  second.random(2);
  second.flush();
  second.random(1);
  second.close();
  const std::string wrong = second.judge(*distinct_again_);
  return wrong.empty() ? wrong : "then, in what follows, " + wrong;
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

/// Children must notice a change, whenever the power was cut, and stay valid where there was none: a log was replayed, or copies mended.
std::string CrashRun::judge_identity(const Found& found) const {
  if (!changes_ && found.identity != start_identity_) return "the identity is another, and the script changed nothing";
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
  if (resizes_) {
    size += kGrowthAfterTheCut;
    image.resize(size);
    model.resize(seen_of(size));
  }
  if (std::string found_now = damages(image, false); !found_now.empty()) return "after the cut and more writes, check finds " + found_now;
  Found then = found;
  if (layout_.snapshots) {
    if (std::string wrong = change_snapshots_after_the_cut(image, model, size, then.snapshots); !wrong.empty())
      return "after the cut, " + wrong;
  }
  image.close();
  then.size = size;
  then.content.assign(model.bytes().begin(), model.bytes().end());
  std::string wrong = judge_closed(files, found, then);
  return wrong.empty() ? wrong : "after the cut, more writes and a close, " + wrong;
}

std::string CrashRun::judge_closed(PagedFileSystem& files, const Found& before, const Found& now) {
  Image image = Image::open(TestDisk::kPath, options(files, Access::read_only));
  if (identity_of(image) == before.identity && !before.identity.empty() && !same_bytes(now.content, before.content))
    return "the disk has changed, and its identity has not";
  if (image.size() != now.size) return "the size is " + std::to_string(image.size()) + ", should be " + std::to_string(now.size);
  if (std::string wrong = describe_difference(0, head_of(image), now.content); !wrong.empty()) return wrong;
  if (snapshots_of(files, image) != now.snapshots) return "the snapshots have changed";
  if (std::string wrong = damages(image, false); !wrong.empty()) return wrong;
  return rules_.leaks(files);
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

}  // namespace varve::test
