#include "native/model.h"

#include <algorithm>
#include <array>

#include "image/node.h"
#include "native/native_image.h"
#include "native/reachable.h"
#include "support/image_kit.h"
#include "support/pattern.h"
#include "support/secrets.h"

namespace varve::test {
namespace {

constexpr size_t kMostSnapshots = 8;
constexpr uint64_t kBlock = native::kBlock;

native::NativeImage& native_image(Image& image) { return dynamic_cast<native::NativeImage&>(image.node().image()); }

}  // namespace

ModelRun::ModelRun(const ModelConfig& config, Rng& rng) : config_(config), rng_(rng), disk_(config.size) {
  make_parent();
  CreateOptions how;
  how.secret = test_key();
  how.parent_secret = test_key();
  how.options = config.options;
  how.file_system = &files_;
  how.parent = config.parent.empty() ? "" : "base.img";
  how.parent_format = config.parent;
  Image::create(kPath, "varve", config.size, how).close();
  open();
}

void ModelRun::make_parent() {
  if (config_.parent.empty()) return;
  create_image(files_, kParent, config_.parent, config_.parent_size);
  OpenOptions how = options(Access::read_write);
  how.format = config_.parent;
  Image image = Image::open(kParent, how);
  ShadowDisk model(config_.parent_size);
  for (uint64_t offset = 0; offset < config_.parent_size; offset += 70000) {  // with holes
    const auto data = pattern(offset, 900000, std::min<uint64_t>(50000, config_.parent_size - offset));
    image.write_at(offset, data);
    model.write(offset, data);
  }
  image.close();
  disk_ = ShadowDisk(config_.size, model);
}

OpenOptions ModelRun::options(Access access) {
  OpenOptions how;
  how.access = access;
  how.format = "varve";
  how.secret = test_key();
  how.file_system = &files_;
  if (config_.write_buffer != 0) how.limits.write_buffer = config_.write_buffer;
  return how;
}

void ModelRun::open() {
  image_.emplace(Image::open(kPath, options(Access::read_write)));
  opened_ = judged_ = native_image(*image_).durable().generation;
}

std::string ModelRun::run(uint64_t steps) {
  if (std::string wrong = leaks_of_closed(files_.find(kPath)); !wrong.empty()) return "a new image: " + wrong;
  for (uint64_t i = 0; i < steps; ++i) {
    std::string wrong;
    try {
      wrong = step();
      if (wrong.empty()) wrong = judge_space();
    } catch (const Error& error) {
      wrong = error.what();
    }
    if (!wrong.empty()) return "step " + std::to_string(i) + ": " + wrong;
  }
  std::string wrong = judge_all();
  return wrong.empty() ? wrong : "in the end: " + wrong;
}

std::string ModelRun::step() {
  const uint64_t choice = rng_.below(100);
  return choice < 64 ? change_disk(choice) : change_snapshots(choice);
}

std::string ModelRun::change_disk(uint64_t choice) {
  if (disk_.size() == 0) return resize();
  if (choice < 8) return read(random_range());
  if (choice < 38) return write(random_range());
  if (choice < 43) return zero(random_range());
  if (choice < 48) return discard(random_range());
  if (choice < 52) return resize();
  image_->flush();
  return {};
}

std::string ModelRun::change_snapshots(uint64_t choice) {
  if (choice < 68) return reopen();
  if (choice < 70) return drop();
  const bool full = kept_.size() >= kMostSnapshots;
  if (kept_.empty() || (choice < 79 && !full)) return create();
  if (choice < 82) return rename();
  if (choice < 87) return revert();
  if (choice < 94 && !full) return read_snapshot(any_snapshot());
  const std::string name = any_snapshot();
  image_->delete_snapshot(name);
  kept_.erase(name);
  return {};
}

// ---- the disk ----------------------------------------------------------------------------------------

/// Whole clusters, whole blocks, over a border, anywhere.
ModelRun::Range ModelRun::random_range() {
  const uint64_t size = disk_.size();
  uint64_t offset = rng_.below(size);
  uint64_t length = rng_.between(1, 6000);
  switch (rng_.below(4)) {
    case 0:
      offset -= offset % config_.cluster;
      length = config_.cluster * rng_.between(1, config_.cluster > 65536 ? 1 : 3);
      break;
    case 1:
      offset -= offset % kBlock;
      length = kBlock * rng_.between(1, 4);
      break;
    case 2:
      offset -= offset % config_.cluster;
      offset -= std::min(offset, rng_.between(1, 3000));
      break;
    default: break;
  }
  return {offset, std::min(length, size - offset)};
}

std::string ModelRun::read(Range range) {
  std::vector<std::byte> got(range.length, std::byte{0xa5});
  image_->read_at(range.offset, got);
  return describe_difference(range.offset, got, disk_.bytes(range.offset, range.length));
}

std::string ModelRun::write(Range range) {
  const auto data = pattern(range.offset, generation_++, range.length);
  image_->write_at(range.offset, data);
  disk_.write(range.offset, data);
  return read(range);
}

std::string ModelRun::zero(Range range) {
  image_->zero(range.offset, range.length);
  disk_.zero(range.offset, range.length);
  return read(range);
}

std::string ModelRun::discard(Range range) {
  image_->discard(range.offset, range.length);
  std::vector<std::byte> now(range.length);
  image_->read_at(range.offset, now);
  return disk_.settle_discard(range.offset, now) ? "a discarded range shows what it never held" : std::string();
}

/// Around the size that it began with, so that trees grow and shrink there.
std::string ModelRun::resize() {
  const uint64_t most = config_.size + std::max<uint64_t>(config_.size / 2, 4 * kBlock);
  const uint64_t least = config_.size / 2;
  const uint64_t size = rng_.one_in(10) ? rng_.below(least + 1) : rng_.between(least, most);
  image_->resize(size);
  disk_.resize(size);
  const uint64_t tail = std::min<uint64_t>(size, 2 * config_.cluster);
  return tail == 0 ? std::string() : read({size - tail, tail});
}

// ---- snapshots ---------------------------------------------------------------------------------------

const std::string& ModelRun::any_snapshot() {
  auto at = kept_.begin();
  std::advance(at, static_cast<ptrdiff_t>(rng_.below(kept_.size())));
  return at->first;
}

std::string ModelRun::create() {
  const std::string name = "s" + std::to_string(next_name_++);
  image_->create_snapshot(name, next_name_);
  kept_.emplace(name, disk_);
  return {};
}

std::string ModelRun::rename() {
  const std::string name = any_snapshot();
  const std::string other = "r" + std::to_string(next_name_++);
  image_->rename_snapshot(name, other);
  kept_.emplace(other, kept_.at(name));
  kept_.erase(name);
  return {};
}

std::string ModelRun::revert() {
  const std::string name = any_snapshot();
  image_->revert_to_snapshot(name);
  disk_ = kept_.at(name);
  return disk_.difference(*image_);
}

/// Of the file as it is, while it is open for writing.
std::string ModelRun::read_snapshot(const std::string& name) {
  OpenOptions how = options(Access::read_only);
  how.snapshot = name;
  Image image = Image::open(kPath, how);
  const std::string wrong = kept_.at(name).difference(image);
  return wrong.empty() ? wrong : "snapshot " + name + ": " + wrong;
}

// ---- sessions ----------------------------------------------------------------------------------------

std::string ModelRun::reopen() {
  image_->close();
  image_.reset();
  std::string wrong = judge_end();
  open();
  if (wrong.empty()) wrong = disk_.difference(*image_);
  return wrong;
}

/// As a program that is killed after a flush.
std::string ModelRun::drop() {
  image_->flush();
  image_.reset();
  reachable(files_.find(kPath));
  open();
  return disk_.difference(*image_);
}

/// Nothing is taken twice, nothing that is free is in use, and nothing is lost: of what either superblock leads to.
std::string ModelRun::judge_space() {
  native::NativeImage& image = native_image(*image_);
  const uint64_t generation = image.durable().generation;
  if (generation == judged_) return {};
  judged_ = generation;
  const Reachable found = reachable(files_.find(kPath));
  if (found.superblocks.current.generation != generation) return "the file has another generation than its image";
  if (!image.space().knows_used()) return "nobody knows what is free";
  return difference(image.space().used(), found.either);
}

std::string ModelRun::judge_end() {
  const auto file = files_.find(kPath);
  // A session that has changed nothing leaves the file as it was, also after a kill.
  const bool written = reachable(file).superblocks.current.generation != opened_;
  std::string wrong = written ? leaks_of_closed(file) : "";
  if (!wrong.empty()) return "after a close " + wrong;
  Image image = Image::open(kPath, options(Access::read_only));
  wrong = damages(image, rng_.one_in(4));
  return wrong.empty() ? wrong : "check finds " + wrong;
}

std::string ModelRun::judge_all() {
  std::string wrong = reopen();
  for (auto one = kept_.begin(); wrong.empty() && one != kept_.end(); ++one) wrong = read_snapshot(one->first);
  if (wrong.empty() && image_->snapshots().size() < kept_.size()) wrong = "snapshots are missing";
  return wrong.empty() ? damages(*image_) : wrong;
}

}  // namespace varve::test
