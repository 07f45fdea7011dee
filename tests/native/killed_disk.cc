#include "native/killed_disk.h"

#include <algorithm>
#include <iterator>

#include "support/pattern.h"

namespace varve::test {
namespace {

constexpr size_t kMostSnapshots = 5;

ShadowDisk content_of(Image& image) {
  ShadowDisk disk(image.size());
  std::vector<std::byte> all(image.size());
  image.read_at(0, all);
  disk.write(0, all);
  return disk;
}

OpenOptions of_snapshot(const std::string& name) {
  OpenOptions how;
  how.format = "varve";
  how.snapshot = name;
  how.ignore_locks = true;
  return how;
}

}  // namespace

KilledDisk::KilledDisk(Image& image) : disk_(content_of(image)) {
  for (const SnapshotInfo& one : image.snapshots()) {
    if (one.branch_point) continue;
    Image shown = Image::open(image.info().path, of_snapshot(one.name));
    kept_.emplace(one.name, content_of(shown));
  }
}

void KilledDisk::step(Rng& rng, uint64_t session, uint64_t number, Image* image) {
  const std::string name = std::to_string(session) + "." + std::to_string(number);
  if (rng.one_in(6)) return change_snapshots(rng, name, image);
  for (uint64_t writes = rng.between(1, 6); writes > 0; --writes) write(rng, session * 10000 + number, image);
  if (image != nullptr) image->flush();
}

void KilledDisk::write(Rng& rng, uint64_t generation, Image* image) {
  const uint64_t offset = rng.below(disk_.size());
  const uint64_t length = std::min(disk_.size() - offset, rng.between(1, rng.one_in(8) ? 200000 : 9000));
  if (rng.one_in(8)) {
    if (image != nullptr) image->zero(offset, length);
    disk_.zero(offset, length);
    return;
  }
  const auto data = pattern(offset, generation, length);
  if (image != nullptr) image->write_at(offset, data);
  disk_.write(offset, data);
}

void KilledDisk::change_snapshots(Rng& rng, const std::string& name, Image* image) {
  const uint64_t choice = rng.below(4);
  const uint64_t which = rng.below(kMostSnapshots);
  if (kept_.empty() || (choice < 2 && kept_.size() < kMostSnapshots)) {
    if (image != nullptr) image->create_snapshot(name, 1);
    kept_.emplace(name, disk_);
    return;
  }
  const auto one = std::next(kept_.begin(), static_cast<ptrdiff_t>(which % kept_.size()));
  if (choice == 2) {
    if (image != nullptr) image->revert_to_snapshot(one->first);
    disk_ = one->second;
    return;
  }
  if (image != nullptr) image->delete_snapshot(one->first);
  kept_.erase(one);
}

std::string KilledDisk::difference(Image& image, const std::string& path) const {
  if (std::string wrong = disk_.difference(image); !wrong.empty()) return wrong;
  size_t named = 0;
  for (const SnapshotInfo& one : image.snapshots()) named += one.branch_point ? 0 : 1;
  if (named != kept_.size()) return std::to_string(named) + " snapshots, should be " + std::to_string(kept_.size());
  for (const auto& [name, content] : kept_) {
    try {
      Image shown = Image::open(path, of_snapshot(name));
      if (const std::string wrong = content.difference(shown); !wrong.empty()) return "snapshot " + name + ": " + wrong;
    } catch (const Error& error) {
      return "snapshot " + name + ": " + error.what();
    }
  }
  return {};
}

}  // namespace varve::test
