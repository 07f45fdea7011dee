// Scripts that change snapshots, and what a power cut may leave of them.
#include <iterator>

#include "crash/crash_run.h"
#include "support/pattern.h"

namespace varve::test {

/// "side" and the head are both based on "base", and each has something of its own.
void CrashRun::make_branch() {
  Image image = disk_.open();
  const auto write = [&](uint64_t offset, uint64_t length) {
    const auto data = pattern(offset, 900 + offset, static_cast<size_t>(length));
    image.write_at(offset, data);
    disk_.model().write(offset, data);
  };
  const auto keep = [&](const char* name) {
    image.create_snapshot(name, 1);
    kept_[name].assign(disk_.model().bytes().begin(), disk_.model().bytes().end());
  };
  keep("base");
  write(layout_.block, 1024);
  write(4 * layout_.block, layout_.block);
  keep("side");
  image.revert_to_snapshot("base");
  disk_.model().write(0, kept_.at("base"));
  write(512, 512);
  write(3 * layout_.block, layout_.block);
  image.close();
}

/// Each begins by making durable what was written until then.
template <typename Call, typename Effect>
void CrashRun::change_snapshots(Call call, Effect effect) {
  changes_ = true;
  const size_t begin = log_->size();
  const size_t flushed = wholes_.size();
  published(begin);
  call();
  effect();
  wholes_[flushed].log_end = log_->size();
  history_->flushed(begin, log_->size());
  published(begin);
}

void CrashRun::create_snapshot() {
  const std::string name = "n" + std::to_string(next_snapshot_++);
  change_snapshots([&] { image_->create_snapshot(name, 1); },
                   [&] { kept_[name].assign(disk_.model().bytes().begin(), disk_.model().bytes().end()); });
}

void CrashRun::delete_snapshot() {
  if (kept_.empty()) return create_snapshot();
  const std::string name = kept_.contains("base") ? "base" : kept_.begin()->first;
  change_snapshots([&] { image_->delete_snapshot(name); }, [&] { kept_.erase(name); });
}

void CrashRun::revert_to_snapshot() {
  if (kept_.empty()) return create_snapshot();
  const std::string name = kept_.contains("side") ? "side" : std::prev(kept_.end())->first;
  const std::vector<std::byte>& content = kept_.at(name);
  const size_t begin = log_->size();
  change_snapshots([&] { image_->revert_to_snapshot(name); },
                   [&] {
                     disk_.model().resize(content.size());
                     disk_.model().write(0, content);
                     history_->resized(begin, log_->size(), content.size());
                     history_->wrote(begin, log_->size(), disk_.model(), 0, content.size());
                   });
}

void CrashRun::random_snapshot_change() {
  switch (rng_.below(4)) {
    case 0: return revert_to_snapshot();
    case 1: return delete_snapshot();
    default: return kept_.size() < 5 ? create_snapshot() : delete_snapshot();
  }
}

CrashRun::Snapshots CrashRun::snapshots_of(FileSystem& files, Image& image) const {
  Snapshots found;
  if (!image.format().can.snapshots) return found;
  for (const SnapshotInfo& one : image.snapshots()) {
    if (one.branch_point) continue;
    OpenOptions how = options(files, Access::read_only);
    how.snapshot = one.name;
    Image shown = Image::open(TestDisk::kPath, how);
    found.emplace(one.name, head_of(shown));
  }
  return found;
}

/// One of each kind in turn, with a write behind it.
std::string CrashRun::change_snapshots_after_the_cut(Image& image, ShadowDisk& model, uint64_t& size, Snapshots& snapshots) {
  const uint64_t choice = snapshots.empty() ? 0 : rng_.below(3);
  if (choice == 0) {
    image.create_snapshot("after", 1);
    snapshots["after"].assign(model.bytes().begin(), model.bytes().end());
  } else if (choice == 1) {
    image.delete_snapshot(snapshots.begin()->first);
    snapshots.erase(snapshots.begin());
  } else {
    const auto& [name, content] = *snapshots.begin();
    image.revert_to_snapshot(name);
    model.resize(content.size());
    model.write(0, content);
    size = content.size();
    if (image.size() != size) return "the disk does not have the size of the snapshot that it went back to";
  }
  const auto data = pattern(0, 6000000, kSector);
  image.write_at(0, data);
  model.write(0, data);
  return {};
}

}  // namespace varve::test
